namespace Evacuator.NodeAgent.Memory;

/// <summary>What is known of the pages of a range.</summary>
internal enum PageRangeKind
{
    /// <summary>Their bytes are in the batch.</summary>
    Data = 1,

    /// <summary>All bytes are zero. The store need not keep them: a page it does not know reads as zero.</summary>
    Zero = 2,

    /// <summary>Not in the process any more (unmapped, dropped, or now CRIU's): whatever the store has of them is void.</summary>
    Dropped = 3,

    /// <summary>It has content and stays where it is for now, frozen: the destination asks for it when it runs (post-copy).</summary>
    Away = 4,
}

/// <summary>Bytes from <paramref name="Address"/>, whole pages.</summary>
internal readonly record struct PageRange(ulong Address, ulong Length, PageRangeKind Kind)
{
    public ulong End => Address + Length;
}

/// <summary>
/// Some pages of one process, as they were at some instant after the round began. Owns a buffer of the tracker's pool: dispose it when the bytes are sent or copied, from any thread.
/// </summary>
internal sealed class PageBatch : IDisposable
{
    private readonly BatchBuffers _pool;
    private byte[]? _buffer;
    private readonly int _length;

    internal PageBatch(BatchBuffers pool, byte[]? buffer, int length, int hostPid, int pid, PageRange[] ranges)
    {
        _pool = pool;
        _buffer = buffer;
        _length = length;
        HostPid = hostPid;
        Pid = pid;
        Ranges = ranges;
        Checksum = Crc32C.Compute(Data.Span);
    }

    /// <summary>The process' pid in the container's own pid namespace: the one CRIU's images name.</summary>
    public int Pid { get; }

    public int HostPid { get; }

    /// <summary>Ascending and disjoint.</summary>
    public IReadOnlyList<PageRange> Ranges { get; }

    /// <summary>The bytes of all Data ranges, one after the other.</summary>
    public ReadOnlyMemory<byte> Data => _buffer is null ? default : _buffer.AsMemory(0, _length);

    /// <summary>CRC-32C of <see cref="Data"/>, taken where the bytes were read.</summary>
    public uint Checksum { get; }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _buffer, null) is { } buffer)
            _pool.Return(buffer);
    }
}
