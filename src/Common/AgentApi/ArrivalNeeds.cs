namespace Evacuator.Common.AgentApi;

/// <summary>What a container takes of a host while it arrives: one rule for the plan and for the agent that reserves, so that no plan promises what the agent refuses.</summary>
public static class ArrivalNeeds
{
    /// <summary>While it arrives, its images and its memory are both there.</summary>
    public static long Memory(long memoryBytes) => memoryBytes * 2;

    /// <summary>With a tenth of slack: it writes on while it is copied.</summary>
    public static long Disk(long diskBytes) => diskBytes + diskBytes / 10;
}
