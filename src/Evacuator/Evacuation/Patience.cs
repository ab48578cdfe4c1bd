namespace Evacuator.Evacuation;

/// <summary>How much longer something is waited for: measured by the monotonic clock, so that a wall clock that is set meanwhile neither ends nor prolongs it.</summary>
internal sealed class Patience(TimeSpan length, TimeProvider time)
{
    private readonly long _begun = time.GetTimestamp();

    public TimeSpan Left => length - time.GetElapsedTime(_begun) is var left && left > TimeSpan.Zero ? left : TimeSpan.Zero;

    public bool IsOver => Left == TimeSpan.Zero;

    /// <summary>For people.</summary>
    public DateTimeOffset Until => time.GetUtcNow() + Left;

    /// <summary>
    /// For a wait that a journal knows by its ends, as after a restart: what is left of it by the wall clock, and never more than the whole.
    /// </summary>
    public static Patience Of(DateTimeOffset from, DateTimeOffset until, TimeProvider time)
    {
        TimeSpan left = until - time.GetUtcNow(), whole = until - from;
        return new Patience(left < whole ? left : whole, time);
    }
}
