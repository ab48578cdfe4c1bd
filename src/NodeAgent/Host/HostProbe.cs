using Evacuator.Common.AgentApi;

namespace Evacuator.NodeAgent.Host;

/// <summary>What this host can do and how much room it has.</summary>
/// <param name="node">name of the node in the fleet</param>
/// <param name="agentVersion">version of this agent</param>
/// <param name="protocolVersion">version of the protocol between agents</param>
/// <param name="bundlesDirectory">whose file system's free space is reported</param>
internal sealed class HostProbe(string node, string agentVersion, int protocolVersion, string bundlesDirectory, TimeProvider time)
{
    /// <summary>Cheap enough for every second: programs and kernel features are probed once and again every few minutes if one was missing.</summary>
    public Task<HostReport> ReportAsync(bool inboundOpen, long memoryReserved, CancellationToken cancel) =>
        throw new NotSupportedException($"{node} {agentVersion} {protocolVersion} {bundlesDirectory} {time}");
}
