using System.Collections.Immutable;

namespace Evacuator.Evacuation;

/// <summary>What the moves of an evacuation have sent together, second by second and for the last of them only. Immutable; not journaled.</summary>
internal sealed class SentLately
{
    /// <summary>Long enough for the pauses between two rounds and around a freeze, in which nothing is sent; short enough to notice that a wire is free again.</summary>
    private static readonly TimeSpan Window = TimeSpan.FromSeconds(12);

    private static readonly TimeSpan Between = TimeSpan.FromSeconds(1);

    /// <summary>Before this much is known, one pause would say too much.</summary>
    private static readonly TimeSpan Least = TimeSpan.FromSeconds(5);

    private readonly ImmutableQueue<(DateTimeOffset At, long Sum)> _past;
    private readonly DateTimeOffset _last;
    private readonly long _sum;

    private SentLately(ImmutableQueue<(DateTimeOffset At, long Sum)> past, DateTimeOffset last, long sum) => (_past, _last, _sum) = (past, last, sum);

    public static SentLately Nothing { get; } = new([], DateTimeOffset.MinValue, 0);

    /// <param name="bytes">since it was told before; less than nothing, as for a move that begins anew, counts for nothing</param>
    public SentLately Add(DateTimeOffset now, long bytes)
    {
        long sum = _sum + Math.Max(0, bytes);
        // A clock that was set back: what was before has no place in it.
        if (now < _last)
            return new([(now, sum)], now, sum);
        if (now - _last < Between)
            return new(_past, _last, sum);
        ImmutableQueue<(DateTimeOffset At, long Sum)> past = _past;
        // One that is older than the window stays: the window begins there.
        while (!past.IsEmpty && past.Dequeue() is { IsEmpty: false } rest && rest.Peek().At <= now - Window)
            past = rest;
        return new(past.Enqueue((now, sum)), now, sum);
    }

    /// <returns>seconds and what was sent in them; null: too short a time is known, or nothing was told for as long</returns>
    public (double Seconds, long Bytes)? Since(DateTimeOffset now)
    {
        if (_past.IsEmpty || _last <= now - Least)
            return null;
        (DateTimeOffset at, long before) = _past.Peek();
        return now - at >= Least ? ((now - at).TotalSeconds, _sum - before) : null;
    }
}
