using Evacuator.Common.AgentApi;

namespace Evacuator.Placement;

/// <summary>What placement depends on besides containers and peers.</summary>
/// <param name="MemoryReservePercent">part of a peer's memory that must stay free</param>
/// <param name="DefaultFreezeBudget">where the container does not say</param>
internal sealed record PlacementPolicy(int MemoryReservePercent, TimeSpan DefaultFreezeBudget)
{
    /// <summary>This node, which the containers leave.</summary>
    public Origin From { get; init; } = new("this node");

    /// <summary>What is failing on it, where that is why it is emptied; null otherwise.</summary>
    public Journal.Fault? Failing { get; init; }
}

/// <summary>The node that is left: where it stands, and what containers that run on it may rely on.</summary>
/// <param name="Node">its name</param>
/// <param name="Zone">empty: not told</param>
/// <param name="Rack">empty: not told</param>
/// <param name="Host">its kernel, CRIU and processor; null while its agent does not answer: then nothing is compared</param>
internal sealed record Origin(string Node, string Zone = "", string Rack = "", HostReport? Host = null);
