using Evacuator.Evacuation;
using Evacuator.Journal;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Homecoming;

/// <summary>
/// "evacuator cancel --return": once the cancellation is over, a homecoming of what had moved. Its id is that of the evacuation, so that a restart asks for the same one and
/// not for another.
/// </summary>
internal sealed partial class ReturnAfterCancel(JournalStore journal, EvacuationService evacuations, HomecomingService homecomings, BrainTimings timings, TimeProvider time, ILogger<ReturnAfterCancel> log) : BackgroundService
{
    /// <summary>Whoever starts again at once is ahead of us: so far back it is looked for one that has been overtaken.</summary>
    private const int Overtaken = 8;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        HashSet<Guid> done = [];
        while (true)
        {
            IReadOnlyList<EvacuationState> last = journal.Evacuations(Overtaken);
            foreach (EvacuationState cancelled in last.Where(known => known is { Phase: EvacuationPhase.Cancelled, ReturnMoved: true, ReturnProblem: "" } && !done.Contains(known.Id)))
            {
                // Its end is in the journal a moment before it is no longer under way: a homecoming that begins in between would be refused because of itself.
                if (evacuations.Active?.State.Id == cancelled.Id)
                    continue;
                Return(cancelled, isLast: cancelled == last[0]);
                done.Add(cancelled.Id);
            }

            await Task.Delay(timings.Retry, time, stoppingToken).ConfigureAwait(false);
        }
    }

    private void Return(EvacuationState cancelled, bool isLast)
    {
        string[] moved = [.. journal.Moves(cancelled.Id).Where(move => move.Phase == MovePhase.Moved).Select(move => move.Name)];
        if (moved.Length == 0 || homecomings.Find(cancelled.Id) is not null)
            return;
        HomecomingStart start = isLast ? homecomings.Start(cancelled.Id, cancelled.CancelledBy ?? "cancel", moved, [])
            : HomecomingStart.Refuse("another evacuation was started before it could begin");
        // Refused: another homecoming or evacuation is under way, and what is wanted then is for a person to say.
        if (start.State is not null)
            return;
        LogRefused(log, cancelled.Id, string.Join(", ", moved), start.Reason);
        evacuations.SayNotReturned(cancelled.Id, $"{string.Join(", ", moved)} {(moved.Length == 1 ? "does" : "do")} not come back by itself: {start.Reason}. \"evacuator return\" brings it");
    }

    [LoggerMessage(EventId = 334, Level = LogLevel.Warning, Message = "What evacuation {Id} had moved before it was cancelled does not come back by itself ({Containers}): {Reason}. \"evacuator return\" brings it")]
    private static partial void LogRefused(ILogger logger, Guid id, string containers, string reason);
}
