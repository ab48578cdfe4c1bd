using Evacuator.Common.AgentApi;

namespace Evacuator.Journal;

/// <summary>Tells reasons against one destination from reasons of the container itself.</summary>
internal static class Destinations
{
    /// <summary>True if another destination might not have the problem.</summary>
    public static bool IsReasonAgainst(BlockerCode code) => code is
        BlockerCode.NotEnoughMemory or BlockerCode.NotEnoughDisk or BlockerCode.NameTaken or BlockerCode.AddressTaken or BlockerCode.PathTaken
        or BlockerCode.BridgeMissing or BlockerCode.KernelTooOld or BlockerCode.CriuMissing or BlockerCode.CriuTooOld or BlockerCode.RuncMissing
        or BlockerCode.FeatureMissing or BlockerCode.CpuFeatures or BlockerCode.AdmissionClosed or BlockerCode.PeerUnreachable
        or BlockerCode.PeerVersion or BlockerCode.Reserved or BlockerCode.SpreadRule or BlockerCode.ZoneRule or BlockerCode.PeerDegraded or BlockerCode.PeerWindow;
}
