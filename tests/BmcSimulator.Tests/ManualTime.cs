namespace Evacuator.Lab.BmcSimulator.Tests;

/// <summary>A clock that stands until it is moved. Timers run on the real clock: none of these tests waits for one.</summary>
internal sealed class ManualTime : TimeProvider
{
    private long _ticks = new DateTimeOffset(2026, 3, 14, 15, 9, 26, TimeSpan.Zero).Ticks;

    public override DateTimeOffset GetUtcNow() => new(Interlocked.Read(ref _ticks), TimeSpan.Zero);

    public void Advance(TimeSpan by) => Interlocked.Add(ref _ticks, by.Ticks);
}
