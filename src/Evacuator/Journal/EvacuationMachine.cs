using static Evacuator.Journal.EvacuationInput;
using static Evacuator.Journal.EvacuationPhase;

namespace Evacuator.Journal;

/// <summary>
/// The life of an evacuation.
/// <code>
/// Closing → Planning → Moving → Proving → Done
///              ↑                  │  ├──→ Failed (something is left)
///              └── new containers ┘  └──→ ArrangingPowerOff → PoweringOff → Done (off, seen by the witness)
///                                              └────────────────┴──→ Failed (host stays on)
/// every phase before the shutdown was asked for: cancel → Cancelling → Cancelled
/// Failed, on the operator's word: retry → Closing
/// </code>
/// </summary>
internal static class EvacuationMachine
{
    /// <summary>A pure function: no clock, no I/O. <paramref name="now"/> only dates the result.</summary>
    public static StepResult<EvacuationState> Step(EvacuationState state, EvacuationInput input, DateTimeOffset now)
    {
        EvacuationState? next = (state.Phase, input) switch
        {
            (_, Noted noted) => state with { Notes = [.. state.Notes, $"{now:u} {noted.Text}"] },

            (Closing, AdmissionClosed) => state with { Phase = Planning },

            (Planning, PlanMade made) => state with { Phase = Moving, Passes = state.Passes + 1, ExcludedPeers = made.ExcludedPeers },
            (Planning, PlanRefused refused) => state with { Phase = Failed, ExcludedPeers = refused.ExcludedPeers, Problem = refused.Problem },

            (Moving, MovesEnded) => state with { Phase = Proving },

            (Proving, ContainersAppeared appeared) => state with
            {
                Phase = Planning,
                Notes = [.. state.Notes, $"{now:u} appeared while the node was being emptied: {string.Join(", ", appeared.Names)}"],
            },
            (Proving, EmptyProven proven) => state with
            {
                Phase = state.Trigger.PowerOff ? ArrangingPowerOff : Done,
                Proof = proven.Proof,
            },
            (Proving, NotEmpty left) => state with { Phase = Failed, Proof = left.LastLook is null ? [] : [left.LastLook], Problem = left.Problem },

            (ArrangingPowerOff, WitnessFound found) => state with { Phase = PoweringOff, Witness = found.Witness },
            (ArrangingPowerOff or PoweringOff, LedSet led) => state with { Led = led.Outcome },
            (ArrangingPowerOff or PoweringOff, PowerOffImpossible not) => state with
            {
                Phase = Failed,
                Problem = not.Problem,
                Proof = not.LastLook is null ? state.Proof : [not.LastLook],
            },
            (PoweringOff, PowerVerified seen) => state with { Phase = Done, Power = seen.Verification },

            // The node may have been reopened since, so it begins where every evacuation begins.
            (Failed, RetryRequested retry) => state with
            {
                Phase = Closing,
                Problem = "",
                Ended = null,
                Proof = [],
                Witness = null,
                Led = null,
                Notes = [.. state.Notes, $"{now:u} {retry.By} retries {string.Join(", ", retry.Names)}; {retry.Was}"],
            },

            (Closing or Planning or Moving or Proving or ArrangingPowerOff, CancelRequested cancel) =>
                state with { Phase = Cancelling, CancelledBy = cancel.By, ReturnMoved = cancel.Return },
            // Asking twice changes nothing; only what is to become of those that have moved can still be said.
            (Cancelling, CancelRequested { Return: true }) => state with { ReturnMoved = true },
            (Cancelling or Cancelled, CancelRequested) => state,
            (Cancelling, CancelSettled) => state with { Phase = Cancelled },
            (Cancelled, NotReturned not) when state.ReturnMoved => state with { ReturnProblem = not.Why },

            (Done or Failed or Cancelled, Broke) => null,
            (_, Broke broke) => state with { Phase = Failed, Problem = broke.Problem },

            _ => null,
        };

        if (next is null)
            return StepResult<EvacuationState>.Refuse(state.Phase, input);
        bool ends = next.Phase.IsEnd() && !state.Phase.IsEnd();
        // It was over when the witness saw the host off, however long after that the host was switched on again; the witness's own report says the same.
        DateTimeOffset end = input is PowerVerified { Verification.At: var seenAt } && seenAt >= state.Started ? seenAt : now;
        return StepResult<EvacuationState>.To(next with { Updated = now, Ended = ends ? end : next.Ended });
    }
}
