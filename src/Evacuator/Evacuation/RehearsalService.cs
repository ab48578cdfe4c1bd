using System.Text.Json;
using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Journal;
using Evacuator.Notices;
using Evacuator.Placement;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Evacuation;

/// <summary>
/// Rehearses containers, one after the other: each goes through a move up to the dump, and everything is undone. So it is known before the hardware fails whether a
/// container can leave and how long it would stand still. On demand, and when [rehearsal] schedule says so. An evacuation ends it at once. One that could move and can no longer
/// is told as a notice.
/// </summary>
internal sealed partial class RehearsalService(
    JournalStore journal, RunServices services, RehearsalBoard board, EvacuationService evacuations, NoticeBook notices, ILogger<RehearsalService> log) : BackgroundService
{
    private const string Fact = "rehearsal:";

    /// <summary>Waited in parts, so that a clock that is set meanwhile is heeded.</summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromMinutes(1);

    private readonly SemaphoreSlim _one = new(1);

    /// <summary>The last result of each container that is still here, by name.</summary>
    public async Task<IReadOnlyList<RehearsalState>> ResultsAsync(CancellationToken token)
    {
        IReadOnlyList<ContainerReport> containers = await services.Agent.GetContainersAsync(token).ConfigureAwait(false);
        return [.. containers.Select(container => Read(journal, container.Name)).OfType<RehearsalState>().OrderBy(result => result.Container, StringComparer.Ordinal)];
    }

    public static RehearsalState? Read(JournalStore journal, string container) =>
        journal.Fact(Fact + container) is { } text ? JsonSerializer.Deserialize<RehearsalState>(text, ApiJson.Options) : null;

    /// <param name="only">one container; null: all</param>
    /// <exception cref="AgentException">the agent does not answer</exception>
    /// <exception cref="InvalidOperationException">not possible now; the message says why</exception>
    public async Task<IReadOnlyList<RehearsalState>> RehearseAsync(string? only, CancellationToken token)
    {
        await _one.WaitAsync(token).ConfigureAwait(false);
        try
        {
            IReadOnlyList<ContainerReport> containers = await services.Agent.GetContainersAsync(token).ConfigureAwait(false);
            if (only is not null && containers.All(container => container.Name != only))
                throw new InvalidOperationException($"there is no container {only} on this node");
            List<RehearsalState> results = [];
            foreach (ContainerReport container in containers.Where(container => only is null || container.Name == only).OrderBy(container => container.Name, StringComparer.Ordinal))
            {
                if (evacuations.Active is { } active)
                    throw new InvalidOperationException($"this node is being emptied since {active.State.Started:u}: nothing is rehearsed");
                using RehearsalBoard.Turn turn = board.Begin();
                results.Add(await OneAsync(container, turn.Called, token).ConfigureAwait(false));
            }

            return results;
        }
        finally
        {
            _one.Release();
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (RehearsalSchedule.Next(services.Options.Rehearsal.Schedule, services.Time.GetUtcNow(), services.Time.LocalTimeZone) is { } next)
        {
            while (next - services.Time.GetUtcNow() is var wait && wait > TimeSpan.Zero)
                await Task.Delay(wait < LongestWait ? wait : LongestWait, services.Time, stoppingToken).ConfigureAwait(false);
            try
            {
                IReadOnlyList<RehearsalState> results = await RehearseAsync(null, stoppingToken).ConfigureAwait(false);
                LogScheduled(log, results.Count, results.Count(result => !result.CanMove));
            }
            catch (Exception e) when (e is AgentException or InvalidOperationException)
            {
                LogNotRehearsed(log, e.Message);
            }
        }
    }

    private async Task<RehearsalState> OneAsync(ContainerReport container, CancellationToken called, CancellationToken stop)
    {
        RehearsalState? before = Read(journal, container.Name);
        MoveReport? report = null;
        Guid id = Guid.NewGuid();
        string refused = "";
        Blocker? blocker = container.Blockers.Count > 0 ? container.Blockers[0] : null;
        if (container.Blockers.Count > 0)
        {
            refused = string.Join("; ", container.Blockers.Select(reason => reason.Text));
        }
        else
        {
            try
            {
                report = await services.Agent.StartMoveAsync(RequestFor(container, id), stop).ConfigureAwait(false);
                bool aborted = false;
                while (report is { Ended: false })
                {
                    if (called.IsCancellationRequested && !aborted)
                    {
                        aborted = true;
                        await services.Agent.AbortMoveAsync(id, stop).ConfigureAwait(false);
                    }

                    await Task.Delay(services.Timings.MovePoll, services.Time, stop).ConfigureAwait(false);
                    report = await services.Agent.GetMoveAsync(id, stop).ConfigureAwait(false);
                }
            }
            catch (AgentException e) when (!e.IsAbsent)
            {
                (refused, blocker) = (e.Message, e.Blockers.Count > 0 ? e.Blockers[0] : null);
            }
        }

        // Called off by an evacuation: that says nothing of the container.
        if (called.IsCancellationRequested && report is not (null or { FreezeMs: not null, Detail: "" }))
            throw new InvalidOperationException("an evacuation began: the rehearsal was called off");
        string reason = report is null && refused.Length == 0 ? "evacuator-agent lost the rehearsal" : report?.Detail is { Length: > 0 } detail ? detail : refused;
        DateTimeOffset now = services.Time.GetUtcNow();
        bool able = report is { FreezeMs: not null } && reason.Length == 0;
        RehearsalState result = new()
        {
            Container = container.Name,
            At = now,
            CanMove = able,
            Reason = reason,
            Blocker = report?.Blocker ?? blocker,
            FreezeMs = report?.FreezeMs,
            FreezeParts = report?.FreezeParts ?? new Dictionary<string, double>(),
            MemoryBytes = container.MemoryBytes,
            LastAble = able ? now : before?.LastAble,
        };
        // Told before it is noted: a restart in between finds the same again, and the key knows that it was told.
        if (!able && before is { CanMove: true })
        {
            LogLost(log, container.Name, before.At, reason);
            notices.Raise(notices.Make(NoticeKind.CannotMove, $"rehearsal/{container.Name}/{before.At.ToUnixTimeMilliseconds()}",
                $"{container.Name} on {services.Options.Node.Name} can no longer be moved (it could at {before.At:u}): {reason}") with { Container = container.Name });
        }

        journal.SetFact(Fact + container.Name, JsonSerializer.Serialize(result, ApiJson.Options));
        if (able)
            LogAble(log, container.Name, result.FreezeMs ?? 0);
        else if (before is not { CanMove: true })
            LogUnable(log, container.Name, reason);
        return result;
    }

    private MoveRequest RequestFor(ContainerReport container, Guid id) => new()
    {
        MoveId = id,
        EvacuationId = Guid.Empty,
        Container = container.Name,
        // Nobody is asked; the agent wants a name and an address for every move.
        DestinationNode = services.Options.Node.Name,
        DestinationAddress = $"127.0.0.1:{services.Options.Fleet.AgentPort}",
        Token = "rehearsal",
        FreezeBudgetMs = (int)(ContainerPolicy.Of(container).FreezeBudget ?? services.Options.Move.FreezeBudget).TotalMilliseconds,
        Mode = MoveMode.Rehearsal,
    };

    [LoggerMessage(EventId = 370, Level = LogLevel.Error, Message = "{Container} CAN NO LONGER MOVE (it could at {Before:u}): {Reason}")]
    private static partial void LogLost(ILogger logger, string container, DateTimeOffset before, string reason);

    [LoggerMessage(EventId = 371, Level = LogLevel.Warning, Message = "{Container} cannot move: {Reason}")]
    private static partial void LogUnable(ILogger logger, string container, string reason);

    [LoggerMessage(EventId = 372, Level = LogLevel.Information, Message = "{Container} can move: rehearsed, it stood still for {Milliseconds:0} ms")]
    private static partial void LogAble(ILogger logger, string container, double milliseconds);

    [LoggerMessage(EventId = 373, Level = LogLevel.Information, Message = "Rehearsal by schedule: {Count} containers, {Unable} of them cannot move")]
    private static partial void LogScheduled(ILogger logger, int count, int unable);

    [LoggerMessage(EventId = 374, Level = LogLevel.Warning, Message = "The rehearsal by schedule did not take place: {Reason}")]
    private static partial void LogNotRehearsed(ILogger logger, string reason);
}
