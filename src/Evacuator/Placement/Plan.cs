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

    public bool Complete => Containers.All(container => container.Destination is not null);
}

/// <param name="Destination">null if it cannot go; then <paramref name="Blockers"/> says why</param>
/// <param name="FreezeBudgetMs">the longest it may stand still, in milliseconds</param>
internal sealed record PlannedContainer(
    ContainerReport Container, int Priority, int FreezeBudgetMs, string? Destination, IReadOnlyList<Blocker> Blockers);

internal sealed record ExcludedPeer(string Name, BlockerCode Code, string Reason);

/// <summary>Bytes of memory free for containers before and after the plan.</summary>
internal sealed record PeerAfterwards(string Name, long FreeBefore, long FreeAfter, int Containers);
