namespace Evacuator.Testing;

/// <summary>The system's time, with a wall clock that can be set; the monotonic clock and timers do not care, as with a real host.</summary>
public sealed class JumpingTime : TimeProvider
{
    private long _offset;

    public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + TimeSpan.FromTicks(Interlocked.Read(ref _offset));

    public override TimeZoneInfo LocalTimeZone => System.LocalTimeZone;

    public void Jump(TimeSpan by) => Interlocked.Add(ref _offset, by.Ticks);
}
