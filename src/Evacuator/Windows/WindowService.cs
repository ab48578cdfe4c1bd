using Evacuator.Agent;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Notices;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Windows;

/// <summary>
/// Empties this node when a window opens. Nothing is started that would not be done by the deadline, and what is not done by then is cancelled: what has moved
/// stays where it is, the rest runs here. Holds no state of its own: the trigger of each opening is unique, so a restart or reboot starts none twice.
/// </summary>
internal sealed partial class WindowService(
    WindowBook windows, DrainEstimate estimate, EvacuationService evacuations, NoticeBook notices, BrainTimings timings, TimeProvider time, ILogger<WindowService> log) : BackgroundService
{
    private const string Requester = "window";

    internal static string Key(Occurrence occurrence) => $"window:{occurrence.Window}@{occurrence.Start.ToUnixTimeSeconds()}";

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            try
            {
                await LookAsync(stoppingToken).ConfigureAwait(false);
            }
            catch (Exception e) when (e is AgentException or JournalException)
            {
                LogNotNow(log, e.Message);
            }

            await Task.Delay(timings.WindowPoll, time, stoppingToken).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// When a window next empties this node, for peers that would send something here: the beginning of one that is open counts as long as it may still act. Null if
    /// there is none.
    /// </summary>
    public DateTimeOffset? NextStart()
    {
        DateTimeOffset now = time.GetUtcNow();
        DateTimeOffset? first = null;
        foreach (MaintenanceWindow window in windows.All)
        {
            Occurrence? next = WindowSchedule.Current(window, now) is { } current && current.Deadline > now && !evacuations.WasStarted(Key(current))
                ? current
                : WindowSchedule.Next(window, now);
            if (next is not null && (first is null || next.Start < first))
                first = next.Start;
        }

        return first;
    }

    internal async Task LookAsync(CancellationToken token)
    {
        await EndWhatIsLateAsync(token).ConfigureAwait(false);
        DateTimeOffset now = time.GetUtcNow();
        foreach (MaintenanceWindow window in windows.All)
        {
            if (WindowSchedule.Current(window, now) is { } occurrence && occurrence.Deadline > now)
                await OpenAsync(window, occurrence, token).ConfigureAwait(false);
        }
    }

    private async Task OpenAsync(MaintenanceWindow window, Occurrence occurrence, CancellationToken token)
    {
        string key = Key(occurrence);
        if (evacuations.WasStarted(key) || evacuations.Active is not null)
            return;
        TimeSpan needed = await estimate.MakeAsync(token).ConfigureAwait(false);
        DateTimeOffset now = time.GetUtcNow();
        if (now + needed > occurrence.Deadline)
        {
            notices.Raise(notices.Make(NoticeKind.Window, $"{key}/left-out",
                $"the window {window.Name} does not empty this node: it would take about {Text(needed)}, and {Text(occurrence.Deadline - now)} are left until {occurrence.Deadline:u}"));
            return;
        }

        StartResult result = evacuations.Start(new Trigger
        {
            Kind = TriggerKind.Window,
            Key = key,
            Reason = window.Reason,
            Ticket = window.Ticket,
            RequestedBy = $"{Requester} {window.Name}",
            PowerOff = window.PowerOff,
            Until = occurrence.Deadline,
        });
        if (result.Id is null)
            notices.Raise(notices.Make(NoticeKind.Window, $"{key}/refused", $"the window {window.Name} cannot empty this node: {result.Text}"));
        else
            LogOpened(log, window.Name, occurrence.Deadline);
    }

    /// <summary>
    /// Too late for cancelling is when the host goes down already; then it is done in any case. One that still waits for its turn is late as soon as it would not be done in time.
    /// </summary>
    private async Task EndWhatIsLateAsync(CancellationToken token)
    {
        if (evacuations.Active is not { State: { Trigger.Until: { } until } state } || state.Phase == EvacuationPhase.Cancelling)
            return;
        bool waits = state is { Phase: EvacuationPhase.Closing, Trigger.Kind: TriggerKind.Window };
        TimeSpan needed = waits ? await estimate.MakeAsync(token).ConfigureAwait(false) : TimeSpan.Zero;
        if (time.GetUtcNow() + needed <= until)
            return;
        if (evacuations.Cancel($"{state.Trigger.RequestedBy}, which is over") is null)
            notices.Raise(notices.Make(NoticeKind.Window, $"{state.Trigger.Key}/over", $"{state.Trigger.RequestedBy} is over before this node was empty ({Words.Of(state.Phase)}): cancelled, what has moved stays there"));
    }

    private static string Text(TimeSpan span) => Duration.Format(TimeSpan.FromSeconds(Math.Ceiling(Math.Max(0, span.TotalSeconds))));

    [LoggerMessage(EventId = 360, Level = LogLevel.Warning, Message = "The window {Name} has opened: this node is emptied until {Deadline:u}")]
    private static partial void LogOpened(ILogger logger, string name, DateTimeOffset deadline);

    [LoggerMessage(EventId = 361, Level = LogLevel.Warning, Message = "Whether a window can begin cannot be told now: {Reason}")]
    private static partial void LogNotNow(ILogger logger, string reason);
}
