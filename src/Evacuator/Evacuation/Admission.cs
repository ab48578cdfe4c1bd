using System.Text.Json;
using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Journal;

namespace Evacuator.Evacuation;

/// <summary>
/// Whether this node takes containers. Closing is journaled before the agent is told, and holds over restarts and reboots: a node that was flagged for
/// service takes nothing until a person says "evacuator reopen".
/// </summary>
internal sealed class Admission(JournalStore journal, AgentClient agent, TimeProvider time)
{
    private const string Fact = "admission-closed";

    private volatile ClosedAdmission? _closed = Read(journal);

    /// <summary>Null while the node takes containers.</summary>
    public ClosedAdmission? Closed => _closed;

    /// <exception cref="AgentException">journaled, but the agent could not be told yet: ask again</exception>
    public async Task CloseAsync(string reason, CancellationToken token)
    {
        if (_closed is null)
        {
            ClosedAdmission closed = new(reason, time.GetUtcNow());
            journal.SetFact(Fact, JsonSerializer.Serialize(closed, ApiJson.Options));
            _closed = closed;
        }

        await agent.SetAdmissionAsync(open: false, reason, token).ConfigureAwait(false);
    }

    /// <summary>The agent is told first: a node that only believes itself open would refuse what it offers.</summary>
    /// <exception cref="AgentException">it could not be told: the node stays closed</exception>
    public async Task ReopenAsync(string reason, CancellationToken token)
    {
        await agent.SetAdmissionAsync(open: true, reason, token).ConfigureAwait(false);
        journal.SetFact(Fact, null);
        _closed = null;
    }

    private static ClosedAdmission? Read(JournalStore journal) =>
        journal.Fact(Fact) is { } text ? JsonSerializer.Deserialize<ClosedAdmission>(text, ApiJson.Options) : null;
}

internal sealed record ClosedAdmission(string Reason, DateTimeOffset Since);
