using Evacuator.Evacuation;
using Evacuator.Journal;
using Microsoft.Extensions.Hosting;

namespace Evacuator.Fleet.Locks;

/// <summary>Renews the lock while this node is being emptied, also by an evacuation that goes on after a restart, and gives it back at the end.</summary>
internal sealed class FleetLockKeeper(IFleetLock fleetLock, EvacuationService evacuations, BrainTimings timings, TimeProvider time) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        Guid? held = null;
        while (true)
        {
            // In Closing it is only being asked for; one that was cancelled then has made no plan.
            Guid? now = evacuations.Active?.State is { Phase: not EvacuationPhase.Closing } state && state is not { Phase: EvacuationPhase.Cancelling, Passes: 0 } ? state.Id : null;
            if (held is { } before && before != now)
                await fleetLock.ReleaseAsync(before, stoppingToken).ConfigureAwait(false);
            if (now is { } present)
                await fleetLock.RenewAsync(present, stoppingToken).ConfigureAwait(false);
            held = now;
            await Task.Delay(timings.LockPoll, time, stoppingToken).ConfigureAwait(false);
        }
    }
}
