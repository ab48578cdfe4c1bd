namespace Evacuator.Redfish.Events;

/// <summary>Waits that double, with jitter, so that a BMC in trouble is left alone.</summary>
internal sealed class Backoff(TimeSpan first, TimeSpan last, Random random)
{
    private int _steps;

    public TimeSpan Next()
    {
        TimeSpan full = first * Math.Pow(2, Math.Min(_steps++, 20));
        double jitter;
        lock (random)
            jitter = random.NextDouble();
        return (full < last ? full : last) * (0.75 + jitter / 4);
    }

    public void Reset() => _steps = 0;
}
