using System.Collections.Frozen;
using Evacuator.Common.AgentApi;

namespace Evacuator.Placement;

/// <summary>A peer as the planner sees it: what it answered, or why it cannot be asked.</summary>
internal sealed record PeerView
{
    public required string Name { get; init; }

    /// <summary>Null when the peer did not answer.</summary>
    public HostReport? Host { get; init; }

    /// <summary>Empty: not told. Then it is a zone of its own as far as spreading goes.</summary>
    public string Zone { get; init; } = "";

    /// <summary>Empty: not told. Then it is a rack of its own.</summary>
    public string Rack { get; init; } = "";

    /// <summary>Names of the groups (annotation evacuator.spread) that already have a member there.</summary>
    public IReadOnlyList<string> SpreadGroups { get; init; } = [];

    /// <summary>Names of the containers there.</summary>
    public IReadOnlySet<string> Names { get; init; } = FrozenSet<string>.Empty;

    /// <summary>Addresses of the containers there, without prefix length.</summary>
    public IReadOnlySet<string> Addresses { get; init; } = FrozenSet<string>.Empty;

    /// <summary>Why it gets nothing whatever the container; null when it can be used.</summary>
    public ExcludedPeer? Excluded { get; init; }
}
