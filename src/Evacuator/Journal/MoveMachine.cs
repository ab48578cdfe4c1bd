using Evacuator.Common.AgentApi;
using Evacuator.Placement;
using static Evacuator.Journal.MoveInput;
using static Evacuator.Journal.MovePhase;

namespace Evacuator.Journal;

/// <summary>
/// The life of a move.
/// <code>
/// Planned ⇄ Reserving → Moving → Moved | Stayed | Unknown
///    │  refused: next peer │ refused before anything was frozen: next peer
///    └→ Blocked, Cancelled, Gone
/// Moving → Planned, once, for another peer, if that one was lost in the middle of the freeze
/// Moving → Planned, one rung lower, where the container may be stopped; Stayed, Blocked, Cancelled → Planned on the operator's word
/// </code>
/// </summary>
internal static class MoveMachine
{
    /// <summary>Live tries of a container that may be stopped, before it is: one failure may be the network's, or that of an agent that was restarted.</summary>
    private const int LiveTries = 2;

    /// <summary>A pure function: no clock, no I/O. <paramref name="now"/> only dates the result.</summary>
    /// <param name="cancelling">whether the evacuation is being cancelled: a move that stays then was cancelled, it did not fail</param>
    public static StepResult<MoveState> Step(MoveState state, MoveInput input, DateTimeOffset now, bool cancelling = false)
    {
        MoveState? next = (state.Phase, input) switch
        {
            // From Reserving: a restart lost the answer, the same peer is asked again under a new id.
            (Planned or Reserving, Try attempt) => state with
            {
                Phase = Reserving,
                Destination = attempt.Peer,
                MoveId = attempt.MoveId,
                Started = state.Started ?? now,
                Last = null,
            },
            (Reserving, Reserved reserved) => state with { Phase = Moving, Token = reserved.Token },
            (Reserving, Refused refused) => BackInLine(state, refused.Blockers),

            // It was tried, and stood still for it.
            (Planned, NoneLeft) when state.Rungs.Count > 0 => state with { Phase = Stayed, Blockers = Reasons(state), Detail = Words(Reasons(state)) },
            (Planned, NoneLeft) => state with { Phase = Blocked, Blockers = Reasons(state), Detail = Words(Reasons(state)) },
            (Planned, GroupBroken broken) => state with
            {
                Phase = Blocked,
                Blockers = [new Blocker(BlockerCode.GroupRule, $"{broken.Member} of its group is still here, and the group goes together (evacuator.group)")],
                Detail = $"{broken.Member} of its group is still here, and the group goes together (evacuator.group)",
            },
            (Planned, Vanished) => state with { Phase = Gone, Detail = "it had ended before its move began" },

            (Moving, Progress progress) when progress.Report.MoveId == state.MoveId => Follow(state, progress.Report, cancelling) with
            {
                Released = progress.Report.Phase == SourcePhase.Released ? state.Released ?? now : null,
            },
            (Reserving or Moving, Settled settled) when settled.End.IsEnd() => state with { Phase = settled.End, Detail = settled.Detail, Token = null },

            (Planned or Reserving, DeadlinePassed) when state.Mode == MoveMode.Live && MayStop(state) => state with { Phase = Planned, Mode = MoveMode.StopAndStart, Late = true, Token = null },
            (Planned or Reserving, DeadlinePassed) when state.Mode == MoveMode.Live => state with
            {
                Phase = Blocked,
                Late = true,
                Token = null,
                Blockers = [TooLate],
                Detail = TooLate.Text,
            },
            (Moving, DeadlinePassed) => state with { Late = true },

            (Stayed or Blocked or Cancelled, Retry) => state with
            {
                Phase = Planned,
                Destination = null,
                Token = null,
                Attempts = [],
                Blockers = [],
                Detail = "",
                Last = null,
                Late = false,
                Started = null,
                Ended = null,
                // As it was planned: what it takes after that many tries is another question.
                Rungs = [],
            },

            (Planned or Reserving, Cancel) => state with
            {
                Phase = Cancelled,
                Token = null,
                Detail = "the evacuation was cancelled before it began to move",
            },
            _ => null,
        };

        if (next is null)
            return StepResult<MoveState>.Refuse(state.Phase, input);
        return StepResult<MoveState>.To(next.Phase.IsEnd() && !state.Phase.IsEnd() ? next with { Ended = now } : next);
    }

    private static MoveState Follow(MoveState state, MoveReport report, bool cancelling) => report.Phase switch
    {
        SourcePhase.Moved => state with { Phase = Moved, Last = report, Token = null, Detail = report.Detail },
        SourcePhase.Stayed when cancelling => state with { Phase = Cancelled, Last = report, Token = null, Detail = report.Detail },
        // Known before anything was frozen, and a matter of that destination: another may take it.
        SourcePhase.Stayed when report.Blocker is { } blocker && report.FreezeMs is null && Destinations.IsReasonAgainst(blocker.Code)
            => BackInLine(state with { Last = report }, [blocker]),
        // Lost on the way, in the freeze: by then everything but the destination and the link had done its part, and the agent has seen that it runs here again. Another may take it, once:
        // it would stand still for each.
        SourcePhase.Stayed when report.Blocker is { Code: BlockerCode.PeerUnreachable } cut && report.FreezeMs is not null && state is { Mode: MoveMode.Live, Bound: false, Late: false, Rungs.Count: 0 }
            => BackInLine(state with { Last = report, Rungs = [RungOf(state, report)] }, [cut]),
        // The ladder: live, live once more, stopped here and started there; each rung only where its owner permits it.
        SourcePhase.Stayed when state.Mode == MoveMode.Live && MayStop(state) => state with
        {
            Phase = Planned,
            Token = null,
            Last = report,
            Mode = state.Late || state.Rungs.Count + 1 >= LiveTries ? MoveMode.StopAndStart : MoveMode.Live,
            Rungs = [.. state.Rungs, RungOf(state, report)],
        },
        SourcePhase.Stayed when state.Late && state.Mode == MoveMode.Live => state with
        {
            Phase = Stayed,
            Last = report,
            Token = null,
            Detail = TooLate.Text,
            Blockers = [TooLate],
        },
        SourcePhase.Stayed => state with
        {
            Phase = Stayed,
            Last = report,
            Token = null,
            Detail = report.Detail,
            Blockers = report.Blocker is null ? [] : [report.Blocker],
        },
        _ => state with { Last = report },
    };

    private static Rung RungOf(MoveState state, MoveReport report) => new(state.Mode, state.Destination ?? "?", report.Detail, report.FreezeMs);

    private static Blocker TooLate { get; } = new(BlockerCode.DeadlineOver,
        "the time for the whole evacuation (--deadline) was over, and it may not be stopped (annotation evacuator.policy=cold permits that)");

    private static bool MayStop(MoveState state) => ContainerPolicy.Of(state.Container).MayStop;

    private static MoveState BackInLine(MoveState state, IReadOnlyList<Blocker> blockers) => state with
    {
        Phase = Planned,
        Token = null,
        Attempts = [.. state.Attempts, new Attempt(state.Destination ?? "?", blockers)],
    };

    private static List<Blocker> Reasons(MoveState state) =>
        [.. state.Attempts.SelectMany(attempt => attempt.Blockers.Select(blocker => blocker with { Text = $"{attempt.Peer}: {blocker.Text}" }))];

    private static string Words(List<Blocker> blockers) =>
        blockers.Count == 0 ? "no peer could be asked" : string.Join("; ", blockers.Select(blocker => blocker.Text));
}
