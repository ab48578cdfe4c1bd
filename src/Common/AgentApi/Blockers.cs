namespace Evacuator.Common.AgentApi;

/// <summary>What follows from a blocker.</summary>
public static class Blockers
{
    /// <summary>It speaks against taking the container's processes along, and not against starting it elsewhere.</summary>
    public static bool IsOnlyAgainstLive(BlockerCode code) => code is
        BlockerCode.IoUring or BlockerCode.ExternalSocket or BlockerCode.NestedNamespace or BlockerCode.Traced or BlockerCode.FeatureMissing;
}
