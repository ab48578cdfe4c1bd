using System.Globalization;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Common.Hosting;

/// <summary>
/// Feeds systemd's watchdog (WatchdogSec= in the unit) at half of its period, but only while every registered <see cref="IProgressCheck"/> is well. If one
/// stalls, systemd gets no more news, aborts the service and starts it again.
/// </summary>
internal sealed partial class SystemdWatchdog(SystemdNotify notify, IEnumerable<IProgressCheck> checks, TimeProvider time, ILogger<SystemdWatchdog> log) : BackgroundService
{
    private readonly IProgressCheck[] _checks = [.. checks];

    /// <summary>The period from systemd's variables, or null if it does not want to be fed by this process.</summary>
    public static TimeSpan? Period(string? microseconds, string? pid)
    {
        if (!long.TryParse(microseconds, NumberStyles.None, CultureInfo.InvariantCulture, out long period) || period <= 0)
            return null;
        if (!string.IsNullOrEmpty(pid) && pid != Environment.ProcessId.ToString(CultureInfo.InvariantCulture))
            return null;
        return TimeSpan.FromMicroseconds(period);
    }

    /// <summary>One turn: feeds, or says what has stalled. True if fed.</summary>
    public bool Turn()
    {
        bool well = true;
        foreach (IProgressCheck check in _checks)
        {
            if (check.WhyStalled() is { } reason)
            {
                well = false;
                LogStalled(log, check.Name, reason);
            }
        }

        return well && notify.Watchdog();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (Period(Environment.GetEnvironmentVariable("WATCHDOG_USEC"), Environment.GetEnvironmentVariable("WATCHDOG_PID")) is not { } period)
            return;
        using PeriodicTimer timer = new(period / 2, time);
        try
        {
            do
                Turn();
            while (await timer.WaitForNextTickAsync(stoppingToken));
        }
        catch (OperationCanceledException)
        {
            // The service stops; systemd does not expect to be fed any more once it knows.
        }
    }

    [LoggerMessage(EventId = 100, Level = LogLevel.Error, Message = "{Check} has stalled: {Reason}; systemd's watchdog is not fed")]
    private static partial void LogStalled(ILogger logger, string check, string reason);
}
