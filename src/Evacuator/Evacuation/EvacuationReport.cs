using System.Text.Json.Serialization;
using Evacuator.Common.AgentApi;
using Evacuator.Journal;
using Evacuator.Placement;

namespace Evacuator.Evacuation;

/// <summary>
/// All there is to know about an evacuation: live while it runs, and afterwards the record of it. One shape for status, report and the witness.
/// </summary>
internal sealed record EvacuationReport
{
    public required Guid Id { get; init; }

    public required string Node { get; init; }

    public required EvacuationPhase State { get; init; }

    /// <summary>One sentence for a person: where it stands or how it ended.</summary>
    public required string Summary { get; init; }

    public required TriggerKind Trigger { get; init; }

    public required string Reason { get; init; }

    public string? Ticket { get; init; }

    /// <summary>The failing component, where it was the reason.</summary>
    public Fault? Fault { get; init; }

    public required string RequestedBy { get; init; }

    public string? CancelledBy { get; init; }

    /// <summary>What had moved was to come back after the cancellation: a homecoming of the same id brings it, unless nothing had moved.</summary>
    public bool Returns { get; init; }

    /// <summary>Why it does not; empty otherwise.</summary>
    public string ReturnProblem { get; init; } = "";

    public required DateTimeOffset Started { get; init; }

    public DateTimeOffset? Ended { get; init; }

    /// <summary>From trigger to end, or to now.</summary>
    public required double TotalSeconds { get; init; }

    /// <summary>When the moves will be over, as far as this evacuation's own moves tell; null: cannot be told, or none is left.</summary>
    public double? EtaSeconds { get; init; }

    /// <summary>When containers that may be stopped are, and the others stay; null: never.</summary>
    public DateTimeOffset? Deadline { get; init; }

    /// <summary>What it waits for at this moment; null when it does not wait, or has ended.</summary>
    public Waiting? Waiting { get; init; }

    /// <summary>Why it failed; empty otherwise.</summary>
    public required string Problem { get; init; }

    /// <summary>What to do now that it has failed; empty otherwise.</summary>
    public string Next { get; init; } = "";

    public required IReadOnlyList<ContainerMove> Containers { get; init; }

    public required IReadOnlyList<ExcludedPeer> ExcludedPeers { get; init; }

    public required EmptinessProof Emptiness { get; init; }

    public required PowerReport Power { get; init; }

    public string? Led { get; init; }

    public required IReadOnlyList<string> Notes { get; init; }
}

/// <summary>One container in an evacuation.</summary>
internal sealed record ContainerMove
{
    public required string Name { get; init; }

    public required string From { get; init; }

    /// <summary>Where it is going or has gone; null while or if it has no destination.</summary>
    public string? To { get; init; }

    public required MovePhase State { get; init; }

    /// <summary>How it goes, or went.</summary>
    public MoveMode Mode { get; init; } = MoveMode.Live;

    /// <summary>Tries that ended here again, oldest first.</summary>
    public IReadOnlyList<Rung> Rungs { get; init; } = [];

    /// <summary>The source agent's phase while it moves.</summary>
    public SourcePhase? Step { get; init; }

    public required long MemoryBytes { get; init; }

    /// <summary>Of its files that travel; 0 in reports of older versions.</summary>
    public long DiskBytes { get; init; }

    /// <summary>What there is to send of it. More is sent where it writes meanwhile, less where it has zeroes or is compressed.</summary>
    [JsonIgnore]
    public long Size => (Mode == MoveMode.Live ? MemoryBytes : 0) + DiskBytes;

    /// <summary>Of files and memory, so far.</summary>
    public required long BytesSent { get; init; }

    public required int Rounds { get; init; }

    public double? FreezeMs { get; init; }

    public required IReadOnlyDictionary<string, double> FreezeParts { get; init; }

    /// <summary>How far down the ladder the agent went with it, and why; None until that is known.</summary>
    public MoveRung Rung { get; init; }

    public string RungReason { get; init; } = "";

    /// <summary>What it fetched after it was resumed (post-copy); null otherwise.</summary>
    public FetchReport? Fetch { get; init; }

    /// <summary>How CRIU was kept from memory that had been sent ahead; none before that is known.</summary>
    public DumpRung Dump { get; init; }

    /// <summary>Why no better one; empty if it is the best.</summary>
    public string DumpReason { get; init; } = "";

    public required IReadOnlyList<Blocker> Blockers { get; init; }

    public required IReadOnlyList<Attempt> Refusals { get; init; }

    public required string Detail { get; init; }

    public Waiting? Waiting { get; init; }

    public DateTimeOffset? Started { get; init; }

    public DateTimeOffset? Ended { get; init; }
}

/// <summary>For what, since when, until when, and what happens next.</summary>
/// <param name="Until">null: as long as it takes</param>
internal sealed record Waiting(string For, DateTimeOffset Since, DateTimeOffset? Until, string Next);

/// <param name="Passed">two looks in a row found nothing</param>
/// <param name="Looks">the two looks, or the last one that found something</param>
internal sealed record EmptinessProof(bool Passed, IReadOnlyList<EmptinessReport> Looks);

/// <param name="Requested">whether the host was to be powered off</param>
/// <param name="Witness">the peer that watches the BMC</param>
/// <param name="State">what two reads agreed on; null: not verified</param>
/// <param name="VerifiedBy">the node that read it</param>
/// <param name="Certificate">its statement, signed; "evacuator report --verify" checks it</param>
/// <param name="SafeToPull">it was seen off, and nobody has heard of it since; false where the host itself tells</param>
internal sealed record PowerReport(
    bool Requested, string? Witness, string? State, string? VerifiedBy, DateTimeOffset? VerifiedAt, bool Forced, Power.WitnessCertificate? Certificate = null, bool SafeToPull = false);
