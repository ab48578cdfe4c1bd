using Evacuator.Agent;
using Evacuator.Common.Configuration;
using Evacuator.Fleet;
using Evacuator.Placement;
using Evacuator.Power;
using Microsoft.Extensions.Logging;

namespace Evacuator.Evacuation;

/// <summary>What a run works with.</summary>
internal sealed record RunServices(
    EvacuatorOptions Options, AgentClient Agent, PeerDirectory Peers, Admission Admission, PowerHandover Power, BootId BootId, BrainTimings Timings, TimeProvider Time,
    ILoggerFactory Logs)
{
    public PlacementPolicy Placement => new(Options.Move.MemoryReservePercent, Options.Move.FreezeBudget);
}
