namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// A container that stands still goes before all copying of those that run: while anybody is in here, bulk streams of this host hold. On a host
/// with few cores or a narrow wire, a freeze otherwise lasts as long as everything that happens beside it.
/// </summary>
internal sealed class Urgency
{
    /// <summary>A freeze that lasts longer than this stops nobody else any more.</summary>
    private static readonly TimeSpan LongestHold = TimeSpan.FromSeconds(5);

    private readonly Lock _lock = new();
    private TaskCompletionSource? _ended;
    private int _inside;

    /// <summary>From now until it is disposed, others hold.</summary>
    public IDisposable Enter()
    {
        lock (_lock)
        {
            if (_inside++ == 0)
                _ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
        return new Stay(this);
    }

    /// <summary>Waits while anybody is inside; costs nothing otherwise.</summary>
    public async ValueTask GiveWayAsync(CancellationToken cancel)
    {
        Task? ended;
        lock (_lock)
            ended = _ended?.Task;
        if (ended is null)
            return;
        try
        {
            await ended.WaitAsync(LongestHold, cancel);
        }
        catch (TimeoutException)
        {
            // Whoever stands still that long waits for something else than our bandwidth.
        }
    }

    private void Leave()
    {
        lock (_lock)
        {
            if (--_inside > 0)
                return;
            _ended!.SetResult();
            _ended = null;
        }
    }

    private sealed class Stay(Urgency urgency) : IDisposable
    {
        private int _left;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _left, 1) == 0)
                urgency.Leave();
        }
    }
}
