using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Fleet;
using Evacuator.Fleet.Locks;
using Evacuator.Homecoming;
using Evacuator.Placement;
using Evacuator.Power;
using Microsoft.Extensions.Logging;

namespace Evacuator.Evacuation;

/// <summary>What a run works with.</summary>
internal sealed record RunServices(
    EvacuatorOptions Options, AgentClient Agent, PeerDirectory Peers, Admission Admission, PowerHandover Power, GuestBook Guests, DepartureBoard Departures, RehearsalBoard Rehearsals, IFleetLock Lock, IFleetRegister Register, BootId BootId, BrainTimings Timings,
    TimeProvider Time, ILoggerFactory Logs)
{
    /// <summary>What placement depends on, as of now. A silent agent costs the comparison of processors and kernels, which the destination cannot make either.</summary>
    public async Task<PlacementPolicy> PlacementAsync(CancellationToken token)
    {
        HostReport? host = null;
        try
        {
            host = await Agent.GetHostAsync(token).ConfigureAwait(false);
        }
        catch (AgentException)
        {
        }

        return new PlacementPolicy(Options.Move.MemoryReservePercent, Options.Move.FreezeBudget) { From = new Origin(Options.Node.Name, Options.Node.Zone, Options.Node.Rack, host) };
    }
}
