using System.Globalization;
using Evacuator.Common.AgentApi;
using Evacuator.Journal;

namespace Evacuator.Evacuation;

/// <summary>Makes the report out of the journal's states: a pure function.</summary>
internal static class ReportBuilder
{
    /// <param name="parallel">moves at once, for the time that is left</param>
    /// <param name="standing">what has become of the node since; null: it is as the evacuation left it</param>
    public static EvacuationReport Build(EvacuationSnapshot snapshot, DateTimeOffset now, int parallel = 1, NodeStanding? standing = null)
    {
        EvacuationState state = snapshot.State;
        bool ended = state.Phase.IsEnd();
        return new EvacuationReport
        {
            Id = state.Id,
            Node = state.Node,
            State = state.Phase,
            Summary = Summarize(state, snapshot.Moves, standing),
            Trigger = state.Trigger.Kind,
            Reason = state.Trigger.Reason,
            Ticket = state.Trigger.Ticket,
            Fault = state.Trigger.Fault,
            RequestedBy = state.Trigger.RequestedBy,
            CancelledBy = state.CancelledBy,
            Returns = state.ReturnMoved,
            ReturnProblem = state.ReturnProblem,
            Started = state.Started,
            Ended = state.Ended,
            // By the wall clock, which may have been set in between: never negative.
            TotalSeconds = Math.Max(0, Math.Round(((state.Ended ?? now) - state.Started).TotalSeconds, 1)),
            EtaSeconds = state.Phase == EvacuationPhase.Moving ? Eta.OfMoves(snapshot.Moves, parallel, now, snapshot.Sent)?.TotalSeconds : null,
            Deadline = state.Trigger.Deadline,
            Waiting = ended ? null : snapshot.Waiting,
            Problem = state.Problem,
            Next = NextStep(state, snapshot.Moves, standing, now),
            Containers = [.. snapshot.Moves.Select(move => Describe(move, state.Node, snapshot.MoveWaiting.GetValueOrDefault(move.Name)))],
            ExcludedPeers = state.ExcludedPeers,
            Emptiness = new EmptinessProof(state.Proof.Count >= 2 && state.Proof.All(look => look.Empty), state.Proof),
            Power = new PowerReport(state.Trigger.PowerOff, state.Witness, state.Power?.State, state.Power?.VerifiedBy, state.Power?.At, state.Power?.Forced ?? false, state.Power?.Certificate),
            Led = state.Led,
            Notes = state.Notes,
        };
    }

    /// <param name="isUpAgain">the node has answered since it was seen off</param>
    /// <summary>The report that a witness gives for a node that is off: what the node told it, completed with what it saw itself.</summary>
    public static EvacuationReport Complete(WitnessState witness, string ownNode, bool isUpAgain)
    {
        EvacuationReport report = witness.Report with { Power = witness.Report.Power with { Witness = ownNode }, Led = witness.Led ?? witness.Report.Led };
        if (witness.Phase == WitnessPhase.VerifiedOff)
        {
            return report with
            {
                State = EvacuationPhase.Done,
                Summary = string.Create(CultureInfo.InvariantCulture, $"{report.Node} is empty and off, as {ownNode} saw on its BMC at {witness.LastRead:u}"),
                Ended = witness.LastRead,
                // The host's clock and this one's: never negative, whatever lies between them.
                TotalSeconds = Math.Max(0, Math.Round(((witness.LastRead ?? witness.Started) - report.Started).TotalSeconds, 1)),
                Waiting = null,
                Power = report.Power with { State = witness.LastPowerState, VerifiedBy = ownNode, VerifiedAt = witness.LastRead, Forced = witness.Forced is not null, Certificate = witness.Certificate, SafeToPull = !isUpAgain },
            };
        }

        return report with
        {
            Next = witness.Phase is WitnessPhase.NotOff or WitnessPhase.CannotTell ? $"go and look at {report.Node} before you open it; its BMC is {witness.BmcUrl}" : "",
            // What the node told was said while it looked for a witness; it has gone on since.
            State = witness.Phase == WitnessPhase.Withdrawn ? report.State : EvacuationPhase.PoweringOff,
            Summary = witness.Phase switch
            {
                WitnessPhase.Watching => $"{report.Node} is going down; {ownNode} watches its BMC. {witness.Detail}",
                WitnessPhase.Withdrawn => $"{report.Node} stayed on and called the watch off: ask it for its report",
                _ => $"not verified: {witness.Detail}",
            },
            Waiting = witness.Phase == WitnessPhase.Watching
                ? new Waiting($"PowerState Off on the BMC of {report.Node}", witness.Started, witness.Until, NextOf(witness))
                : null,
        };
    }

    /// <summary>What a person does now that it has failed, or has to know now that it was cancelled; empty otherwise.</summary>
    private static string NextStep(EvacuationState state, IReadOnlyList<MoveState> moves, NodeStanding? standing, DateTimeOffset now) => state switch
    {
        { Phase: EvacuationPhase.Cancelled, Trigger.Kind: TriggerKind.Signal, Ended: { } ended } when standing is { CoolDown: var coolDown } && ended <= now && now < ended + coolDown =>
            $"this node does not empty itself again before {ended + coolDown:u} ([signals] cool-down), and not at all for what it was being emptied for; \"evacuator start\" does it at once",
        { Phase: not EvacuationPhase.Failed } => "",
        { Passes: > 0, Power: null } when standing is { ClosedByIt: false } => $"{(standing.Open ? "this node takes containers again" : "this node was closed anew since")}, and what was left runs on: correct the reason and start again",
        { Passes: 0 } when state.Problem.Contains("--partial", StringComparison.Ordinal) =>
            $"nothing was touched and the host is open: {Mend(moves)} (\"evacuator plan\" shows whether all would go then) and start again, or start again with --partial",
        { Proof: [_, _], Witness: not null, Power: null } => "look at the witness's report and at the machine; \"evacuator reopen\" when it is to take containers again",
        { Proof: [_, _] } => "the host is empty, on and closed: correct the reason and start again, or shut it down yourself; \"evacuator reopen\" when it is to take containers again",
        _ => "the host is on and closed, and what is left on it runs on: correct the reason and start again, or \"evacuator reopen\" to go on as before",
    };

    /// <summary>What has to be done before a plan that was refused whole.</summary>
    private static string Mend(IReadOnlyList<MoveState> moves)
    {
        List<MoveState> blocked = [.. moves.Where(move => move.Phase == MovePhase.Blocked)];
        bool lacksRoom = blocked.Any(NeedsRoom);
        string[] others = [.. blocked.Where(move => !NeedsRoom(move)).Select(move => move.Name)];
        string mend = $"mend what keeps {string.Join(", ", others)} here";
        return (lacksRoom, others.Length) switch { (true, 0) => "make room", (true, _) => $"make room, {mend}", (_, 0) => "mend the reason", _ => mend };

        static bool NeedsRoom(MoveState move) => move.Blockers.Any(blocker => blocker.Code is BlockerCode.NotEnoughMemory or BlockerCode.NotEnoughDisk or BlockerCode.NoPeer);
    }

    private static string NextOf(WitnessState witness) => witness switch
    {
        { Forced: not null } => "it has been forced off; if it still reads on at that time, a person has to look",
        { ForceFrom: { } from } => $"forced off from {from:u} on",
        _ => "if it still reads on at that time, a person has to look; it is not forced off",
    };

    public static ContainerMove Describe(MoveState move, string node, Waiting? waiting) => new()
    {
        Name = move.Name,
        From = node,
        To = move.Phase is MovePhase.Blocked or MovePhase.Gone ? null : move.Destination,
        State = move.Phase,
        Mode = move.Mode,
        Rungs = move.Rungs,
        Step = move.Last?.Phase,
        MemoryBytes = move.Container.MemoryBytes,
        DiskBytes = move.Container.DiskBytes,
        BytesSent = move.Last?.BytesSent ?? 0,
        Rounds = move.Last?.Rounds ?? 0,
        FreezeMs = move.Last?.FreezeMs,
        FreezeParts = move.Last?.FreezeParts ?? new Dictionary<string, double>(),
        Rung = move.Last?.Rung ?? MoveRung.None,
        RungReason = move.Last?.RungReason ?? "",
        Fetch = move.Last?.Fetch,
        Dump = move.Last?.Dump ?? DumpRung.None,
        DumpReason = move.Last?.DumpReason ?? "",
        Blockers = move.Blockers,
        Refusals = move.Attempts,
        Detail = move.Phase.IsEnd() || move.Last is not { Detail.Length: > 0 } ? move.Detail : move.Last.Detail,
        Waiting = move.Phase.IsEnd() ? null : waiting,
        Started = move.Started,
        Ended = move.Ended,
    };

    private static string Summarize(EvacuationState state, IReadOnlyList<MoveState> moves, NodeStanding? standing)
    {
        int moved = moves.Count(move => move.Phase == MovePhase.Moved);
        string count = $"{moved} of {moves.Count} containers moved";
        return state.Phase switch
        {
            EvacuationPhase.Closing => "closing the node to new containers",
            EvacuationPhase.Planning => "asking the peers and making a plan",
            EvacuationPhase.Moving => $"moving: {count}",
            EvacuationPhase.Proving => $"{count}; proving that nothing is left",
            EvacuationPhase.ArrangingPowerOff => $"{count}, nothing is left; looking for a peer that watches the power-off",
            EvacuationPhase.PoweringOff => $"{count}, nothing is left; going down, {state.Witness} watches",
            EvacuationPhase.Done when state.Power is { } power => $"{count}, {state.Node} was {power.State} as {power.VerifiedBy} saw on its BMC",
            EvacuationPhase.Done when standing is { ClosedByIt: false } => $"{count}, nothing was left on {state.Node}{(standing.Open ? "; it takes containers again" : "")}",
            EvacuationPhase.Done => $"{count}, nothing is left on {state.Node}; it is on and takes no container until \"evacuator reopen\"",
            EvacuationPhase.Failed => $"{count}; {state.Problem}",
            EvacuationPhase.Cancelling => $"by {state.CancelledBy}: {count} before that",
            EvacuationPhase.Cancelled => $"by {state.CancelledBy}; {count} before that{(moved == moves.Count ? "" : "; the others run here")}",
            _ => state.Phase.ToString(),
        };
    }
}

/// <summary>What has become of a node since an evacuation of it.</summary>
/// <param name="ClosedByIt">it takes no containers, because of that evacuation</param>
/// <param name="Open">it takes containers</param>
/// <param name="CoolDown">for so long after an evacuation that it began by itself it begins none</param>
internal sealed record NodeStanding(bool ClosedByIt, bool Open, TimeSpan CoolDown);
