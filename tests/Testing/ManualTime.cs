namespace Evacuator.Testing;

/// <summary>
/// A clock that stands still until it is moved. Timers fire inside <see cref="Advance"/>. Its frequency is odd on purpose: who takes timestamps for ticks is found out.
/// </summary>
public sealed class ManualTime : TimeProvider
{
    private readonly Lock _lock = new();
    private readonly List<ManualTimer> _timers = [];
    private readonly DateTimeOffset _start;
    private TimeSpan _elapsed;

    public ManualTime()
        : this(new DateTimeOffset(2026, 3, 1, 12, 0, 0, TimeSpan.Zero))
    {
    }

    public ManualTime(DateTimeOffset start) => _start = start;

    public override long TimestampFrequency => 3_333_333;

    public override DateTimeOffset GetUtcNow()
    {
        lock (_lock)
            return _start + _elapsed;
    }

    public override long GetTimestamp()
    {
        lock (_lock)
            return (long)(_elapsed.Ticks * (double)TimestampFrequency / TimeSpan.TicksPerSecond);
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        ManualTimer timer = new(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>Moves the clock, firing what falls due in order.</summary>
    public void Advance(TimeSpan by)
    {
        TimeSpan target;
        lock (_lock)
            target = _elapsed + by;
        while (true)
        {
            ManualTimer? next;
            lock (_lock)
            {
                next = _timers.Where(t => t.Due <= target).MinBy(t => t.Due);
                _elapsed = next is null ? target : next.Due > _elapsed ? next.Due!.Value : _elapsed;
                if (next is null)
                    return;
                next.Due = next.Period > TimeSpan.Zero ? next.Due + next.Period : null;
                if (next.Due is null)
                    _timers.Remove(next);
            }
            next.Fire();
        }
    }

    /// <summary>How far away the nearest timer is; null when there is none.</summary>
    public TimeSpan? NextDue
    {
        get
        {
            lock (_lock)
                return _timers.Min(t => t.Due) - _elapsed;
        }
    }

    /// <summary>
    /// Until disposed, moves the clock to each timer that is nearer than <paramref name="below"/>: waits pass at once, while time limits, which are longer, do not fire.
    /// </summary>
    public IAsyncDisposable PassWaits(TimeSpan below) => new Pump(this, below);

    private sealed class ManualTimer(ManualTime owner, TimerCallback callback, object? state) : ITimer
    {
        public TimeSpan? Due { get; set; }

        public TimeSpan Period { get; private set; }

        public void Fire() => callback(state);

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (owner._lock)
            {
                owner._timers.Remove(this);
                Period = period == Timeout.InfiniteTimeSpan ? TimeSpan.Zero : period;
                Due = dueTime == Timeout.InfiniteTimeSpan ? null : owner._elapsed + dueTime;
                if (Due is not null)
                    owner._timers.Add(this);
            }
            return true;
        }

        public void Dispose()
        {
            lock (owner._lock)
            {
                owner._timers.Remove(this);
                Due = null;
            }
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }

    private sealed class Pump : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly Task _loop;

        public Pump(ManualTime time, TimeSpan below) => _loop = Task.Run(async () =>
        {
            while (!_stop.IsCancellationRequested)
            {
                if (time.NextDue is { } due && due < below)
                    time.Advance(due > TimeSpan.Zero ? due : TimeSpan.Zero);
                else
                    await Task.Delay(1);
            }
        });

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _loop;
            _stop.Dispose();
        }
    }
}
