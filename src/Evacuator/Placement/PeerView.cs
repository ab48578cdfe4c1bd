using Evacuator.Common.AgentApi;

namespace Evacuator.Placement;

/// <summary>A peer as the planner sees it: what it answered, or why it cannot be asked.</summary>
internal sealed record PeerView
{
    public required string Name { get; init; }

    /// <summary>Null when the peer did not answer.</summary>
    public HostReport? Host { get; init; }

    /// <summary>Names of the groups (annotation evacuator.spread) that already have a member there.</summary>
    public IReadOnlyList<string> SpreadGroups { get; init; } = [];

    /// <summary>Why it gets nothing whatever the container; null when it can be used.</summary>
    public ExcludedPeer? Excluded { get; init; }
}
