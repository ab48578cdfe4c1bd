namespace Evacuator.Placement;

/// <summary>The settings that placement depends on.</summary>
/// <param name="MemoryReservePercent">part of a peer's memory that must stay free</param>
/// <param name="DefaultFreezeBudget">where the container does not say</param>
internal sealed record PlacementPolicy(int MemoryReservePercent, TimeSpan DefaultFreezeBudget);
