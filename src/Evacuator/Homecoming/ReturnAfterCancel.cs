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
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        Guid done = Guid.Empty;
        while (true)
        {
            if (journal.Evacuations(1) is [{ Phase: EvacuationPhase.Cancelled, ReturnMoved: true, ReturnProblem: "" } cancelled] && cancelled.Id != done)
            {
                string[] moved = [.. journal.Moves(cancelled.Id).Where(move => move.Phase == MovePhase.Moved).Select(move => move.Name)];
                HomecomingStart? start = moved.Length == 0 ? null : homecomings.Start(cancelled.Id, cancelled.CancelledBy ?? "cancel", moved, []);
                // Refused: another homecoming or evacuation is under way, and what is wanted then is for a person to say.
                if (start is { State: null } refused)
                {
                    LogRefused(log, cancelled.Id, string.Join(", ", moved), refused.Reason);
                    evacuations.SayNotReturned(cancelled.Id, $"{string.Join(", ", moved)} {(moved.Length == 1 ? "does" : "do")} not come back by itself: {refused.Reason}. \"evacuator return\" brings it");
                }

                done = cancelled.Id;
            }

            await Task.Delay(timings.Retry, time, stoppingToken).ConfigureAwait(false);
        }
    }

    [LoggerMessage(EventId = 334, Level = LogLevel.Warning, Message = "What evacuation {Id} had moved before it was cancelled does not come back by itself ({Containers}): {Reason}. \"evacuator return\" brings it")]
    private static partial void LogRefused(ILogger logger, Guid id, string containers, string reason);
}
