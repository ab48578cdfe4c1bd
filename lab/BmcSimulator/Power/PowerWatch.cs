using Evacuator.Lab.BmcSimulator.Events;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Power;

/// <summary>Looks at the machine a few times a second and announces every change.</summary>
internal sealed class PowerWatch(NodePower power, TimeProvider time)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);

    private readonly Lock _lock = new();
    private string _seen = power.State;
    private DateTimeOffset? _lastStart;

    /// <summary>When the machine was last seen to go on.</summary>
    public DateTimeOffset? LastStart
    {
        get
        {
            lock (_lock)
            {
                return _lastStart;
            }
        }
    }

    public async Task RunAsync(EventHub events, ServiceLayout layout, CancellationToken token)
    {
        using var timer = new PeriodicTimer(Interval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(token))
            {
                Check(events, layout);
            }
        }
        catch (OperationCanceledException)
        {
            // The service stops.
        }
    }

    /// <summary>Announces the state if it is another one than the last time.</summary>
    public void Check(EventHub events, ServiceLayout layout)
    {
        string now = power.State;
        lock (_lock)
        {
            if (now == _seen)
            {
                return;
            }

            _seen = now;
            if (now == "On")
            {
                _lastStart = time.GetUtcNow();
            }
        }

        if (layout.System is { } system)
        {
            events.Publish(EventRecords.PowerChanged(system, now));
        }
    }
}
