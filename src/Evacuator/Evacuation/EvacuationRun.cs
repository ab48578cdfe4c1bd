using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Fleet;
using Evacuator.Journal;
using Evacuator.Placement;
using Evacuator.Power;
using Microsoft.Extensions.Logging;

namespace Evacuator.Evacuation;

/// <summary>
/// Empties this node. Every step begins with what the journal says and ends with a journaled input, so a restart at any instant continues in the
/// step it was in; each step may therefore be done twice and does no harm then.
/// <code>
/// 1 Closing            no inbound container any more
/// 2 Planning           ask the peers, decide who goes where, journal the plan
/// 3 Moving             all containers, several at once, each on its own (ContainerRun)
/// 4 Proving            new containers → 2; anything left → failed; nothing left in two looks → done, or
/// 5 ArrangingPowerOff  a peer watches the BMC
/// 6 PoweringOff        LED on, the agent shuts the host down
///   Cancelling         undo what can be undone, reopen
/// </code>
/// </summary>
internal sealed partial class EvacuationRun
{
    /// <summary>Someone who keeps starting containers on a node that is being emptied has to be stopped by a person.</summary>
    private const int MaxPasses = 5;

    private readonly RunServices _services;
    private readonly EvacuationLedger _ledger;
    private readonly ILogger _log;
    private readonly CancellationTokenSource _cancel = new();

    public EvacuationRun(RunServices services, EvacuationLedger ledger)
    {
        _services = services;
        _ledger = ledger;
        _log = services.Logs.CreateLogger<EvacuationRun>();
    }

    public EvacuationLedger Ledger => _ledger;

    /// <summary>What the reason begins with for which a node is closed that this evacuation empties.</summary>
    public static string ReasonOf(Guid id) => $"evacuation {id:D}";

    /// <summary>Asks the run to stop where it can. False, with the reason, when it is too late. The journal has it when this returns.</summary>
    public bool TryCancel(string by, bool comeBack, out string? error)
    {
        if (_ledger.State.Phase == EvacuationPhase.PoweringOff)
        {
            error = "the host is going down already: it cannot be cancelled any more";
            return false;
        }

        if (!_ledger.TryApply(new EvacuationInput.CancelRequested(by, comeBack), out error))
        {
            error = $"it has ended already as {Words.Of(_ledger.State.Phase)}";
            return false;
        }

        _cancel.Cancel();
        return true;
    }

    /// <summary>Runs to an end, or until the service stops.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        if (_ledger.State.Phase == EvacuationPhase.Cancelling)
            await _cancel.CancelAsync().ConfigureAwait(false);
        // Linked: the service's stop; the operator's cancellation.
        using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(stop, _cancel.Token);
        while (!_ledger.State.Phase.IsEnd())
        {
            EvacuationPhase phase = _ledger.State.Phase;
            LogPhase(_log, _ledger.State.Id, phase);
            try
            {
                await (phase switch
                {
                    EvacuationPhase.Closing => CloseAsync(linked.Token),
                    EvacuationPhase.Planning => PlanAsync(linked.Token),
                    EvacuationPhase.Moving => MoveAsync(stop),
                    EvacuationPhase.Proving => ProveAsync(linked.Token),
                    EvacuationPhase.ArrangingPowerOff => ArrangePowerOffAsync(linked.Token),
                    EvacuationPhase.PoweringOff => PowerOffAsync(stop),
                    EvacuationPhase.Cancelling => SettleCancelAsync(stop),
                    _ => throw new InvalidOperationException($"no step for phase {phase}"),
                }).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (_cancel.IsCancellationRequested && !stop.IsCancellationRequested)
            {
                // Cancelled by the operator in the middle of a step: the phase is Cancelling now.
            }
            catch (AgentException e)
            {
                Advance(new EvacuationInput.Broke($"evacuator-agent refused: {e.Message}"));
            }
        }

        LogEnd(_log, _ledger.State.Id, _ledger.State.Phase, ReportBuilder.Build(_ledger.Snapshot, _services.Time.GetUtcNow()).Summary);
    }

    // 1
    private async Task CloseAsync(CancellationToken token)
    {
        // The lock first: a node that waits for it may as well take containers.
        if (await _services.Lock.AcquireAsync(_ledger.State, waiting => _ledger.Wait(waiting), token).ConfigureAwait(false) is { } remark)
            Advance(new EvacuationInput.Noted(remark));
        await KeepClosedAsync(token).ConfigureAwait(false);
        Advance(new EvacuationInput.AdmissionClosed());
    }

    /// <summary>Also later on: an agent that was restarted is open, and an open node is not proven empty.</summary>
    private Task KeepClosedAsync(CancellationToken token)
    {
        string reason = $"{ReasonOf(_ledger.State.Id)}: {_ledger.State.Trigger.Reason}";
        return AgentAsync(t => _services.Admission.CloseAsync(reason, t), "the node is closed to new containers", token);
    }

    // 2
    private async Task PlanAsync(CancellationToken token)
    {
        // What is on its way home goes on or is called off; it must not be moved by two at once.
        await _services.Rehearsals.StandDownAsync(token).ConfigureAwait(false);
        await _services.Departures.StandDownAsync(waiting => _ledger.Wait(waiting), token).ConfigureAwait(false);
        IReadOnlyList<ContainerReport> containers = await AgentAsync(_services.Agent.GetContainersAsync, "a plan is made", token).ConfigureAwait(false);
        EvacuationSnapshot snapshot = _ledger.Snapshot;
        HashSet<string> planned = [.. snapshot.Moves.Select(move => move.Name)];
        IReadOnlyList<PeerView> peers = await _services.Peers.SurveyAsync(token).ConfigureAwait(false);
        PlacementPolicy policy = await _services.PlacementAsync(token).ConfigureAwait(false) with { Failing = snapshot.State.Trigger.Fault };
        FleetClaims claims = await _services.Register.LookAsync([.. containers.Select(container => container.Name)], token).ConfigureAwait(false);
        Plan plan = Planner.Make(claims.Mark(containers.Where(container => !planned.Contains(container.Name))), claims.Reduce(peers), policy);

        // Later passes are for containers that appeared meanwhile: the others have left already, and whole is no longer to be had.
        bool refused = snapshot.State.Passes == 0 && plan.Missing is not null && !PartialIsFine(snapshot.State.Trigger);
        if (snapshot.State.Passes == 0 && !refused)
        {
            // Said now, so that whoever watches can correct it while the containers move.
            foreach (string obstacle in await _services.Agent.GetObstaclesAsync(token).ConfigureAwait(false))
                Advance(new EvacuationInput.Noted($"as it is, this host will not be found empty: {obstacle}"));
        }

        int order = snapshot.Moves.Count;
        List<MoveState> moves =
        [
            .. plan.Containers.Select(container => new MoveState
            {
                EvacuationId = snapshot.State.Id,
                Container = container.Container,
                Order = order++,
                Phase = container.Destination is null ? MovePhase.Blocked : refused ? MovePhase.Cancelled : MovePhase.Planned,
                Destination = container.Destination,
                Mode = container.Mode,
                Blockers = container.Blockers,
                Detail = container.Destination is not null && refused ? "there was a place for it, but the plan was refused whole" : string.Join("; ", container.Blockers.Select(blocker => blocker.Text)),
                Ended = container.Destination is null || refused ? _services.Time.GetUtcNow() : null,
            }),
        ];
        foreach (MoveState blocked in moves.Where(move => move.Phase == MovePhase.Blocked))
            LogBlocked(_log, blocked.Name, blocked.Detail);
        if (refused)
        {
            // Nothing has been touched, so nothing is left closed.
            await AgentAsync(t => _services.Admission.ReopenAsync("the plan was refused", t, afterService: false), "the node is reopened and the evacuation ends as failed", token).ConfigureAwait(false);
            Advance(new EvacuationInput.PlanRefused(plan.ExcludedPeers, $"the plan does not fit, so nothing was moved (--partial moves what fits): {WhyNotWhole(plan)}"), moves);
            return;
        }

        Advance(new EvacuationInput.PlanMade(plan.ExcludedPeers), moves);
        foreach (PlannedContainer asked in plan.Containers)
            foreach (string mistake in asked.Mistakes)
                _ledger.TryApply(new EvacuationInput.Noted($"{asked.Container.Name}: {mistake}"), out _);
        _services.Register.Ring();
    }

    /// <summary>A person may want all or nothing; hardware that fails by itself is better left by some than by none.</summary>
    private bool PartialIsFine(Trigger trigger) => trigger.Partial ?? (trigger.Kind == TriggerKind.Signal || _services.Options.Evacuation.Partial);

    private static string WhyNotWhole(Plan plan)
    {
        IEnumerable<string> staying = plan.Containers.Where(container => container.Destination is null)
            .Select(container => $"{container.Container.Name}: {string.Join(", ", container.Blockers.Select(blocker => blocker.Text))}");
        string text = string.Join("; ", staying);
        return plan.Missing is { Sources.Count: > 0 } missing ? $"{text}. What would help: {string.Join("; ", missing.Sources)}" : text;
    }

    // 3
    private async Task MoveAsync(CancellationToken stop)
    {
        // Again for those that a person has asked to be retried meanwhile.
        do
            await MoveAllAsync(stop).ConfigureAwait(false);
        while (_ledger.Snapshot.Moves.Any(move => !move.Phase.IsEnd()));
        Advance(new EvacuationInput.MovesEnded());
    }

    /// <summary>Those already under way first (after a restart), then in the order of departure. A cancellation reaches each by <see cref="_cancel"/>.</summary>
    private async Task MoveAllAsync(CancellationToken stop)
    {
        List<MoveState> open = [.. _ledger.Snapshot.Moves.Where(move => !move.Phase.IsEnd())
            .OrderByDescending(move => move.Phase).ThenBy(move => move.Order)];
        int parallel = Math.Max(1, _services.Options.Move.Parallel);
        foreach (MoveState move in open.Skip(parallel))
        {
            _ledger.WaitMove(move.Name, new Waiting($"its turn: {parallel} move at once ([move] parallel{(_services.Options.Move.PerPeer > 0 ? $", {_services.Options.Move.PerPeer} of them to one peer" : "")})", _services.Time.GetUtcNow(), null,
                $"moves to {move.Destination}"));
        }

        using CancellationTokenSource deadline = DeadlineOf(_ledger.State.Trigger);
        ContainerRun runner = new(_services, _ledger, _cancel.Token, deadline.Token);
        List<IReadOnlyList<MoveState>> chains = [.. open.GroupBy(ChainOf).Select(chain => (IReadOnlyList<MoveState>)[.. chain])];
        Departures<IReadOnlyList<MoveState>> departures = new(chains, DestinationOf, parallel, _services.Options.Move.PerPeer);
        await departures.RunAsync(async (chain, token) =>
        {
            string? together = null;
            string? left = null;
            foreach (MoveState move in chain)
            {
                if (left is not null && _ledger.Move(move.Name).Phase == MovePhase.Planned)
                {
                    _ledger.Apply(move.Name, new MoveInput.GroupBroken(left));
                    continue;
                }

                await runner.RunAsync(move.Name, token, together).ConfigureAwait(false);
                MoveState after = _ledger.Move(move.Name);
                if (after.Phase == MovePhase.Moved)
                    together = after.Destination;
                else if (after.Phase.IsLeftHere())
                    left = move.Name;
            }
        }, stop).ConfigureAwait(false);

        // Where it goes now: a refusal may have sent it elsewhere than the plan did.
        string? DestinationOf(IReadOnlyList<MoveState> chain) =>
            chain.Select(move => _ledger.Move(move.Name)).FirstOrDefault(move => !move.Phase.IsEnd())?.Destination;
    }

    /// <summary>Members of a group leave one after the other, in their order; all others each on their own.</summary>
    private static string ChainOf(MoveState move) => ContainerPolicy.Of(move.Container).Group is { } group ? $"group {group}" : $"container {move.Name}";

    /// <summary>Cancelled when the time for the whole is over; never, if it has none.</summary>
    private CancellationTokenSource DeadlineOf(Trigger trigger)
    {
        if (trigger.Deadline is not { } deadline)
            return new CancellationTokenSource();
        TimeSpan left = deadline - _services.Time.GetUtcNow();
        CancellationTokenSource source = new(left > TimeSpan.Zero ? left : Timeout.InfiniteTimeSpan, _services.Time);
        if (left <= TimeSpan.Zero)
            source.Cancel();
        return source;
    }

    // 4
    private async Task ProveAsync(CancellationToken token)
    {
        // A retry may have come in the moment in which the last move ended.
        if (_ledger.Snapshot.Moves.Any(move => !move.Phase.IsEnd()))
            await MoveAllAsync(token).ConfigureAwait(false);
        EvacuationSnapshot snapshot = _ledger.Snapshot;
        await KeepClosedAsync(token).ConfigureAwait(false);
        IReadOnlyList<ContainerReport> containers = await AgentAsync(_services.Agent.GetContainersAsync, "the proof of emptiness", token).ConfigureAwait(false);

        // Started by hand, or by something that does not know that the node is being emptied.
        List<string> appeared = [.. containers.Select(container => container.Name).Except(snapshot.Moves.Select(move => move.Name))];
        if (appeared.Count > 0 && snapshot.State.Passes < MaxPasses)
        {
            LogAppeared(_log, string.Join(", ", appeared));
            Advance(new EvacuationInput.ContainersAppeared(appeared));
            return;
        }

        List<string> left = [.. snapshot.Moves.Where(move => move.Phase.IsLeftHere()).Select(move => $"{move.Name}: {move.Detail}")];
        left.AddRange(containers.Where(container => snapshot.Moves.Any(move => move.Name == container.Name && !move.Phase.IsLeftHere()))
            .Select(container => $"{container.Name}: a container of this name is here although its move has ended"));
        left.AddRange(appeared.Select(name => $"{name}: started while the node was being emptied, too late to be moved"));
        if (left.Count > 0)
        {
            EmptinessReport look = await AgentAsync(_services.Agent.GetEmptinessAsync, "the evacuation ends as failed", token).ConfigureAwait(false);
            Advance(new EvacuationInput.NotEmpty(look, $"{left.Count} left on {snapshot.State.Node}: {string.Join("; ", left)}"));
            return;
        }

        // Empty, but not by moving them: nobody may read that as "done".
        List<string> lost = _services.BootId.Value == snapshot.State.BootId ? []
            : [.. snapshot.Moves.Where(move => move.Phase == MovePhase.Gone).Select(move => $"{move.Name}: {move.Detail}")];
        if (lost.Count > 0)
        {
            Advance(new EvacuationInput.Broke($"{snapshot.State.Node} was restarted before they had moved, and they ended with it: {string.Join("; ", lost)}. Start them where they are to run"));
            return;
        }

        Advance(await ProofOfEmptiness.TakeAsync(LookAsync, waiting => _ledger.Wait(waiting), _services.Timings, _services.Time, token).ConfigureAwait(false));

        Task<EmptinessReport> LookAsync() => AgentAsync(_services.Agent.GetEmptinessAsync, "the proof of emptiness", token);
    }

    // 5
    private async Task ArrangePowerOffAsync(CancellationToken token)
    {
        EvacuationSnapshot snapshot = _ledger.Snapshot;
        List<string> receivers = [.. snapshot.Moves.Where(move => move.Phase == MovePhase.Moved && move.Destination is not null)
            .GroupBy(move => move.Destination!).OrderByDescending(group => group.Count()).ThenBy(group => group.Key, StringComparer.Ordinal).Select(group => group.Key)];
        _ledger.Wait(new Waiting("a peer that watches this host's BMC", _services.Time.GetUtcNow(), null, "the host is shut down; if none can, it stays on"));
        WitnessSearch search = await _services.Power.FindWitnessAsync(
            receivers, snapshot.State, ReportBuilder.Build(snapshot, _services.Time.GetUtcNow()), token).ConfigureAwait(false);
        foreach (string refusal in search.Refusals)
            Advance(new EvacuationInput.Noted($"witness: {refusal}"));
        if (search.Witness is not { } witness)
        {
            Advance(new EvacuationInput.PowerOffImpossible(
                $"{snapshot.State.Node} is empty but stays on, since nobody could verify its power-off: {string.Join("; ", search.Refusals)}"));
            return;
        }

        if (!_ledger.TryApply(new EvacuationInput.WitnessFound(witness), out _))
            await _services.Power.WithdrawAsync(witness, snapshot.State.Id, CancellationToken.None).ConfigureAwait(false); // cancelled meanwhile; bounded by its own limits
    }

    // 6
    private async Task PowerOffAsync(CancellationToken stop)
    {
        EvacuationState state = _ledger.State;
        if (_services.BootId.Value != state.BootId)
        {
            await HearWitnessAsync(state, stop).ConfigureAwait(false);
            return;
        }

        if (state.Led is null)
            Advance(new EvacuationInput.LedSet(await _services.Power.LightLedAsync(stop).ConfigureAwait(false)));

        EmptinessReport? left;
        try
        {
            await KeepClosedAsync(stop).ConfigureAwait(false);
            PowerOffRequest request = new(state.Id, state.Trigger.Reason);
            left = await AgentAsync(t => _services.Agent.PowerOffAsync(request, t), "the host shuts down", stop).ConfigureAwait(false);
        }
        catch (AgentException e)
        {
            await StayOnAsync(state, $"evacuator-agent would not shut the host down: {e.Message}", null, stop).ConfigureAwait(false);
            return;
        }

        if (left is not null)
        {
            string what = string.Join("; ", left.Checks.Where(check => !check.Passed).Select(check => $"{check.Name}: {string.Join(", ", check.Left)}"));
            await StayOnAsync(state, $"something came back after the proof, so the host stays on: {what}", left, stop).ConfigureAwait(false);
            return;
        }

        // The shutdown ends this process. If it does not, the journal must not say "powering off" for ever.
        TimeSpan patience = _services.Options.Power.VerifyTimeout + (state.Trigger.ForceAfter ?? TimeSpan.Zero);
        Patience goingDown = new(patience, _services.Time);
        while (!goingDown.IsOver)
        {
            _ledger.Wait(new Waiting("the host to go down", _services.Time.GetUtcNow(), goingDown.Until, state.Trigger.ForceAfter is { } force
                ? $"{state.Witness} forces the power off {Common.Configuration.Duration.Format(force)} after the start"
                : "if it is still up then, the evacuation ends as failed"));
            await Task.Delay(_services.Timings.Retry, _services.Time, stop).ConfigureAwait(false);
        }

        Advance(new EvacuationInput.PowerOffImpossible($"the host was told to shut down and is still up {Common.Configuration.Duration.Format(patience)} later: see \"systemctl list-jobs\""));
    }

    private async Task StayOnAsync(EvacuationState state, string problem, EmptinessReport? left, CancellationToken stop)
    {
        if (state.Witness is { } witness)
            await _services.Power.WithdrawAsync(witness, state.Id, stop).ConfigureAwait(false);
        Advance(new EvacuationInput.LedSet(await _services.Power.DarkenLedAsync(stop).ConfigureAwait(false)));
        Advance(new EvacuationInput.PowerOffImpossible(problem, left));
    }

    /// <summary>The host is up again after the shutdown: only the witness knows whether it was off.</summary>
    private async Task HearWitnessAsync(EvacuationState state, CancellationToken stop)
    {
        Patience patience = new(_services.Timings.WitnessPatience, _services.Time);
        while (true)
        {
            WitnessAnswer answer = await _services.Power.HearAsync(state.Witness ?? "", state.Id, stop).ConfigureAwait(false);
            if (answer.Verification is { } verification)
            {
                Advance(new EvacuationInput.PowerVerified(verification));
                return;
            }

            if (!answer.MayChange || patience.IsOver)
            {
                Advance(new EvacuationInput.PowerOffImpossible($"the host has been restarted, and it is not verified that it was off: {answer.Problem}"));
                return;
            }

            _ledger.Wait(new Waiting($"the witness: {answer.Problem}", _services.Time.GetUtcNow(), patience.Until, "without its word the evacuation ends as failed"));
            await Task.Delay(_services.Timings.Retry, _services.Time, stop).ConfigureAwait(false);
        }
    }

    // Cancelling
    private async Task SettleCancelAsync(CancellationToken stop)
    {
        // Moves that have not begun end at once, those before release are aborted, released ones run to their end.
        await MoveAllAsync(stop).ConfigureAwait(false);
        if (_ledger.State.Witness is { } witness)
            await _services.Power.WithdrawAsync(witness, _ledger.State.Id, stop).ConfigureAwait(false);
        await AgentAsync(t => _services.Admission.ReopenAsync("the evacuation was cancelled", t, afterService: false), "the node is reopened and the evacuation ends as cancelled", stop).ConfigureAwait(false);
        Advance(new EvacuationInput.CancelSettled());
    }

    /// <summary>Takes a step, unless the operator has cancelled in the meantime: then the loop goes on with that.</summary>
    private void Advance(EvacuationInput input, IReadOnlyList<MoveState>? newMoves = null)
    {
        if (!_ledger.TryApply(input, out string? error, newMoves) && _ledger.State.Phase != EvacuationPhase.Cancelling)
            throw new InvalidOperationException($"evacuation {_ledger.State.Id:D}: {error}");
    }

    /// <summary>Asks the agent until it answers: it is restarted by systemd, and nothing can be decided without it.</summary>
    /// <exception cref="AgentException">it answered that it will not</exception>
    private Task<T> AgentAsync<T>(Func<CancellationToken, Task<T>> ask, string next, CancellationToken token) =>
        AgentPatience.AskAsync(ask, waiting => _ledger.Wait(waiting), next, _services.Timings.Retry, _services.Time, token);

    private Task AgentAsync(Func<CancellationToken, Task> ask, string next, CancellationToken token) => AgentAsync(async t =>
    {
        await ask(t).ConfigureAwait(false);
        return true;
    }, next, token);
}
