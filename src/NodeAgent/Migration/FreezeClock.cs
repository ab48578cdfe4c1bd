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

    public async Task<T> TimeAsync<T>(string part, Func<Task<T>> action)
    {
        long start = time.GetTimestamp();
        T result = await action();
        Add(part, time.GetElapsedTime(start).TotalMilliseconds);
        return result;
    }

    public async Task TimeAsync(string part, Func<Task> action) => await TimeAsync(part, async () =>
    {
        await action();
        return true;
    });

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
}
