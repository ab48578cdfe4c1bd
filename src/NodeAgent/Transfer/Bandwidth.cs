namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// What all copying of this host may send together, so that containers that serve clients keep a part of the wire. Whoever copies asks before each piece and waits for its turn, first come
/// first served; with pieces of one size every move gets the same. A container that stands still never waits: what it sends is charged, and the others pay it back.
/// </summary>
/// <param name="bytesPerSecond">0: no limit</param>
internal sealed class Bandwidth(long bytesPerSecond, TimeProvider time)
{
    /// <summary>Pieces that are asked for should be of about this size: whoever asks for smaller ones gets less.</summary>
    public const int Piece = 1 << 20;

    /// <summary>
    /// What was sent while something stood still is paid back no longer than this: gigabytes of it, on a fast wire, would stop all copying for a minute and the moves with it.
    /// </summary>
    public static readonly TimeSpan LongestDebt = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();

    /// <summary>When all that was granted so far has been sent at the permitted speed; in timestamps of the clock.</summary>
    private long _free = time.GetTimestamp();

    /// <summary>Waits for the turn to send so much.</summary>
    /// <returns>how long that took; zero when nothing is in the way</returns>
    public async ValueTask<TimeSpan> TakeAsync(int bytes, CancellationToken cancel)
    {
        if (bytesPerSecond == 0 || bytes == 0)
            return TimeSpan.Zero;
        long asked = time.GetTimestamp();
        long begin;
        lock (_lock)
        {
            begin = Math.Max(_free, asked);
            _free = begin + Cost(bytes);
        }
        if (begin == asked)
            return TimeSpan.Zero;
        await Task.Delay(time.GetElapsedTime(asked, begin), time, cancel);
        return time.GetElapsedTime(asked);
    }

    /// <summary>So much is sent now, whatever the limit says.</summary>
    public void Charge(long bytes)
    {
        if (bytesPerSecond == 0)
            return;
        lock (_lock)
        {
            long now = time.GetTimestamp();
            long most = Math.Max(_free, now + (long)(LongestDebt.TotalSeconds * time.TimestampFrequency));
            _free = Math.Min(most, Math.Max(_free, now) + Cost(bytes));
        }
    }

    private long Cost(long bytes) => (long)((double)bytes / bytesPerSecond * time.TimestampFrequency);
}
