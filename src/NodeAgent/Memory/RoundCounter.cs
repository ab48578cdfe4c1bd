namespace Evacuator.NodeAgent.Memory;

/// <summary>Adds up a round's statistics.</summary>
/// <param name="shared">shared memory: empty, or what the last round before the freeze found, which is not looked for inside of it</param>
internal sealed class RoundCounter(TimeProvider time, int number, bool frozen, SharedObjects shared)
{
    private readonly long _began = time.GetTimestamp();
    private TimeSpan _scan, _read;
    private int _processes, _untracked, _threads, _mappings;
    private long _regions;
    private ulong _dirty, _data, _zero, _dropped, _tracked, _copies;

    public Span Scanning() => new(time, elapsed => _scan += elapsed);

    public Span Reading() => new(time, elapsed => _read += elapsed);

    public void Count(PageBatch batch)
    {
        foreach (PageRange range in batch.Ranges)
        {
            switch (range.Kind)
            {
                case PageRangeKind.Data: _data += range.Length; break;
                case PageRangeKind.Zero: _zero += range.Length; break;
                // The whole address space says that a process has ended; it is no amount.
                case PageRangeKind.Dropped when range.Length < ProcessTracker.AddressSpaceEnd: _dropped += range.Length; break;
            }
        }
    }

    public void Count(ProcessTracker process)
    {
        _processes++;
        _untracked += process.IsTracked ? 0 : 1;
        _threads += process.Threads;
        _mappings += process.Mappings.Count;
        _regions += process.Regions;
        _dirty += process.DirtyBytes;
        _tracked += process.Sent.Bytes;
        _copies += process.UntrackedBytes;
        if (!frozen)
            process.CountShared(shared);
    }

    public RoundStatistics Finish() => new(number, frozen, _processes, _untracked, _threads, _mappings, _regions, _dirty, _data, _zero, _dropped, _tracked,
        _copies + shared.Bytes, _scan, _read, time.GetElapsedTime(_began));

    /// <summary>A stretch of time that is counted when it is disposed.</summary>
    internal readonly struct Span(TimeProvider time, Action<TimeSpan> count) : IDisposable
    {
        private readonly long _began = time.GetTimestamp();

        public void Dispose() => count(time.GetElapsedTime(_began));
    }
}
