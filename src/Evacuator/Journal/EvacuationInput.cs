using Evacuator.Common.AgentApi;
using Evacuator.Placement;

namespace Evacuator.Journal;

/// <summary>What can happen to an evacuation.</summary>
internal abstract record EvacuationInput
{
    /// <summary>The agent takes no inbound container any more.</summary>
    internal sealed record AdmissionClosed : EvacuationInput;

    /// <summary>A plan was made and its moves are in the journal.</summary>
    internal sealed record PlanMade(IReadOnlyList<ExcludedPeer> ExcludedPeers) : EvacuationInput;

    /// <summary>The plan does not fit and the settings want all or nothing. Nothing has been touched.</summary>
    internal sealed record PlanRefused(IReadOnlyList<ExcludedPeer> ExcludedPeers, string Problem) : EvacuationInput;

    /// <summary>Every move has come to an end of some kind.</summary>
    internal sealed record MovesEnded : EvacuationInput;

    /// <summary>Containers run here that no plan has seen.</summary>
    internal sealed record ContainersAppeared(IReadOnlyList<string> Names) : EvacuationInput;

    /// <summary>Two looks found nothing.</summary>
    internal sealed record EmptyProven(IReadOnlyList<EmptinessReport> Proof) : EvacuationInput;

    /// <summary>Something is left.</summary>
    internal sealed record NotEmpty(EmptinessReport? LastLook, string Problem) : EvacuationInput;

    /// <summary>A peer watches the BMC from now on.</summary>
    internal sealed record WitnessFound(string Witness) : EvacuationInput;

    /// <summary>The LED was switched, or could not be.</summary>
    internal sealed record LedSet(string Outcome) : EvacuationInput;

    /// <summary>Power-off cannot go on; the host stays on.</summary>
    internal sealed record PowerOffImpossible(string Problem, EmptinessReport? LastLook = null) : EvacuationInput;

    /// <summary>The witness has seen the host off.</summary>
    internal sealed record PowerVerified(PowerVerification Verification) : EvacuationInput;

    /// <summary>A person wants a container of an evacuation that has failed tried again; the rest of the evacuation follows once more.</summary>
    /// <param name="Was">how they had ended, in words</param>
    internal sealed record RetryRequested(string By, IReadOnlyList<string> Names, string Was) : EvacuationInput;

    /// <summary>What had moved does not come back after a cancellation, although it was asked for.</summary>
    internal sealed record NotReturned(string Why) : EvacuationInput;

    internal sealed record CancelRequested(string By, bool Return = false) : EvacuationInput;

    /// <summary>Everything that could be undone has been undone, and admission is open again.</summary>
    internal sealed record CancelSettled : EvacuationInput;

    /// <summary>It cannot go on, for a reason that is not a container.</summary>
    internal sealed record Broke(string Problem) : EvacuationInput;

    /// <summary>Something worth knowing that changes nothing.</summary>
    internal sealed record Noted(string Text) : EvacuationInput;
}
