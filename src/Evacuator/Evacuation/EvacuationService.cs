using System.Threading.Channels;
using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Hosting;
using Evacuator.Journal;
using Evacuator.Placement;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Evacuation;

/// <summary>
/// The evacuations of this node, at most one at a time. Starts, cancels and reports them, and after a restart continues the one that had not ended.
/// </summary>
internal sealed partial class EvacuationService : BackgroundService, IProgressCheck
{
    /// <summary>The longest silent part of a run is asking a dead peer to be the witness, 90 s each.</summary>
    private static readonly TimeSpan LongestSilence = TimeSpan.FromMinutes(10);

    private readonly JournalStore _journal;
    private readonly RunServices _services;
    private readonly ILogger<EvacuationService> _log;

    // One evacuation runs at a time and Start refuses a second, so a place for one is enough; a write never waits.
    private readonly Channel<EvacuationRun> _start = Channel.CreateBounded<EvacuationRun>(new BoundedChannelOptions(1) { SingleReader = true });
    private readonly Lock _starting = new();
    private volatile EvacuationRun? _current;

    public EvacuationService(JournalStore journal, RunServices services, ILogger<EvacuationService> log)
    {
        _journal = journal;
        _services = services;
        _log = log;
        // Known before the sockets listen: a caller in the first millisecond must not be told that nothing is going on.
        if (journal.Evacuations().FirstOrDefault(evacuation => !evacuation.Phase.IsEnd()) is { } open)
        {
            EvacuationLedger ledger = new(journal, services.Time, open, journal.Moves(open.Id));
            string how = open.BootId == services.BootId.Value ? "the service was restarted" : "the host was restarted";
            ledger.Apply(new EvacuationInput.Noted($"{how} in phase {Words.Of(open.Phase)}; the evacuation {(IsOver(open, services.BootId.Value) ? "ends, since the shutdown that asked for it is over" : "continues")}"));
            _current = new EvacuationRun(services, ledger);
            // The shutdown that asked for it is over, and what runs here now has been started since.
            if (IsOver(open, services.BootId.Value))
                _current.TryCancel("the end of the shutdown", comeBack: false, out _);
            _start.Writer.TryWrite(_current);
        }
    }

    /// <summary>The evacuation that has not ended; null if there is none.</summary>
    public EvacuationLedger? Active => _current is { } run && !run.Ledger.State.Phase.IsEnd() ? run.Ledger : null;

    public string Name => "evacuation";

    /// <inheritdoc/>
    public string? WhyStalled()
    {
        if (Active is not { } active)
            return null;
        TimeSpan silence = active.Silence;
        return silence > LongestSilence ? $"evacuation {active.State.Id:D} has not moved in phase {Words.Of(active.State.Phase)} for {silence.TotalMinutes:0} min" : null;
    }

    /// <summary>Starts an evacuation. The same trigger again, or another while one runs that goes as far, gives the one there is.</summary>
    public StartResult Start(Trigger trigger)
    {
        lock (_starting)
        {
            if (_journal.EvacuationByTrigger(trigger.Key) is { } same)
                return new StartResult(same.Id, Existing: true, $"this request was made before: evacuation {same.Id:D} is {Words.Of(same.Phase)}");
            if (Active is { } active)
            {
                Trigger running = active.State.Trigger;
                if (trigger.PowerOff && !running.PowerOff)
                    return StartResult.Refuse($"evacuation {active.State.Id:D} ({running.Reason}, by {running.RequestedBy}) is under way and will not power off: wait for its end, or cancel it first");
                return new StartResult(active.State.Id, Existing: true, $"this node is being emptied already, since {active.State.Started:u} by {running.RequestedBy}: {running.Reason}");
            }

            if (trigger.PowerOff && _services.Power.WhyNot() is { } reason)
                return StartResult.Refuse($"cannot be powered off with proof: {reason}");

            DateTimeOffset now = _services.Time.GetUtcNow();
            EvacuationState state = new()
            {
                Id = Guid.NewGuid(),
                Node = _services.Options.Node.Name,
                BootId = _services.BootId.Value,
                Trigger = trigger,
                Phase = EvacuationPhase.Closing,
                Started = now,
                Updated = now,
            };
            _journal.Write(state, []);
            EvacuationRun run = new(_services, new EvacuationLedger(_journal, _services.Time, state, []));
            _current = run;
            if (!_start.Writer.TryWrite(run))
                throw new InvalidOperationException("an evacuation is waiting to be started although none is active");
            LogStarted(_log, state.Id, trigger.RequestedBy, trigger.Reason, trigger.Ticket, trigger.PowerOff);
            return new StartResult(state.Id, Existing: false, "started");
        }
    }

    /// <summary>Whether an evacuation of this trigger has been started before, ended or not.</summary>
    public bool WasStarted(string triggerKey) => _journal.EvacuationByTrigger(triggerKey) is not null;

    /// <summary>Null when it is being cancelled; else why not.</summary>
    /// <param name="comeBack">what has moved is brought back once the cancellation is over</param>
    public string? Cancel(string by, bool comeBack = false)
    {
        if (_current is not { } run || Active is null)
            return "no evacuation is under way";
        if (!run.TryCancel(by, comeBack, out string? error))
            return error;
        LogCancelled(_log, run.Ledger.State.Id, by);
        return null;
    }

    /// <summary>
    /// Tries a container again that could not leave: in the evacuation that runs, or in the last one, which then goes on. As it is now, with the annotations that it has now: whoever
    /// has mended one expects that it counts. Null when begun; else why not: nothing was changed then, the host is as open or closed as before.
    /// </summary>
    /// <exception cref="AgentException">the containers cannot be listed</exception>
    public async Task<string?> RetryAsync(string container, string by, CancellationToken token)
    {
        IReadOnlyList<ContainerReport> containers = await _services.Agent.GetContainersAsync(token).ConfigureAwait(false);
        ContainerReport? now = containers.FirstOrDefault(now => now.Name == container);
        return Retry(container, now, now is null ? "" : await WhyNowhereAsync(now, token).ConfigureAwait(false), by);
    }

    /// <summary>What keeps it here, as the plan of an evacuation would say it; empty if it has a place to go to.</summary>
    private async Task<string> WhyNowhereAsync(ContainerReport container, CancellationToken token)
    {
        IReadOnlyList<PeerView> peers = await _services.Peers.SurveyAsync(token).ConfigureAwait(false);
        Plan plan = Planner.Make([container], peers, await _services.PlacementAsync(token).ConfigureAwait(false));
        return plan.Containers is [{ Destination: null } stays] ? string.Join("; ", stays.Blockers.Select(blocker => blocker.Text)) : "";
    }

    /// <param name="now">as the agent has it; null: it is not here</param>
    /// <param name="nowhere">why it has no place to go to; empty: it has one</param>
    private string? Retry(string container, ContainerReport? now, string nowhere, string by)
    {
        lock (_starting)
        {
            EvacuationLedger? ledger = Active;
            if (ledger is null)
            {
                if (_journal.Evacuations(1) is not [{ Phase: EvacuationPhase.Failed } last])
                    return "the last evacuation of this node has not failed, and none is under way: \"evacuator start\" begins one";
                if (last.BootId != _services.BootId.Value)
                    return "the host was restarted since that evacuation: \"evacuator start\" begins a new one";
                // Refused whole, or broken before that: its other containers were never begun, and would not be by the retry of one.
                if (last.Passes == 0)
                    return $"nothing was begun in evacuation {last.Id:D}, so there is nothing to go on with: mend what it says (\"evacuator report {last.Id:D}\"), then \"evacuator start\" again";
                ledger = new EvacuationLedger(_journal, _services.Time, last, _journal.Moves(last.Id));
            }

            if (ledger.Snapshot.Moves.FirstOrDefault(move => move.Name == container) is not { } before)
                return $"evacuation {ledger.State.Id:D} knows no container {container}";
            StepResult<MoveState> step = MoveMachine.Step(before, new MoveInput.Retry(), _services.Time.GetUtcNow());
            if (!step.IsOk)
                return $"{container} is {Words.Of(before.Phase)}: only what stayed, was blocked or cancelled can be tried again";
            if (now is null)
                return $"{container} has ended: it is not on {ledger.State.Node} any more, so there is nothing to try again. \"evacuator start\" goes on with what is left here";
            if (now.State == "stopped")
                return $"{container} has ended: runc has it as stopped, and only what runs moves. Start it anew, or remove it with \"runc delete {container}\"; then \"evacuator start\" goes on with what is left here";
            // Half written, perhaps: without its annotations nobody knows what its owner permits.
            if (now.Blockers.FirstOrDefault(blocker => blocker.Code == BlockerCode.Unreadable) is { } unreadable)
                return $"{container} cannot be read: {unreadable.Text}";
            ContainerPolicy policy = ContainerPolicy.Of(now);
            if (policy.Stay)
                return $"{container} is to stay: {policy.WhyStay}";
            if (nowhere.Length > 0)
                return $"{container} cannot move as it is now: {nowhere}";
            // How it goes is decided anew: what speaks against it may have gone.
            MoveState again = step.Next with { Container = now, Mode = Planner.ModeOf(now, policy).Mode };
            string was = $"it {(before.Phase == MovePhase.Stayed ? "had" : "was")} {Words.Of(before.Phase)}: {before.Detail}{Changes(before.Container, now)}";

            if (ledger.State.Phase == EvacuationPhase.Moving)
            {
                ledger.Apply(new EvacuationInput.Noted($"{by} retries {container}; {was}"), [again]);
                LogRetried(_log, ledger.State.Id, container, by);
                return null;
            }

            if (ledger.State.Phase != EvacuationPhase.Failed)
                return $"evacuation {ledger.State.Id:D} is {Words.Of(ledger.State.Phase)}: wait for its end";
            ledger.Apply(new EvacuationInput.RetryRequested(by, [container], was), [again]);
            EvacuationRun run = new(_services, ledger);
            _current = run;
            if (!_start.Writer.TryWrite(run))
                throw new InvalidOperationException("an evacuation is waiting to be started although none is active");
            LogRetried(_log, ledger.State.Id, container, by);
            return null;
        }
    }

    /// <summary>What was changed since the plan was made, in words; empty if nothing that matters here.</summary>
    private static string Changes(ContainerReport then, ContainerReport now)
    {
        string[] changed =
        [
            .. now.Annotations.Where(pair => IsOurs(pair.Key) && then.Annotations.GetValueOrDefault(pair.Key) != pair.Value).Select(pair => $"{pair.Key}={pair.Value}"),
            .. then.Annotations.Keys.Where(key => IsOurs(key) && !now.Annotations.ContainsKey(key)).Select(key => $"no {key}"),
        ];
        return changed.Length == 0 ? "" : $"; changed since: {string.Join(", ", changed.Order(StringComparer.Ordinal))}";

        static bool IsOurs(string key) => key.StartsWith("evacuator.", StringComparison.Ordinal);
    }

    /// <summary>Lets the node take containers again. Null when done; else why not.</summary>
    public async Task<string?> ReopenAsync(string by, CancellationToken token)
    {
        if (Active is { } active)
            return $"evacuation {active.State.Id:D} is under way: cancel it first";
        try
        {
            await _services.Admission.ReopenAsync($"reopened by {by}", token).ConfigureAwait(false);
            LogReopened(_log, by);
            return null;
        }
        catch (AgentException e)
        {
            return e.Message;
        }
    }

    /// <summary>Adds something worth knowing to an evacuation of this node, also to one that has ended.</summary>
    public void Note(Guid id, string text) => LedgerOf(id)?.TryApply(new EvacuationInput.Noted(text), out _);

    /// <summary>What had moved before a cancellation does not come back, although it was to.</summary>
    public void SayNotReturned(Guid id, string why) => LedgerOf(id)?.TryApply(new EvacuationInput.NotReturned(why), out _);

    /// <summary>The report of an evacuation of this node, or of one that this node witnessed; null if it is not known.</summary>
    public EvacuationReport? Report(Guid id)
    {
        if (_current is { } run && run.Ledger.State.Id == id)
            return ReportBuilder.Build(run.Ledger.Snapshot, _services.Time.GetUtcNow(), _services.Options.Move.Parallel, StandingSince(id));
        if (_journal.Evacuation(id) is { } state)
            return Build(state);
        return _journal.Witness(id) is { } witness ? Complete(witness) : null;
    }

    /// <summary>Newest first: those of this node and those it witnessed.</summary>
    public IReadOnlyList<EvacuationReport> Reports(int limit) =>
    [
        .. _journal.Evacuations(limit).Select(state => Report(state.Id)!)
            .Concat(_journal.Witnesses(limit).Select(Complete))
            .OrderByDescending(report => report.Started).Take(limit),
    ];

    /// <summary>The last one of this node itself, ended or not; null if it never was emptied.</summary>
    public EvacuationReport? LastOwn() => _journal.Evacuations(1) is [var state] ? Report(state.Id) : null;

    /// <summary>It was to empty the host before a shutdown, and that has come.</summary>
    private static bool IsOver(EvacuationState open, string bootId) => open.Trigger.Kind == TriggerKind.Shutdown && open.BootId != bootId;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            EvacuationRun run = await _start.Reader.ReadAsync(stoppingToken).ConfigureAwait(false);
            try
            {
                await run.RunAsync(stoppingToken).ConfigureAwait(false);
            }
            catch (Exception e) when (e is InvalidOperationException or NullReferenceException or ArgumentException)
            {
                // A defect of ours must not look like a wait without end, nor take the service down with it at each restart.
                LogDefect(_log, run.Ledger.State.Id, e);
                run.Ledger.TryApply(new EvacuationInput.Broke($"an internal error: {e.Message}; see the journal of evacuator.service"), out _);
            }
        }
    }

    private EvacuationLedger? LedgerOf(Guid id) => _current is { } run && run.Ledger.State.Id == id ? run.Ledger
        : _journal.Evacuation(id) is { } state ? new EvacuationLedger(_journal, _services.Time, state, _journal.Moves(id)) : null;

    private EvacuationReport Complete(WitnessState witness) => ReportBuilder.Complete(witness, _services.Options.Node.Name,
        _services.Peers.Standings.Any(standing => standing.Name == witness.Report.Node && standing.Reachable && standing.AskedAt > witness.LastRead));

    private EvacuationReport Build(EvacuationState state) => ReportBuilder.Build(
        new EvacuationSnapshot(state, _journal.Moves(state.Id), null, System.Collections.Immutable.ImmutableDictionary<string, Waiting>.Empty), _services.Time.GetUtcNow(), standing: StandingSince(state.Id));

    private NodeStanding StandingSince(Guid id)
    {
        ClosedAdmission? closed = _services.Admission.Closed;
        return new NodeStanding(closed?.Reason.StartsWith(EvacuationRun.ReasonOf(id), StringComparison.Ordinal) == true, closed is null, _services.Options.Signals.CoolDown);
    }
}

/// <param name="Id">null when refused</param>
/// <param name="Existing">true if nothing new was started</param>
internal sealed record StartResult(Guid? Id, bool Existing, string Text)
{
    public static StartResult Refuse(string why) => new(null, false, why);
}
