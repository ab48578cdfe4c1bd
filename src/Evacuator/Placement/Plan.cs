using Evacuator.Common.AgentApi;

namespace Evacuator.Placement;

/// <summary>Who goes where, as data: can be shown without doing anything.</summary>
internal sealed record Plan
{
    /// <summary>Every container of the node, in the order of departure; those that cannot go come last.</summary>
    public required IReadOnlyList<PlannedContainer> Containers { get; init; }

    /// <summary>Peers that get nothing, with the reason.</summary>
    public required IReadOnlyList<ExcludedPeer> ExcludedPeers { get; init; }

    /// <summary>What each peer in question would have left.</summary>
    public required IReadOnlyList<PeerAfterwards> Peers { get; init; }

    /// <summary>What is missing for those that found no place, and where it could come from; null when nothing is missing.</summary>
    public Shortfall? Missing { get; init; }

    public bool Complete => Containers.All(container => container.Destination is not null);
}

/// <param name="Destination">null if it cannot go; then <paramref name="Blockers"/> says why</param>
/// <param name="FreezeBudgetMs">the longest it may stand still, in milliseconds; says nothing of one that is stopped</param>
internal sealed record PlannedContainer(
    ContainerReport Container, int Priority, int FreezeBudgetMs, string? Destination, IReadOnlyList<Blocker> Blockers)
{
    public MoveMode Mode { get; init; } = MoveMode.Live;

    /// <summary>Why it is not moved live; empty when it is.</summary>
    public string ModeReason { get; init; } = "";

    /// <summary>Annotations that could not be understood, in words.</summary>
    public IReadOnlyList<string> Mistakes { get; init; } = [];

    /// <summary>What it will cost; null where nothing is known to say it from.</summary>
    public Prediction? Prediction { get; init; }
}

/// <summary>What a move will cost, as far as experience tells.</summary>
/// <param name="Rounds">passes of copying while it runs; null: not known</param>
/// <param name="Seconds">from its beginning to its end; null: not known</param>
/// <param name="FreezeMs">how long it will stand still; null: not known</param>
/// <param name="Basis">where the figures come from, in words</param>
internal sealed record Prediction(int? Rounds, double? Seconds, double? FreezeMs, string Basis);

internal sealed record ExcludedPeer(string Name, BlockerCode Code, string Reason);

/// <summary>Bytes of memory free for containers before and after the plan.</summary>
internal sealed record PeerAfterwards(string Name, long FreeBefore, long FreeAfter, int Containers);

/// <summary>What a plan that does not fit lacks.</summary>
/// <param name="MemoryBytes">of the containers that no peer has memory for</param>
/// <param name="DiskBytes">of the containers that no peer has disk for</param>
/// <param name="Containers">their names</param>
/// <param name="Sources">what would help: a rule to mend, or where room could come from, the most promising first, in words</param>
internal sealed record Shortfall(long MemoryBytes, long DiskBytes, IReadOnlyList<string> Containers, IReadOnlyList<string> Sources)
{
    /// <summary>What there is too little of, in words; empty where room would not help.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public string Amounts => string.Join(", ", ((string[])[MemoryBytes > 0 ? $"{Bytes.Text(MemoryBytes)} of memory" : "", DiskBytes > 0 ? $"{Bytes.Text(DiskBytes)} of disk" : ""]).Where(part => part.Length > 0));
}
