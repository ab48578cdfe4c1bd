using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Fleet;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Journal;

/// <summary>
/// While this node's journal is in memory, because its disk cannot be written, a peer has a copy of what must survive a reboot; and this node keeps such copies for others. The copy is asked for by the start
/// that finds nothing of its own.
/// </summary>
internal sealed partial class JournalCopies(JournalStore journal, PeerDirectory peers, BrainTimings timings, TimeProvider time, ILogger<JournalCopies> log) : BackgroundService
{
    private const string Fact = "journal-copy:";

    private volatile string? _holder;

    /// <summary>The peer that has the copy; null if none has, or none is needed.</summary>
    public string? Holder => _holder;

    /// <summary>Keeps a peer's copy, in the place of the one before.</summary>
    /// <exception cref="JournalException">not written</exception>
    public void Keep(string node, JournalCopy copy) => journal.SetFact(Fact + node, JsonSerializer.Serialize(copy, ApiJson.Options));

    /// <summary>Null if this node has none of it.</summary>
    public JournalCopy? Find(string node) => journal.Fact(Fact + node) is { } text ? JsonSerializer.Deserialize<JournalCopy>(text, ApiJson.Options) : null;

    /// <summary>Asks all peers for this node's own copy, before anything is built on the journal. The newest counts.</summary>
    /// <returns>the peer that had it; null if none had, or the journal has entries of its own</returns>
    public static async Task<string?> TakeBackAsync(JournalStore journal, IReadOnlyCollection<PeerClient> peers, CancellationToken token)
    {
        if (!journal.IsNew)
            return null;
        (string Peer, JournalCopy? Copy)[] answers = await Task.WhenAll(peers.Select(async peer =>
        {
            try
            {
                return (peer.Peer.Name, await peer.GetJournalCopyAsync(token).ConfigureAwait(false));
            }
            catch (PeerException)
            {
                return (peer.Peer.Name, null);
            }
        })).ConfigureAwait(false);
        if (answers.Where(answer => answer.Copy is not null).OrderByDescending(answer => answer.Copy!.At).FirstOrDefault() is not { Copy: { } newest } found)
            return null;
        newest.WriteTo(journal);
        return found.Peer;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        long sent = -1;
        while (true)
        {
            long version = journal.Writes;
            if (journal.IsFallback && version != sent && await SendAsync(stoppingToken).ConfigureAwait(false))
                sent = version;
            await Task.Delay(timings.CopyPoll, time, stoppingToken).ConfigureAwait(false);
        }
    }

    /// <summary>To the peer that has it, or else to the first that takes it.</summary>
    private async Task<bool> SendAsync(CancellationToken stop)
    {
        JournalCopy copy = JournalCopy.Of(journal, time.GetUtcNow());
        foreach (string name in peers.Names.OrderByDescending(name => name == _holder).ThenBy(name => name, StringComparer.Ordinal))
        {
            try
            {
                await peers.Find(name)!.KeepJournalCopyAsync(copy, stop).ConfigureAwait(false);
                if (_holder != name)
                    LogCopied(log, name);
                _holder = name;
                return true;
            }
            catch (PeerException e)
            {
                LogNotCopied(log, name, e.Message);
            }
        }

        _holder = null;
        return false;
    }

    [LoggerMessage(EventId = 312, Level = LogLevel.Warning, Message = "The journal is in memory; {Peer} has a copy of it, which a reboot asks for")]
    private static partial void LogCopied(ILogger logger, string peer);

    [LoggerMessage(EventId = 313, Level = LogLevel.Debug, Message = "{Peer} does not take a copy of the journal: {Reason}")]
    private static partial void LogNotCopied(ILogger logger, string peer, string reason);
}
