using System.Buffers;
using System.Buffers.Binary;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.PageStore;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// The destination's end of the memory streams of one sending: from the wire straight into the page stores' memory. Each connection has its
/// own call of <see cref="ReceiveAsync"/>; they may run side by side.
/// </summary>
/// <param name="stores">by virtual pid; new ones are added</param>
/// <param name="maxBytes">held pages beyond this are refused: the reservation bounds what a peer may make us keep</param>
internal sealed class PageReceiver(Dictionary<int, ProcessPages> stores, long maxBytes)
{
    public const int MaxDamaged = 4096;
    private const int LeastPopulated = 16 * 1024;
    private const int MaxProcesses = 100_000;

    /// <summary>Shared memory between two looks at the room for it.</summary>
    private const long SharedLook = 8 << 20;

    /// <summary>More than a source follows at a time: objects come and go.</summary>
    private const int MaxShared = 8 * SharedTracker.MaxObjects;

    private readonly Dictionary<int, SharedPages> _shared = [];

    /// <summary>Guards the stores' tables and all fields; the bytes themselves are written outside of it.</summary>
    private readonly Lock _lock = new();
    /// <summary>Frames without data that have been taken in; who waits for the next one is told by <see cref="_voided"/>.</summary>
    private uint _voids;
    private TaskCompletionSource? _voided;
    /// <summary>Bytes held at the last count, and all that came since; at first counted at once, for an earlier stream may have left some.</summary>
    private long _arrived = long.MaxValue / 2;

    /// <summary>The same of shared memory.</summary>
    private long _sharedArrived;
    private long _sharedUnlooked;

    /// <summary>Makes the store of a process that had none.</summary>
    public Func<int, ProcessPages> NewStore { get; init; } = pid => ProcessPages.Create(pid);

    /// <summary>Makes the store of an object of shared memory, by its negative number; null: none is taken.</summary>
    public Func<int, SharedPages>? NewShared { get; init; }

    /// <summary>Objects of shared memory that have arrived, by number; for when no stream writes any more.</summary>
    public IReadOnlyDictionary<int, SharedPages> Shared => _shared;

    /// <summary>Bytes of it; it takes the place of images.</summary>
    public long MaxSharedBytes { get; init; }

    /// <summary>Bytes of shared memory that are held.</summary>
    public long SharedBytes
    {
        get
        {
            lock (_lock)
                return _shared.Values.Sum(store => store.Count) * (long)Interop.PageSize;
        }
    }

    /// <summary>Asked now and then: all else that is on the same file system must go on.</summary>
    public Func<bool>? SharedHasRoom { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Told at the end of each round.</summary>
    public Action? OnRound { get; init; }

    /// <summary>Waits while something more urgent is going on; asked before each batch.</summary>
    public Func<CancellationToken, ValueTask>? GiveWay { get; init; }

    /// <summary>One connection, until the source closes it.</summary>
    /// <exception cref="InvalidDataException">what arrives is not this protocol, or more than was reserved</exception>
    public async Task ReceiveAsync(Stream stream, CancellationToken cancel)
    {
        byte[] head = new byte[PageFrame.HeadBytes + PageFrame.MaxRanges * 16];
        List<DamagedPages> damaged = [];
        while (true)
        {
            if (await PageFrame.ReadHeadAsync(stream, head, cancel) is not { } frame)
                return;
            if (frame.Kind == PageFrame.RoundEnd)
                await AcknowledgeAsync(stream, frame.Pid, damaged, cancel);
            else if (frame.Kind is PageFrame.Batch or PageFrame.Compressed)
            {
                if (GiveWay is not null)
                    await GiveWay(cancel);
                await AfterAsync(frame.After, cancel);
                if (frame.Kind == PageFrame.Compressed)
                {
                    await ReceiveCompressedAsync(stream, head, frame, damaged, cancel);
                    continue;
                }
                await (frame.Pid < 0 ? ReceiveSharedAsync(stream, head, frame, damaged, cancel) : ReceiveBatchAsync(stream, head, frame, damaged, cancel));
                if (frame.Data == 0)
                    Voided();
            }
            else
                throw new InvalidDataException($"a frame of kind {frame.Kind}");
        }
    }

    /// <summary>Taken out of its block, then like any other. What is not a block is what its checksum refuses.</summary>
    private async Task ReceiveCompressedAsync(Stream stream, byte[] head, PageFrameHead frame, List<DamagedPages> damaged, CancellationToken cancel)
    {
        UInt128 length = 0;
        for (int i = 0; i < frame.Ranges; i++)
            if (PageFrame.ReadRange(head.AsSpan(PageFrame.HeadBytes + i * 16)) is { Kind: PageRangeKind.Data } range)
                length += range.Length;
        if (length > PageFrame.MaxData || frame.Data == 0 || !Interop.Lz4.IsAvailable)
            throw new InvalidDataException($"a frame of {frame.Data} compressed bytes for {length}");
        byte[] packed = ArrayPool<byte>.Shared.Rent(frame.Data), data = ArrayPool<byte>.Shared.Rent(Math.Max(1, (int)length));
        try
        {
            await stream.ReadExactlyAsync(packed.AsMemory(0, frame.Data), cancel);
            int got = Interop.Lz4.Decompress(packed.AsSpan(0, frame.Data), data.AsSpan(0, (int)length));
            data.AsSpan(Math.Max(0, got), (int)length - Math.Max(0, got)).Clear();
            using MemoryStream content = new(data, 0, (int)length, writable: false);
            PageFrameHead plain = frame with { Kind = PageFrame.Batch, Data = (int)length };
            await (frame.Pid < 0 ? ReceiveSharedAsync(content, head, plain, damaged, cancel) : ReceiveBatchAsync(content, head, plain, damaged, cancel));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(packed);
            ArrayPool<byte>.Shared.Return(data);
        }
    }

    private async Task ReceiveBatchAsync(Stream stream, byte[] head, PageFrameHead frame, List<DamagedPages> damaged, CancellationToken cancel)
    {
        ProcessPages store = Store(frame.Pid);
        uint checksum = 0;
        long left = frame.Data;
        List<(int Region, int Page, int Length, ulong Address)> arrived = [];
        for (int i = 0; i < frame.Ranges; i++)
        {
            PageRange range = PageFrame.ReadRange(head.AsSpan(PageFrame.HeadBytes + i * 16));
            if (range.Kind == PageRangeKind.Away)
            {
                CountArriving((long)range.Length);
                lock (_lock)
                    store.Leave(range.Address, range.Length);
                continue;
            }
            if (range.Kind != PageRangeKind.Data)
            {
                lock (_lock)
                    store.Drop(range.Address, range.Length);
                continue;
            }
            if (range.Length > (ulong)left)
                throw new InvalidDataException("a frame whose ranges are longer than its data");
            left -= (long)range.Length;
            CountArriving((long)range.Length);
            for (ulong at = range.Address; at < range.End;)
            {
                (nint bytes, int region, int page, int length) = Place(store, at, range.End - at, out bool isWhole);
                // Pages made one by one as they are written cost twice as much.
                if (!(isWhole && store.MakeWhole(region, Time)) && length >= LeastPopulated)
                    Interop.Populate(bytes, length);
                using (UnmanagedBytes memory = new(bytes, length))
                {
                    await stream.ReadExactlyAsync(memory.Memory, cancel);
                    checksum = Crc32C.Append(checksum, memory.Memory.Span);
                }
                arrived.Add((region, page, length, at));
                at += (ulong)length;
            }
        }
        if (left != 0)
            throw new InvalidDataException("a frame whose data is longer than its ranges");
        bool whole = checksum == frame.Checksum || frame.Data == 0;
        lock (_lock)
            foreach ((int region, int page, int length, ulong address) in arrived)
            {
                if (whole)
                {
                    store.Keep(region, page, length);
                    continue;
                }
                // What was there before is overwritten: nothing is held until it comes again.
                store.Drop(address, (ulong)length);
                damaged.Add(new DamagedPages(frame.Pid, address, (ulong)length));
                if (damaged.Count > MaxDamaged)
                    throw new InvalidDataException("the memory stream is damaged beyond repair");
            }
    }

    /// <summary>Into its image's file, once all of it has been read and checked.</summary>
    private async Task ReceiveSharedAsync(Stream stream, byte[] head, PageFrameHead frame, List<DamagedPages> damaged, CancellationToken cancel)
    {
        SharedPages store = SharedStore(frame.Pid);
        PageRange[] ranges = [.. Enumerable.Range(0, frame.Ranges).Select(i => PageFrame.ReadRange(head.AsSpan(PageFrame.HeadBytes + i * 16)))];
        if (ranges.Any(range => range.Kind == PageRangeKind.Away))
            throw new InvalidDataException("shared memory that is away");
        if (ranges.Where(range => range.Kind == PageRangeKind.Data).Aggregate((UInt128)0, (sum, range) => sum + range.Length) != (uint)frame.Data)
            throw new InvalidDataException("a frame whose ranges are not as long as its data");
        byte[] data = ArrayPool<byte>.Shared.Rent(frame.Data);
        try
        {
            await stream.ReadExactlyAsync(data.AsMemory(0, frame.Data), cancel);
            bool whole = Crc32C.Compute(data.AsSpan(0, frame.Data)) == frame.Checksum || frame.Data == 0;
            CountShared(frame.Data);
            int at = 0;
            foreach (PageRange range in ranges)
            {
                if (range.Kind != PageRangeKind.Data)
                {
                    store.Drop(range.Address, range.Length);
                    continue;
                }
                if (whole)
                    store.Write(range.Address, data.AsSpan(at, (int)range.Length));
                else
                    damaged.Add(new DamagedPages(frame.Pid, range.Address, range.Length));
                at += (int)range.Length;
            }
            if (damaged.Count > MaxDamaged)
                throw new InvalidDataException("the memory stream is damaged beyond repair");
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(data);
        }
    }

    private SharedPages SharedStore(int number)
    {
        lock (_lock)
        {
            if (_shared.TryGetValue(number, out SharedPages? store))
                return store;
            if (NewShared is null || _shared.Count >= MaxShared)
                throw new InvalidDataException(NewShared is null ? $"a process {number}" : $"more than {MaxShared} objects of shared memory");
            return _shared[number] = NewShared(number);
        }
    }

    private ProcessPages Store(int pid)
    {
        lock (_lock)
        {
            if (stores.TryGetValue(pid, out ProcessPages? store))
                return store;
            if (stores.Count >= MaxProcesses)
                throw new InvalidDataException($"more than {MaxProcesses} processes");
            return stores[pid] = NewStore(pid);
        }
    }

    private (nint Bytes, int Region, int Page, int Length) Place(ProcessPages store, ulong address, ulong length, out bool isWhole)
    {
        lock (_lock)
            return store.Place(address, length, out isWhole);
    }

    private void CountArriving(long bytes)
    {
        lock (_lock)
        {
            // Counting bits for every frame would cost more than the frame: only when so much has arrived that it could be too much.
            _arrived += bytes;
            if (_arrived > maxBytes)
                _arrived = CheckHeldNeedsLock() + bytes;
        }
    }

    private void CountShared(long bytes)
    {
        lock (_lock)
        {
            _sharedUnlooked += bytes;
            if (_sharedUnlooked > SharedLook)
            {
                _sharedUnlooked = 0;
                if (SharedHasRoom?.Invoke() == false)
                    throw new InvalidDataException($"no room is left for the shared memory of the container, after {SharedBytes >> 20} MiB of it");
            }
            _sharedArrived += bytes;
            if (_sharedArrived <= MaxSharedBytes)
                return;
            // A page that was sent many times counts once.
            _sharedArrived = SharedBytes + bytes;
            if (_sharedArrived > MaxSharedBytes)
                throw new InvalidDataException($"{_sharedArrived >> 20} MiB of shared memory arrived, {MaxSharedBytes >> 20} MiB were reserved: it has grown since the move was planned");
        }
    }

    /// <summary>Until that many frames without data have been taken in.</summary>
    private async ValueTask AfterAsync(uint count, CancellationToken cancel)
    {
        while (true)
        {
            Task next;
            lock (_lock)
            {
                if (_voids >= count)
                    return;
                next = (_voided ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            }
            await next.WaitAsync(cancel);
        }
    }

    private void Voided()
    {
        TaskCompletionSource? told;
        lock (_lock)
        {
            _voids++;
            (told, _voided) = (_voided, null);
        }
        told?.SetResult();
    }

    private async Task AcknowledgeAsync(Stream stream, int round, List<DamagedPages> damaged, CancellationToken cancel)
    {
        lock (_lock)
            _ = CheckHeldNeedsLock();
        byte[] ack = new byte[PageFrame.AckBytes + damaged.Count * 24];
        BinaryPrimitives.WriteUInt32LittleEndian(ack, PageFrame.AckMagic);
        BinaryPrimitives.WriteInt32LittleEndian(ack.AsSpan(4), round);
        BinaryPrimitives.WriteInt32LittleEndian(ack.AsSpan(8), damaged.Count);
        for (int i = 0; i < damaged.Count; i++)
        {
            Span<byte> entry = ack.AsSpan(PageFrame.AckBytes + i * 24);
            BinaryPrimitives.WriteInt32LittleEndian(entry, damaged[i].Pid);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], damaged[i].Address);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], damaged[i].Length);
        }
        damaged.Clear();
        OnRound?.Invoke();
        await stream.WriteAsync(ack, cancel);
        await stream.FlushAsync(cancel);
    }

    /// <returns>bytes held; a page that was sent many times counts once</returns>
    private long CheckHeldNeedsLock()
    {
        long held = stores.Values.Sum(store => store.Table.CountPages() + store.Table.CountAway()) * (long)Interop.PageSize;
        return held <= maxBytes ? held : throw new InvalidDataException($"{held >> 20} MiB of memory arrived, {maxBytes >> 20} MiB were reserved: it has grown since the move was planned");
    }

    /// <summary>Native memory as <see cref="Memory{T}"/>, for the time of one read.</summary>
    private sealed unsafe class UnmanagedBytes(nint bytes, int length) : MemoryManager<byte>
    {
        public override Span<byte> GetSpan() => new((void*)bytes, length);

        public override MemoryHandle Pin(int elementIndex = 0) => new((byte*)bytes + elementIndex);

        public override void Unpin()
        {
        }

        protected override void Dispose(bool disposing)
        {
        }
    }
}
