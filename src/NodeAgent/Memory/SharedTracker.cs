using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Threading.Channels;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Memory;

/// <summary>What a round over shared memory found.</summary>
/// <param name="Objects">followed</param>
/// <param name="ChangedBytes">handed on with their content</param>
/// <param name="HeldBytes">what the destination holds after it</param>
/// <param name="Duration">from the first step to the last, waiting for the receiver included</param>
internal sealed record SharedRound(int Objects, ulong ChangedBytes, ulong HeldBytes, TimeSpan Duration);

/// <summary>Hands on memory that belongs to no process alone: shared anonymous memory, memfds, attached SysV segments.</summary>
/// <remarks>
/// Such a page is written through any mapping of any process, by write(2), or by the kernel, so no write protection finds all of it. Each round reads everything and hands on the pages whose
/// tag (<see cref="PageTag"/>) is not that of what was handed on before; that is right however a page was written. The last round reads the objects while the container stands still, beside CRIU,
/// which the shim keeps from them. Read from the objects' own files: nothing of it is mapped here, and a file that is cut short meanwhile cannot hurt.
/// Batches name an object by a negative number in the place of a pid, and offsets in it in the place of addresses. One round at a time.
/// Extra memory: a buffer of 1 MiB for each worker and two more, and 16 bytes for each page.
/// </remarks>
internal sealed class SharedTracker : IDisposable
{
    /// <summary>An object more is a descriptor more; what is beyond is CRIU's.</summary>
    public const int MaxObjects = 1024;

    private const int WindowBytes = BatchBuffers.Bytes, Page = (int)Interop.PageSize, WindowPages = WindowBytes / Page;

    /// <summary>Compared as one first: a tag costs as much to begin as 4 KiB of it (470 ms a GiB in pages, 205 in stretches of 64 KiB).</summary>
    private const int StretchBytes = 64 * 1024, StretchPages = StretchBytes / Page;

    /// <summary>More would take the processors from the dump that goes on beside.</summary>
    private const int MaxWorkers = 4;

    private readonly Dictionary<(uint Device, ulong Inode), SharedFile> _objects = [];
    private readonly List<int> _gone = [];
    private readonly byte[] _key = RandomNumberGenerator.GetBytes(PageTag.KeyBytes);
    private readonly ConcurrentBag<PageTag> _tags = [];
    private readonly BatchBuffers _buffers;
    private readonly TimeProvider _time;
    private readonly uint _device;
    private readonly int _workers;
    private int _numbers;
    private int _round;
    private long _changedPages, _heldPages;

    /// <param name="workers">threads that read while the container stands still; one does while it runs</param>
    public SharedTracker(TimeProvider time, int? workers = null)
    {
        _time = time;
        _workers = workers ?? Math.Clamp(Environment.ProcessorCount, 1, MaxWorkers);
        _buffers = new BatchBuffers(_workers + 2);
        _device = DeviceOfSharedMemory();
    }

    public SharedRound? LastRound { get; private set; }

    /// <summary>The objects that are followed: nobody else has to save them.</summary>
    public IReadOnlyList<SharedIdentity> Objects => [.. _objects.Values.Select(known => new SharedIdentity(known.Number, known.Device, known.Inode, (ulong)known.Held * Interop.PageSize))];

    /// <summary>Takes up what is there now. An object that nobody has any more is given up.</summary>
    public void Find(IEnumerable<SharedPlace> places)
    {
        HashSet<(uint, ulong)> seen = [];
        foreach (SharedPlace place in places)
        {
            // The kernel's one file system for shared memory: no tmpfs mount, which travels with its files, and no huge pages. CRIU knows memfds by 32 bits of the number.
            if (place.Device != _device || place.Inode is 0 or > uint.MaxValue || !seen.Add((place.Device, place.Inode)) || _objects.ContainsKey((place.Device, place.Inode)) || _objects.Count >= MaxObjects)
                continue;
            if (Open(place) is { } opened)
                _objects.Add((place.Device, place.Inode), opened);
        }
        foreach (SharedFile ended in _objects.Values.Where(known => !seen.Contains((known.Device, known.Inode))).ToArray())
        {
            _objects.Remove((ended.Device, ended.Inode));
            _gone.Add(ended.Number);
            _heldPages -= ended.Held;
            ended.Dispose();
        }
    }

    /// <summary>
    /// The container stands still: of shared anonymous memory only what somebody has mapped is restored, up to the end of the furthest mapping (that is how CRIU sees its size).
    /// </summary>
    public void Freeze(IEnumerable<MemoryMapping> mappings)
    {
        Dictionary<(uint, ulong), ulong> ends = [];
        foreach (MemoryMapping mapping in mappings)
            if (mapping.Kind == MappingKind.SharedMemory)
                ends[(mapping.Device, mapping.Inode)] = Math.Max(ends.GetValueOrDefault((mapping.Device, mapping.Inode)), mapping.Offset + mapping.Length);
        foreach (SharedFile known in _objects.Values)
            known.End = known.IsWhole ? long.MaxValue : (long)Math.Min(ends.GetValueOrDefault((known.Device, known.Inode)), long.MaxValue);
    }

    /// <summary>Everything once, then what differs from what was handed on. To be enumerated to its end; batches may be disposed from any thread.</summary>
    public async IAsyncEnumerable<PageBatch> RoundAsync(bool frozen, [EnumeratorCancellation] CancellationToken cancel)
    {
        long start = _time.GetTimestamp();
        _round++;
        _changedPages = 0;
        if (!frozen)
            foreach (SharedFile known in _objects.Values)
                known.End = long.MaxValue;
        foreach (int number in _gone)
            yield return new PageBatch(_buffers, null, 0, 0, number, [new PageRange(0, 1UL << 55, PageRangeKind.Dropped)]);
        _gone.Clear();
        // Linked: the caller, and a caller who stops in the middle.
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        Channel<PageBatch> found = Channel.CreateBounded<PageBatch>(new BoundedChannelOptions(_workers) { SingleReader = true });
        ParallelOptions options = new() { MaxDegreeOfParallelism = frozen ? _workers : 1, CancellationToken = stop.Token };
        Task reading = Task.Run(() => Parallel.ForEachAsync(Pieces(), options, (piece, token) => LookAsync(piece, found.Writer, token)), CancellationToken.None);
        _ = reading.ContinueWith(ended => found.Writer.TryComplete(ended.Exception?.InnerException), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        try
        {
            await foreach (PageBatch batch in found.Reader.ReadAllAsync(cancel))
                yield return batch;
        }
        finally
        {
            await stop.CancelAsync();
            await reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            while (found.Reader.TryRead(out PageBatch? left))
                left.Dispose();
        }
        // Called off: the channel may have ended before anybody was told why.
        await reading;
        LastRound = new SharedRound(_objects.Count, (ulong)_changedPages * Interop.PageSize, (ulong)_heldPages * Interop.PageSize, _time.GetElapsedTime(start));
    }

    /// <summary>What arrived damaged is handed on again by the next round.</summary>
    public void Forget(int number, ulong offset, ulong length)
    {
        if (_objects.Values.FirstOrDefault(known => known.Number == number) is not { } file)
            return;
        for (ulong at = offset; at < offset + length; at += Interop.PageSize)
            if (file.Windows.TryGetValue((long)at / WindowBytes, out Window? window))
                SetTag(file, window, (int)((long)at % WindowBytes / Page), default);
    }

    public void Dispose()
    {
        foreach (SharedFile file in _objects.Values)
            file.Dispose();
        _objects.Clear();
        while (_tags.TryTake(out PageTag? tag))
            tag.Dispose();
        _buffers.Dispose();
    }

    private static uint DeviceOfSharedMemory()
    {
        using SafeFileHandle sample = Interop.CreateMemoryFile("evacuator-device", Interop.FileMemory.MFD_CLOEXEC);
        return !sample.IsInvalid && Interop.FileCalls.TryStat($"/proc/self/fd/{sample.DangerousGetHandle()}", out Interop.FileCalls.Statx status)
            ? status.DevMajor << 20 | status.DevMinor
            : throw Interop.Failure("memfd_create", Interop.LastError);
    }

    private SharedFile? Open(SharedPlace place)
    {
        string? target;
        SafeFileHandle file;
        try
        {
            target = new FileInfo(place.Path).LinkTarget;
            file = Interop.OpenFile(place.Path, Interop.SharedFiles.O_RDONLY | Interop.SharedFiles.O_CLOEXEC | Interop.SharedFiles.O_NONBLOCK);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
        // Opened by a path: it has to be the one that was seen.
        if (file.IsInvalid || target is null || !Interop.FileCalls.TryStat($"/proc/self/fd/{file.DangerousGetHandle()}", out Interop.FileCalls.Statx status)
            || (status.DevMajor << 20 | status.DevMinor) != place.Device || status.Inode != place.Inode || status.Type != Interop.FileCalls.S_IFREG)
        {
            file.Dispose();
            return null;
        }
        bool isWhole = !target.StartsWith("/dev/zero", StringComparison.Ordinal);
        return new SharedFile(--_numbers, place.Device, place.Inode, file, isWhole);
    }

    /// <summary>The stretches that have content, window by window; then the windows that had some and have none any more.</summary>
    private IEnumerable<Piece> Pieces()
    {
        foreach (SharedFile file in _objects.Values)
        {
            Window? window = null;
            List<(int Start, int End)> content = [];
            for (long at = 0; at < file.End;)
            {
                long from = Interop.Seek(file.Handle, at, Interop.SharedFiles.SEEK_DATA);
                long to = from < 0 ? -1 : Interop.Seek(file.Handle, from, Interop.SharedFiles.SEEK_HOLE);
                // Nothing further, or cut short since.
                if (to <= from)
                    break;
                // Whole pages: the last may be the file's end. It is taken once, also of a file that grows before its end is looked for again.
                from &= ~(Page - 1L);
                to = (to + Page - 1) & ~(Page - 1L);
                at = to;
                to = Math.Min(to, file.End);
                while (from < to)
                {
                    if (window?.Number != from / WindowBytes)
                    {
                        if (window is not null)
                            yield return new Piece(file, window, content);
                        (window, content) = (file.WindowAt(from / WindowBytes), []);
                        window.Round = _round;
                    }
                    long end = Math.Min(to, (window.Number + 1) * WindowBytes);
                    content.Add(((int)(from % WindowBytes), (int)(end - window.Number * WindowBytes)));
                    from = end;
                }
            }
            if (window is not null)
                yield return new Piece(file, window, content);
            foreach (Window empty in file.Windows.Values.Where(known => known.Round != _round).ToArray())
                yield return new Piece(file, empty, []);
        }
    }

    private async ValueTask LookAsync(Piece piece, ChannelWriter<PageBatch> found, CancellationToken cancel)
    {
        byte[] buffer = await _buffers.RentAsync(cancel);
        PageBatch? batch = null;
        try
        {
            batch = Compare(piece, buffer);
        }
        finally
        {
            if (batch is null)
                _buffers.Return(buffer);
        }
        if (batch is null)
            return;
        try
        {
            await found.WriteAsync(batch, cancel);
        }
        catch
        {
            batch.Dispose();
            throw;
        }
    }

    /// <returns>null if nothing is new; else it owns the buffer</returns>
    private PageBatch? Compare(Piece piece, byte[] buffer)
    {
        if (!_tags.TryTake(out PageTag? tag))
            tag = new PageTag(_key);
        List<PageRange> ranges = [];
        int kept = 0, next = 0;
        foreach ((int start, int end) in piece.Content)
        {
            Void(piece, next, start, ranges);
            int read = ReadAll(piece.File.Handle, buffer.AsSpan(start, end - start), piece.Window.Number * WindowBytes + start);
            // Cut short since: the rest reads as zero.
            buffer.AsSpan(start + read, end - start - read).Clear();
            for (int at = start, step; at < end; at += step)
            {
                step = Math.Min(StretchBytes - at % StretchBytes, end - at);
                // Only whole ones have a tag of their own.
                UInt128 all = step == StretchBytes ? tag.Of(buffer.AsSpan(at, step)) : default;
                if (all != default && piece.Window.Stretches[at / StretchBytes] == all)
                    continue;
                for (int page = at; page < at + step; page += Page)
                    kept = ComparePage(piece, tag, buffer, page, kept, ranges);
                piece.Window.Stretches[at / StretchBytes] = all;
            }
            next = end;
        }
        Void(piece, next, WindowBytes, ranges);
        _tags.Add(tag);
        return ranges.Count == 0 ? null : new PageBatch(_buffers, buffer, kept, 0, piece.File.Number, [.. ranges]);
    }

    /// <returns>bytes kept at the beginning of the buffer</returns>
    private int ComparePage(Piece piece, PageTag tag, byte[] buffer, int at, int kept, List<PageRange> ranges)
    {
        ReadOnlySpan<byte> page = buffer.AsSpan(at, Page);
        if (!page.ContainsAnyExcept((byte)0))
        {
            Void(piece, at, at + Page, ranges);
            return kept;
        }
        UInt128 now = tag.Of(page);
        if (piece.Window.Tags[at / Page] == now)
            return kept;
        SetTag(piece.File, piece.Window, at / Page, now);
        Interlocked.Increment(ref _changedPages);
        if (kept != at)
            page.CopyTo(buffer.AsSpan(kept));
        Note(piece, at, PageRangeKind.Data, ranges);
        return kept + Page;
    }

    private static unsafe int ReadAll(SafeFileHandle file, Span<byte> into, long offset)
    {
        int read = 0;
        fixed (byte* p = into)
            while (read < into.Length)
            {
                nint got = Interop.PRead(file, p + read, (nuint)(into.Length - read), offset + read);
                if (got < 0 && Interop.LastError == Interop.Errno.EINTR)
                    continue;
                if (got < 0)
                    throw Interop.Failure("reading shared memory", Interop.LastError);
                if (got == 0)
                    break;
                read += (int)got;
            }
        return read;
    }

    /// <summary>Pages without content: zero at the destination, too, if it has something else.</summary>
    private void Void(Piece piece, int start, int end, List<PageRange> ranges)
    {
        for (int at = start; at < end; at += Page)
            if (piece.Window.Tags[at / Page] != default)
            {
                SetTag(piece.File, piece.Window, at / Page, default);
                Note(piece, at, PageRangeKind.Zero, ranges);
            }
    }

    private static void Note(Piece piece, int at, PageRangeKind kind, List<PageRange> ranges)
    {
        ulong address = (ulong)(piece.Window.Number * WindowBytes + at);
        if (ranges.Count > 0 && ranges[^1] is { } last && last.Kind == kind && last.End == address)
            ranges[^1] = last with { Length = last.Length + Interop.PageSize };
        else
            ranges.Add(new PageRange(address, Interop.PageSize, kind));
    }

    private void SetTag(SharedFile file, Window window, int page, UInt128 tag)
    {
        int more = (tag != default ? 1 : 0) - (window.Tags[page] != default ? 1 : 0);
        window.Tags[page] = tag;
        window.Stretches[page / StretchPages] = default;
        if (more == 0)
            return;
        Interlocked.Add(ref _heldPages, more);
        Interlocked.Add(ref file.Held, more);
    }

    private readonly record struct Piece(SharedFile File, Window Window, List<(int Start, int End)> Content);

    /// <param name="number">of the 1 MiB in its object</param>
    private sealed class Window(long number)
    {
        /// <summary>Of what was handed on; 0 where the destination has nothing.</summary>
        public readonly UInt128[] Tags = new UInt128[WindowPages];

        /// <summary>Of whole stretches that the destination has just so; 0 where nobody knows.</summary>
        public readonly UInt128[] Stretches = new UInt128[WindowPages / StretchPages];

        public long Number => number;

        public int Round { get; set; }
    }

    /// <param name="isWhole">it has a size of its own; else it is as large as what is mapped of it</param>
    private sealed class SharedFile(int number, uint device, ulong inode, SafeFileHandle handle, bool isWhole) : IDisposable
    {
        public long Held;

        public int Number => number;

        public uint Device => device;

        public ulong Inode => inode;

        public SafeFileHandle Handle => handle;

        public bool IsWhole => isWhole;

        public long End { get; set; } = long.MaxValue;

        public Dictionary<long, Window> Windows { get; } = [];

        public Window WindowAt(long at)
        {
            if (!Windows.TryGetValue(at, out Window? window))
                Windows.Add(at, window = new Window(at));
            return window;
        }

        public void Dispose() => handle.Dispose();
    }
}

/// <summary>An object of shared memory, and a path by which it can be opened while its owner lives.</summary>
/// <param name="Device">major &lt;&lt; 20 | minor</param>
internal readonly record struct SharedPlace(uint Device, ulong Inode, ulong Bytes, string Path);

/// <summary>An object of shared memory that is sent ahead.</summary>
/// <param name="Number">negative: in the place of a pid</param>
/// <param name="Held">bytes that the destination has of it</param>
internal readonly record struct SharedIdentity(int Number, uint Device, ulong Inode, ulong Held);
