using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Journal;
using Evacuator.NodeAgent.Memory.Convergence;
using Evacuator.NodeAgent.Transfer;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Migration;

/// <summary>After the release: the destination's word decides, and what it needs of the frozen copy here (post-copy) it gets until it has all.</summary>
internal sealed partial class SourceMove
{
    private static readonly TimeSpan FetchPoll = TimeSpan.FromSeconds(1);

    /// <summary>An answer that takes longer is taken for none: the link is cut, or as good as.</summary>
    private static readonly TimeSpan FetchPatience = TimeSpan.FromSeconds(3);

    private AwayMemory? _away;

    /// <summary>Memory that the destination needs is gone: this host was restarted since.</summary>
    private bool IsLost => Record.Away && Record.BootId != _tools.BootId;

    /// <summary>Asks until the destination answers RUNNING and needs nothing from here any more, or FAILED: nothing else may decide.</summary>
    private async Task SettleAsync(FreezeClock? freeze, CancellationToken shutdown)
    {
        TimeSpan pause = TimeSpan.FromMilliseconds(200);
        try
        {
            while (true)
            {
                shutdown.ThrowIfCancellationRequested();
                if (_gone.IsCancellationRequested)
                {
                    await AbandonPeerAsync(freeze, shutdown);
                    return;
                }
                try
                {
                    PeerReply reply = await AskForEndAsync(freeze, shutdown);
                    if (reply is { Phase: DestinationPhase.Running, Fetches: true } && !IsLost)
                        reply = await FollowFetchAsync(reply, shutdown);
                    if (reply is { Phase: DestinationPhase.Running, Fetches: false })
                    {
                        await _tools.Faults.ReachAsync("source.answered");
                        // A destination that loses its power now comes back without the container and says so, until it has noted that we know: only
                        // then is ours not needed any more. Without that answer ours stays, frozen.
                        using CancellationTokenSource patience = Patience(TimeSpan.FromMinutes(2), shutdown);
                        string wrong = reply.Detail;
                        PeerReply known = await _peer.KnownAsync(patience.Token);
                        if (known is { Phase: DestinationPhase.Running, Fetches: false })
                        {
                            // It runs there, and what is wrong with it there is told: a network that could not be connected, above all.
                            Advance(SourceInput.PeerRuns, record => record with { Detail = known.Detail.Length > 0 ? known.Detail : wrong, Fetch = known.Fetch });
                            await _tools.Faults.ReachAsync("source.running");
                            await RemoveAsync(shutdown);
                            return;
                        }
                        reply = known;
                    }
                    if (reply.Phase == DestinationPhase.Failed)
                    {
                        Advance(SourceInput.PeerFailed, record => record with { Detail = WhyFailed(record, reply) });
                        await FinishRevertAsync(freeze, shutdown);
                        return;
                    }
                    Waiting(reply.Detail);
                }
                catch (Exception e) when (e is HttpRequestException or IOException or PeerRefusedException or JsonException or InvalidDataException
                    || (e is OperationCanceledException && !shutdown.IsCancellationRequested))
                {
                    Waiting(e.Message);
                }
                await PauseAsync(pause, shutdown);
                pause = TimeSpan.FromMilliseconds(Math.Min(pause.TotalMilliseconds * 2, 5000));
            }
        }
        finally
        {
            await EndServingAsync();
        }

        void Waiting(string why) => Update(record => record with
        {
            Detail = record.Phase == SourcePhase.Serving
                ? $"runs at {record.Request.DestinationNode}, which needs memory of the frozen copy here: asking again every few seconds ({why})"
                : $"released to {record.Request.DestinationNode} and frozen here until it answers; asking again every few seconds ({why})",
        });
    }

    /// <summary>The release, which may be repeated, or the news that what was released cannot be whole any more.</summary>
    private async Task<PeerReply> AskForEndAsync(FreezeClock? freeze, CancellationToken shutdown)
    {
        // Before it is asked to restore: what a restore needs of the memory here it needs before it answers.
        ServeIfAway();
        double before = freeze?.Elapsed ?? 0;
        using CancellationTokenSource patience = Patience(TimeSpan.FromMinutes(2), shutdown);
        PeerReply reply;
        try
        {
            reply = IsLost ? await _peer.LostAsync(patience.Token) : await _peer.ReleaseAsync(patience.Token);
        }
        finally
        {
            _turn?.Dispose();
        }
        double answered = freeze?.Elapsed ?? 0;
        if (reply.Phase == DestinationPhase.Running)
        {
            Update(record => record.FreezeMs is null ? WithResult(record, reply, freeze, before, answered) : record);
            if (_shape is not null && freeze is not null && Record.FreezeMs is { } frozen)
                _tools.Experience.Learn(new FreezeSample(_shape, TimeSpan.FromMilliseconds(frozen)), frozen - before);
            _shape = null;
            if (reply.Fetches && Record.Phase == SourcePhase.Released)
            {
                Advance(SourceInput.PeerFetches, record => record with { Away = true, Fetch = reply.Fetch });
                await EndTrackingAsync();
                await _tools.Faults.ReachAsync("source.serving");
            }
        }
        return reply;
    }

    /// <summary>Serves until the destination has everything, or says that it has failed, or is declared gone.</summary>
    /// <param name="reply">its last word, returned if it is declared gone</param>
    private async Task<PeerReply> FollowFetchAsync(PeerReply reply, CancellationToken shutdown)
    {
        ServeIfAway();
        bool cut = false;
        while (!_gone.IsCancellationRequested)
        {
            if (!cut)
                Update(record => record with
                {
                    Fetch = reply.Fetch,
                    Detail = $"runs at {record.Request.DestinationNode}, which still fetches memory from the frozen copy here"
                        + (_away!.Problem is { Length: > 0 } problem ? $" ({problem})" : ""),
                });
            bool served = _away!.Fetched.IsCompleted;
            Task waiting = PauseAsync(served ? TimeSpan.FromMilliseconds(50) : FetchPoll, shutdown);
            await (served ? waiting : Task.WhenAny(waiting, _away.Fetched));
            shutdown.ThrowIfCancellationRequested();
            try
            {
                using CancellationTokenSource patience = Patience(FetchPatience, shutdown);
                reply = await _peer.AskAsync(patience.Token);
                if (reply is not { Phase: DestinationPhase.Running, Fetches: true })
                    return reply;
                if (cut)
                    await _away.ReconnectAsync();
                cut = false;
            }
            catch (Exception e) when (e is HttpRequestException or IOException or JsonException || (e is OperationCanceledException && !shutdown.IsCancellationRequested))
            {
                string why = e is OperationCanceledException ? "no answer" : e.Message;
                if (!cut)
                    LogFetchCut(_log, Name, Record.Request.DestinationNode, why);
                cut = true;
                Update(record => record with
                {
                    Detail = $"runs at {record.Request.DestinationNode}, which cannot be reached ({why}): what needs memory of the frozen copy here waits there until the link is back",
                });
            }
        }
        return reply;
    }

    private void ServeIfAway()
    {
        if (Record.Away && !IsLost)
            _away ??= AwayMemory.Resume(JsonSerializer.Deserialize<ContainerDescription>(Record.Description!, ApiJson.Options)!, _peer, _tools, _log);
    }

    private async Task EndServingAsync()
    {
        if (Interlocked.Exchange(ref _away, null) is { } away)
            await away.DisposeAsync();
    }

    /// <summary>Linked: the agent stops; a person has declared the destination gone; and a limit.</summary>
    private CancellationTokenSource Patience(TimeSpan limit, CancellationToken shutdown)
    {
        CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(shutdown, _gone.Token);
        patience.CancelAfter(limit);
        return patience;
    }

    /// <summary>Connections for a freeze that opens two for good.</summary>
    private async Task WarmUpAsync(MemoryAhead memory, CancellationToken cancel)
    {
        string place = Path.Combine(_tools.Paths.Move(Id), "rehearsal");
        Directory.CreateDirectory(place);
        await memory.RehearseLastAsync(place, cancel);
        Directory.Delete(place, recursive: true);
        if (memory.WhyLeft is not null)
            await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => _peer.AskAsync(cancel)));
    }

    private static MoveRung RungOf(MemoryAhead? memory) => memory switch
    {
        { WhyLeft: not null } => MoveRung.PostCopy,
        { Speed: < 1 } => MoveRung.LiveSlowed,
        _ => MoveRung.Live,
    };

    private string WhyFailed(SourceRecord record, PeerReply reply) =>
        record.Phase == SourcePhase.Serving && !IsLost
            ? $"{record.Request.DestinationNode} lost it while it still fetched memory from here ({reply.Detail}): it goes on here from where it was frozen, and what it has done there since is lost"
            : $"{record.Request.DestinationNode} could not resume it: {reply.Detail}";

    private static SourceRecord WithResult(SourceRecord record, PeerReply reply, FreezeClock? freeze, double before, double answered)
    {
        if (freeze is null)
            return record with { Detail = "" };
        Dictionary<string, double> parts = freeze.Parts;
        foreach ((string part, double milliseconds) in reply.Parts)
            parts[part == "total" ? "resume" : part] = milliseconds;
        // From the freeze to the moment the release was sent, half of what the wire took, and the destination's own time until its tasks ran.
        double resume = reply.Parts.GetValueOrDefault("total");
        double wire = Math.Max(0, answered - before - resume) / 2;
        return record with { Detail = "", FreezeMs = Math.Round(before + wire + resume, 1), FreezeParts = parts };
    }

    [LoggerMessage(1122, LogLevel.Warning, "{Container} runs at {Destination}, which still needs memory from here and cannot be reached ({Problem}): it waits there where it needs it")]
    private static partial void LogFetchCut(ILogger log, string container, string destination, string problem);
}
