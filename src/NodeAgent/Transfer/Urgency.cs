namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// A container that stands still goes before all copying of those that run: while anybody is in here, bulk streams of this host hold. On a host
/// with few cores or a narrow wire, a freeze otherwise lasts as long as everything that happens beside it.
/// </summary>
/// <param name="priority">of this program: raised while anybody is inside; null leaves it alone</param>
internal sealed class Urgency(TimeProvider time, AgentPriority? priority = null)
{
    /// <summary>
    /// Counted from its own beginning, a freeze holds others no longer than this: whoever stands still that long waits for something else than
    /// our bandwidth, and must not slow down every batch of everybody else for as long as it hangs. On a narrow link the queues that the others had filled take
    /// most of it: at 50 Mbit/s, with a second, a few hundred KiB of one that stood still took ten.
    /// </summary>
    public static readonly TimeSpan LongestHold = TimeSpan.FromSeconds(4);

    /// <summary>And keeps the priority raised no longer than this: of one whose peer has died nobody says that it ended before its lease is over, in ten minutes.</summary>
    public static readonly TimeSpan LongestRaise = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private readonly Lock _changing = new();
    private readonly HashSet<Stay> _inside = [];
    private bool _raised;

    /// <summary>Whether others hold now.</summary>
    public bool IsHeld => Newest() is not null;

    /// <summary>From now until it is disposed, others hold.</summary>
    /// <param name="still">a container stands still; else one is about to, and processors are still the containers'</param>
    public IDisposable Enter(bool still = true)
    {
        Stay stay = new(this, time.GetTimestamp(), still);
        lock (_lock)
            _inside.Add(stay);
        stay.EndWithin(LongestRaise, time);
        SetPriority();
        return stay;
    }

    /// <summary>
    /// Waits while anybody is inside who has not been for too long, and no longer than that in all: where several hosts freeze one container after the other, whoever gives way to each would
    /// never go on, and its connection break. Costs nothing otherwise.
    /// </summary>
    public async ValueTask GiveWayAsync(CancellationToken cancel)
    {
        long start = time.GetTimestamp();
        while (Newest() is { } stay)
        {
            // Time passes between two looks at it, and less than none would mean for ever.
            TimeSpan left = LongestHold - time.GetElapsedTime(stay.Begun), patience = LongestHold - time.GetElapsedTime(start);
            if (patience <= TimeSpan.Zero)
                return;
            try
            {
                await stay.Ended.WaitAsync(left <= TimeSpan.Zero ? TimeSpan.Zero : left < patience ? left : patience, time, cancel);
            }
            catch (TimeoutException) when (time.GetElapsedTime(stay.Begun) >= LongestHold)
            {
                // Does not count any more; another may have come in since.
                Remove(stay);
            }
            catch (TimeoutException)
            {
                return;
            }
        }
    }

    /// <summary>The same for somebody who may come in himself meanwhile, and would wait for his own end.</summary>
    /// <param name="inside">cancelled when he does</param>
    public async ValueTask GiveWayAsync(CancellationToken cancel, CancellationToken inside)
    {
        if (!IsHeld || inside.IsCancellationRequested)
            return;
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(cancel, inside);
        try
        {
            await GiveWayAsync(either.Token);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            // He is in.
        }
    }

    /// <summary>The last that came in, if it still counts; if it does not, none does.</summary>
    private Stay? Newest()
    {
        lock (_lock)
            return _inside.MaxBy(stay => stay.Begun) is { } newest && time.GetElapsedTime(newest.Begun) < LongestHold ? newest : null;
    }

    private void Remove(Stay stay)
    {
        lock (_lock)
            _inside.Remove(stay);
        SetPriority();
    }

    /// <summary>As it should be now: who comes and who goes may pass each other on the way here.</summary>
    private void SetPriority()
    {
        if (priority is null)
            return;
        lock (_changing)
        {
            bool raise;
            lock (_lock)
                raise = _inside.Any(stay => stay.Raises);
            if (raise == _raised)
                return;
            _raised = raise;
            if (raise)
                priority.Raise();
            else
                priority.Lower();
        }
    }

    private sealed class Stay(Urgency urgency, long begun, bool raises) : IDisposable
    {
        private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

        private ITimer? _limit;

        public long Begun => begun;

        public bool Raises => raises;

        public Task Ended => _ended.Task;

        public void EndWithin(TimeSpan limit, TimeProvider time) => _limit = time.CreateTimer(static stay => ((Stay)stay!).Dispose(), this, limit, Timeout.InfiniteTimeSpan);

        public void Dispose()
        {
            _limit?.Dispose();
            urgency.Remove(this);
            _ended.TrySetResult();
        }
    }
}
