using System.Collections.Concurrent;

namespace Evacuator.NodeAgent.Containers;

/// <summary>How much disk directories take, counted in the background so that a report never waits long for a large tree.</summary>
internal sealed class DiskUsage(TimeProvider time)
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(300);
    private static readonly TimeSpan Age = TimeSpan.FromMinutes(1);

    private readonly ConcurrentDictionary<string, Entry> _entries = new();

    /// <summary>Bytes on disk below the paths: the last count, at most a minute old; while the first one runs, what it has found so far.</summary>
    internal async Task<long> MeasureAsync(string key, IReadOnlyList<string> paths, CancellationToken cancel)
    {
        Entry entry = _entries.AddOrUpdate(key, _ => new Entry(paths, 0, time.GetTimestamp()), (_, old) =>
            old.IsComplete && time.GetElapsedTime(old.Started) > Age ? new Entry(paths, old.Known, time.GetTimestamp()) : old);
        entry.Start();
        Task finished = await Task.WhenAny(entry.Count, Task.Delay(Patience, time, cancel));
        await finished;
        return entry.Known;
    }

    /// <summary>Counts blocks and not lengths: a sparse file takes what it holds. Hard links inside of the trees count once.</summary>
    private static void Walk(string path, HashSet<(uint, uint, ulong)> linked, ref long total)
    {
        Stack<string> open = new([path]);
        while (open.TryPop(out string? next))
        {
            if (!Interop.FileCalls.TryStat(next, out Interop.FileCalls.Statx stat, follow: false))
                continue;
            if (stat.Links < 2 || stat.Type == Interop.FileCalls.S_IFDIR || linked.Add(stat.Identity))
                Interlocked.Add(ref total, (long)stat.Blocks512 * 512);
            if (stat.Type != Interop.FileCalls.S_IFDIR)
                continue;
            try
            {
                foreach (string child in Directory.EnumerateFileSystemEntries(next))
                    open.Push(child);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Removed meanwhile.
            }
        }
    }

    private sealed class Entry(IReadOnlyList<string> paths, long earlier, long started)
    {
        private readonly Lock _lock = new();
        private Task? _count;
        private long _total;

        internal long Started { get; } = started;

        internal Task Count => _count!;

        internal bool IsComplete => _count is { IsCompleted: true };

        /// <summary>The earlier result until the new count has passed it or is complete.</summary>
        internal long Known => IsComplete ? Interlocked.Read(ref _total) : Math.Max(earlier, Interlocked.Read(ref _total));

        internal void Start()
        {
            lock (_lock)
                _count ??= Task.Run(() =>
                {
                    HashSet<(uint, uint, ulong)> linked = [];
                    foreach (string path in paths)
                        Walk(path, linked, ref _total);
                });
        }
    }
}
