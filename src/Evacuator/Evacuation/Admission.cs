using System.Text.Json;
using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Journal;

namespace Evacuator.Evacuation;

/// <summary>
/// Whether this node takes containers. Closing is journaled before the agent is told, and holds over restarts and reboots: a node that was flagged for
/// service takes nothing until a person says "evacuator reopen", or until it has been well for the soak time after it came up again (SoakWatch).
/// </summary>
internal sealed class Admission(JournalStore journal, AgentClient agent, BootId boot, TimeProvider time)
{
    private const string Fact = "admission-closed";
    private const string ReopenedFact = "reopened";

    // Journal and agent are changed together: a look at the agent in between would close again what is being opened.
    private readonly SemaphoreSlim _gate = new(1, 1);

    private volatile ClosedAdmission? _closed = Read(journal);

    /// <summary>Null while the node takes containers.</summary>
    public ClosedAdmission? Closed => _closed;

    /// <summary>When the node was opened again last, after it had been emptied; null if it never was.</summary>
    public DateTimeOffset? Reopened => journal.Fact(ReopenedFact) is { } text ? JsonSerializer.Deserialize<DateTimeOffset>(text, ApiJson.Options) : null;

    /// <exception cref="AgentException">journaled, but the agent could not be told yet: ask again</exception>
    public async Task CloseAsync(string reason, CancellationToken token)
    {
        await _gate.WaitAsync(token).ConfigureAwait(false);
        try
        {
            if (_closed is not { } present || present.Reason != reason)
            {
                // Closed since it was closed first; for the reason that holds now.
                ClosedAdmission closed = new(reason, _closed?.Since ?? time.GetUtcNow(), boot.Value);
                journal.SetFact(Fact, JsonSerializer.Serialize(closed, ApiJson.Options));
                _closed = closed;
            }

            await agent.SetAdmissionAsync(open: false, reason, token).ConfigureAwait(false);
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Tells the agent again if this node is closed: one that was restarted does not know. False if it is open.</summary>
    /// <exception cref="AgentException">it could not be told</exception>
    public async Task<bool> RepeatAsync(CancellationToken token)
    {
        await _gate.WaitAsync(token).ConfigureAwait(false);
        try
        {
            if (_closed is not { } closed)
                return false;
            await agent.SetAdmissionAsync(open: false, closed.Reason, token).ConfigureAwait(false);
            return true;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>The agent is told first: a node that only believes itself open would refuse what it offers.</summary>
    /// <param name="afterService">
    /// it was away, and its controller may still remember why: the cool-down begins. False: it was never given away, so hardware that fails now empties it as at any other time
    /// </param>
    /// <exception cref="AgentException">it could not be told: the node stays closed</exception>
    public async Task ReopenAsync(string reason, CancellationToken token, bool afterService = true)
    {
        await _gate.WaitAsync(token).ConfigureAwait(false);
        try
        {
            await agent.SetAdmissionAsync(open: true, reason, token).ConfigureAwait(false);
            if (_closed is not null && afterService)
                journal.SetFact(ReopenedFact, JsonSerializer.Serialize(time.GetUtcNow(), ApiJson.Options));
            journal.SetFact(Fact, null);
            _closed = null;
        }
        finally
        {
            _gate.Release();
        }
    }

    private static ClosedAdmission? Read(JournalStore journal) =>
        journal.Fact(Fact) is { } text ? JsonSerializer.Deserialize<ClosedAdmission>(text, ApiJson.Options) : null;
}

/// <param name="BootId">boot of the host in which it was closed; null in entries of older versions</param>
internal sealed record ClosedAdmission(string Reason, DateTimeOffset Since, string? BootId = null);
