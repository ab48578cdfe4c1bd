namespace Evacuator.NodeAgent.Migration;

/// <summary>Measures the parts of a freeze. Parts that run side by side overlap: they do not add up to the whole.</summary>
internal sealed class FreezeClock(TimeProvider time)
{
    private readonly long _start = time.GetTimestamp();
    private readonly Dictionary<string, double> _parts = [];
    private readonly Lock _lock = new();

    /// <summary>Milliseconds since the clock was made.</summary>
    public double Elapsed => time.GetElapsedTime(_start).TotalMilliseconds;

    /// <summary>A copy.</summary>
    public Dictionary<string, double> Parts
    {
        get
        {
            lock (_lock)
                return new Dictionary<string, double>(_parts);
        }
    }

    /// <summary>Measured until it is disposed. No generic method takes its place: the runtime would compile it for each result inside of the freeze.</summary>
    public Span Part(string part) => new(this, part, time.GetTimestamp());

    public async Task TimeAsync(string part, Func<Task> action)
    {
        using (Part(part))
            await action();
    }

    public void Time(string part, Action action)
    {
        long start = time.GetTimestamp();
        action();
        Add(part, time.GetElapsedTime(start).TotalMilliseconds);
    }

    public void Add(string part, double milliseconds)
    {
        lock (_lock)
            _parts[part] = Math.Round(milliseconds, 2);
    }

    internal readonly struct Span(FreezeClock clock, string part, long start) : IDisposable
    {
        public void Dispose() => clock.Add(part, clock.Since(start));
    }

    private double Since(long start) => time.GetElapsedTime(start).TotalMilliseconds;
}
