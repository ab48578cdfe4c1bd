using Evacuator.Evacuation;
using Evacuator.Journal;
using Microsoft.Extensions.Hosting;

namespace Evacuator.Fleet.Locks;

/// <summary>
/// Keeps what the fleet knows of this node's place in agreement with what it is: it has one from the moment it may be emptied until it is opened again, over restarts and reboots, or until
/// the evacuation has failed or was cancelled.
/// </summary>
internal sealed class FleetLockKeeper(IFleetLock fleetLock, EvacuationService evacuations, Admission admission, JournalStore journal, BrainTimings timings, TimeProvider time) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            await fleetLock.KeepAsync(Holds, stoppingToken).ConfigureAwait(false);
            await Task.Delay(timings.LockPoll, time, stoppingToken).ConfigureAwait(false);
        }
    }

    private SlotHolding Holds()
    {
        if (evacuations.Active?.State is { } state)
        {
            return state switch
            {
                { Phase: EvacuationPhase.Closing } => new SlotHolding(null, Asking: true),
                // Cancelled while it asked: it has never been out.
                { Phase: EvacuationPhase.Cancelling, Passes: 0 } => new SlotHolding(null, Asking: false),
                _ => new SlotHolding(state, Asking: false),
            };
        }

        EvacuationState? last = admission.Closed is null ? null : journal.Evacuations(1).FirstOrDefault();
        return new SlotHolding(last is { Phase: EvacuationPhase.Done } ? last : null, Asking: false);
    }
}
