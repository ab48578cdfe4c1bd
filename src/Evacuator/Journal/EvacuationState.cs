using Evacuator.Common.AgentApi;
using Evacuator.Placement;

namespace Evacuator.Journal;

/// <summary>One run that empties this node, as the journal keeps it. Changed only by <see cref="EvacuationMachine.Step"/>.</summary>
internal sealed record EvacuationState
{
    public required Guid Id { get; init; }

    public required string Node { get; init; }

    /// <summary>Boot of the host in which the evacuation began.</summary>
    public required string BootId { get; init; }

    public required Trigger Trigger { get; init; }

    public required EvacuationPhase Phase { get; init; }

    public required DateTimeOffset Started { get; init; }

    public required DateTimeOffset Updated { get; init; }

    public DateTimeOffset? Ended { get; init; }

    /// <summary>How often a plan was made: containers that appear while the node is emptied are planned in a further pass.</summary>
    public int Passes { get; init; }

    /// <summary>Peers that got no container, with the reason, as of the last plan.</summary>
    public IReadOnlyList<ExcludedPeer> ExcludedPeers { get; init; } = [];

    /// <summary>The two looks that proved the node empty, or the last look that did not.</summary>
    public IReadOnlyList<EmptinessReport> Proof { get; init; } = [];

    /// <summary>The peer that watches the BMC.</summary>
    public string? Witness { get; init; }

    /// <summary>What became of the locator LED; null before it was tried.</summary>
    public string? Led { get; init; }

    public PowerVerification? Power { get; init; }

    /// <summary>Why it failed, in words; empty otherwise.</summary>
    public string Problem { get; init; } = "";

    public string? CancelledBy { get; init; }

    /// <summary>What has moved is to come back once the cancellation is over.</summary>
    public bool ReturnMoved { get; init; }

    /// <summary>Why it does not, in words; empty: it does, or need not. Absent in journals of older versions.</summary>
    public string ReturnProblem { get; init; } = "";

    /// <summary>Things worth knowing that changed nothing, oldest first: a restart of the service, a reboot, a witness that did not answer.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];
}

/// <summary>What a witness saw on the BMC.</summary>
/// <param name="State">the PowerState two reads agreed on, e.g. Off</param>
/// <param name="VerifiedBy">name of the node that read it</param>
/// <param name="At">time of the last read</param>
/// <param name="Forced">whether the witness had to force it</param>
/// <param name="Certificate">the same, signed by it; null from a witness of an earlier release</param>
internal sealed record PowerVerification(string State, string VerifiedBy, DateTimeOffset At, bool Forced, Power.WitnessCertificate? Certificate = null);
