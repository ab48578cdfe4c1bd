using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Homecoming;
using Evacuator.Journal;

namespace Evacuator.Notices;

/// <summary>
/// Which notices follow from what the journal says: pure functions, so that a restart finds the same ones again, and their keys tell that they have been told.
/// </summary>
internal static class NoticeRules
{
    /// <param name="standsStill">for how long a released container may wait for its destination before a person is told</param>
    public static IEnumerable<Notice> Of(EvacuationState state, IReadOnlyList<MoveState> moves, DateTimeOffset now, TimeSpan standsStill)
    {
        string id = $"evacuation/{state.Id:D}";
        Notice Make(string what, NoticeKind kind, DateTimeOffset at, string text, string? container = null) => new()
        {
            Key = $"{id}/{what}",
            Kind = kind,
            At = at,
            Node = state.Node,
            About = state.Node,
            Id = state.Id,
            Container = container,
            Ticket = state.Trigger.Ticket,
            Text = text,
        };

        yield return Make("started", NoticeKind.Started, state.Started, $"{state.Node} is being emptied: {state.Trigger.Reason}, asked by {state.Trigger.RequestedBy}");
        if (state is { Phase: EvacuationPhase.Closing, Trigger.Kind: TriggerKind.Signal } && now - state.Started > standsStill)
        {
            yield return Make("waits", NoticeKind.NeedsPerson, state.Started + standsStill,
                $"{state.Node} has to be emptied because of its hardware ({state.Trigger.Reason}) and has not begun since {state.Started:u}: \"evacuator report\" there says what it waits for, such as "
                + "a place among those that may be out at once. It begins by itself; \"evacuator cancel\" and \"evacuator start --force\" there do not wait");
        }

        foreach (MoveState move in moves)
        {
            DateTimeOffset at = move.Ended ?? state.Updated;
            switch (move.Phase)
            {
                case MovePhase.Blocked:
                    yield return Make($"blocked/{move.Name}", NoticeKind.Blocked, at, $"{move.Name} cannot leave {state.Node} and runs on: {move.Detail}", move.Name);
                    break;
                case MovePhase.Stayed:
                    yield return Make($"failed/{move.Name}", NoticeKind.Failed, at, $"{move.Name} did not move from {state.Node} and runs on: {move.Detail}", move.Name);
                    break;
                case MovePhase.Moved when move.Last is { Phase: SourcePhase.Moved, Detail: { Length: > 0 } wrong }:
                    yield return Make($"arrived/{move.Name}", NoticeKind.NeedsPerson, at, $"{move.Name} moved from {state.Node} to {move.Destination}, but not all is well: {wrong}", move.Name);
                    break;
                case MovePhase.Moving when move.Released is { } released && now - released > standsStill:
                    yield return Make($"released/{move.Name}/{move.MoveId:D}", NoticeKind.NeedsPerson, released + standsStill,
                        $"{move.Name} of {state.Node} STANDS STILL since {released:u}: it was released to {move.Destination}, which does not answer ({move.Last?.Detail}). It goes on by itself when that "
                        + $"node answers; if {move.Destination} is gone for good, see \"evacuator settle\"", move.Name);
                    break;
                case MovePhase.Unknown:
                    yield return Make($"unknown/{move.Name}", NoticeKind.NeedsPerson, at, $"nobody can say where {move.Name} of {state.Node} runs: {move.Detail}", move.Name);
                    break;
            }
        }

        if (state.Ended is not { } ended)
            yield break;
        switch (state.Phase)
        {
            case EvacuationPhase.Done when state.Power is null:
                yield return Make("end", NoticeKind.Done, ended, $"{state.Node} is empty, proven twice; it is on and takes no container until it is reopened");
                break;
            case EvacuationPhase.Done:
                yield return Make("end", NoticeKind.Done, ended, $"{state.Node} is up again; {state.Power!.VerifiedBy} had seen it off");
                break;
            case EvacuationPhase.Cancelled:
                yield return Make("end", NoticeKind.Cancelled, ended, $"the evacuation of {state.Node} was cancelled by {state.CancelledBy}");
                break;
            case EvacuationPhase.Failed when moves.Count == 0:
                yield return Make("end", NoticeKind.Blocked, ended, $"{state.Node} cannot be emptied: {state.Problem}");
                break;
            case EvacuationPhase.Failed:
                yield return Make("end", NoticeKind.NeedsPerson, ended, $"{state.Node} is not empty, or could not be proven to be, and stays on: {state.Problem}");
                break;
        }
    }

    /// <param name="node">this node, which is the witness</param>
    public static IEnumerable<Notice> Of(WitnessState state, string node)
    {
        Notice Make(NoticeKind kind, string text) => new()
        {
            Key = $"witness/{state.EvacuationId:D}/{state.Node}",
            Kind = kind,
            At = state.Ended ?? state.Started,
            Node = node,
            About = state.Node,
            Id = state.EvacuationId,
            Ticket = state.Report.Ticket,
            Location = state.Report.Fault?.Location,
            Part = state.Report.Fault?.Part,
            PartNumber = state.Report.Fault?.PartNumber,
            SerialNumber = state.Report.Fault?.SerialNumber,
            Text = text,
        };

        switch (state.Phase)
        {
            case WitnessPhase.VerifiedOff:
                yield return Make(NoticeKind.SafeToPull, $"{state.Node} is SAFE TO PULL: empty and off, as {node} has read on its BMC{WhatToPull(state.Report)}");
                break;
            case WitnessPhase.NotOff or WitnessPhase.CannotTell:
                yield return Make(NoticeKind.NeedsPerson, $"do NOT open {state.Node} before you have looked: {state.Detail}");
                break;
        }
    }

    public static IEnumerable<Notice> Of(HomecomingState state)
    {
        if (state.Ended is not { } ended || (state.Steps.Count == 0 && state.Phase == HomecomingPhase.Done))
            yield break;
        int home = state.Steps.Count(step => step is { Plan.Kind: HomecomingStepKind.BringHome, Phase: HomecomingStepPhase.Done });
        (NoticeKind kind, string text) = state.Phase switch
        {
            HomecomingPhase.Done => (NoticeKind.BackHome, $"{home} {(home == 1 ? "container is" : "containers are")} back home on {state.Node}"),
            HomecomingPhase.Cancelled => (NoticeKind.Cancelled, $"the homecoming to {state.Node} was cancelled by {state.CancelledBy} after {home} had come"),
            _ => (NoticeKind.NeedsPerson, $"{home} came home to {state.Node}, others did not: {state.Problem}"),
        };
        yield return new Notice
        {
            Key = $"homecoming/{state.Id:D}/end",
            Kind = kind,
            At = ended,
            Node = state.Node,
            About = state.Node,
            Id = state.Id,
            Text = text,
        };
    }

    private static string WhatToPull(EvacuationReport report) => report.Fault is { } fault
        ? $". Failing: {fault.Part}{(fault.Location is { Length: > 0 } place ? $", at {place}" : "")}"
        : $". Reason: {report.Reason}";
}
