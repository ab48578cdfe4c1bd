namespace Evacuator.Common.Hosting;

/// <summary>Something that must make progress for the service to be of use. The watchdog asks; implementations answer at once and without blocking.</summary>
public interface IProgressCheck
{
    /// <summary>For the log.</summary>
    string Name { get; }

    /// <summary>What has stalled, since when; null while all is well.</summary>
    string? WhyStalled();
}

/// <summary>The progress of one loop: it calls <see cref="Beat"/> once a turn, and a turn may take no longer than <paramref name="longest"/>. Counts from its creation.</summary>
public class Heartbeat(string name, TimeSpan longest, TimeProvider time) : IProgressCheck
{
    private long _last = time.GetTimestamp();

    public string Name => name;

    /// <summary>From any thread.</summary>
    public void Beat() => Interlocked.Exchange(ref _last, time.GetTimestamp());

    public string? WhyStalled()
    {
        TimeSpan silence = time.GetElapsedTime(Interlocked.Read(ref _last));
        return silence > longest ? $"no turn for {Configuration.Duration.Format(silence)}, permitted are {Configuration.Duration.Format(longest)}" : null;
    }
}

/// <summary>The heartbeat of one class, so that it can be asked for by type.</summary>
public sealed class Heartbeat<TLoop>(TimeSpan longest, TimeProvider time) : Heartbeat(typeof(TLoop).Name, longest, time);
