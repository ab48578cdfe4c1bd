using Evacuator.Common.AgentApi;
using static Evacuator.Journal.MoveInput;
using static Evacuator.Journal.MovePhase;

namespace Evacuator.Journal;

/// <summary>
/// The life of a move.
/// <code>
/// Planned ⇄ Reserving → Moving → Moved | Stayed | Unknown
///    │  refused: next peer │ refused before anything was frozen: next peer
///    └→ Blocked, Cancelled, Gone
/// </code>
/// </summary>
internal static class MoveMachine
{
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

            (Planned, NoneLeft) => state with { Phase = Blocked, Blockers = Reasons(state), Detail = Words(Reasons(state)) },
            (Planned, Vanished) => state with { Phase = Gone, Detail = "it had ended before its move began" },

            (Moving, Progress progress) when progress.Report.MoveId == state.MoveId => Follow(state, progress.Report, cancelling),
            (Reserving or Moving, Settled settled) when settled.End.IsEnd() => state with { Phase = settled.End, Detail = settled.Detail, Token = null },

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
