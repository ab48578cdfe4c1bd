using System.Buffers.Binary;
using Evacuator.NodeAgent.Memory;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// How memory travels: frames over one or several upgraded connections (Upgrade: evacuator-pages), little endian.
/// <code>
/// source → destination
///   u32 magic "EVPF"  u16 kind  u16 ranges  i32 virtual pid (or round, or shared memory)  u32 bytes of data  u32 CRC-32C of the data  u32 after  u32 CRC-32C of all before and of the ranges
///   ranges × { u64 address, u64 length | kind }      whole pages; kind in the low 12 bits: 1 data, 2 zero, 3 dropped, 4 away
///   data                                              the bytes of all data ranges, one after the other
/// destination → source, after each frame of kind RoundEnd
///   u32 magic "EVPA"  i32 round  u32 count  u32 zero   count × { i32 virtual pid, u32 zero, u64 address, u64 length }    damaged, to be sent again
/// </code>
/// Frames of several connections may overtake each other. Within a round no two of them speak of the same page but for one case: memory that is
/// void, and what is mapped in its place since. Frames without data therefore all go over one connection, and "after" says how many of them,
/// since the sending began, must have been taken in before this frame is. Rounds do not overlap: each connection's RoundEnd is acknowledged.
/// A negative pid is the number of an object of shared memory, its addresses are offsets; only to a destination that says that it takes them.
/// A frame's data is at most <see cref="MaxData"/> bytes, its ranges at most <see cref="MaxRanges"/>.
/// </summary>
internal static class PageFrame
{
    public const string Upgrade = "evacuator-pages";
    public const uint Magic = 0x46505645;
    public const uint AckMagic = 0x41505645;
    public const ushort Batch = 1;
    public const ushort RoundEnd = 2;

    /// <summary>A batch whose data is one LZ4 block; its checksum is that of what comes out. Only to a destination that says that it takes it.</summary>
    public const ushort Compressed = 3;
    public const int HeadBytes = 28;
    public const int ChecksumAt = 24;
    public const int AckBytes = 16;
    public const int MaxData = 1 << 20;
    public const int MaxRanges = 4096;

    /// <summary>Connections of one sending.</summary>
    public const int MaxLanes = 8;

    public static int Write(Span<byte> to, ushort kind, int pid, IReadOnlyList<PageRange> ranges, int data, uint checksum, uint after)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(to, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(to[4..], kind);
        BinaryPrimitives.WriteUInt16LittleEndian(to[6..], checked((ushort)ranges.Count));
        BinaryPrimitives.WriteInt32LittleEndian(to[8..], pid);
        BinaryPrimitives.WriteInt32LittleEndian(to[12..], data);
        BinaryPrimitives.WriteUInt32LittleEndian(to[16..], checksum);
        BinaryPrimitives.WriteUInt32LittleEndian(to[20..], after);
        int at = HeadBytes;
        foreach (PageRange range in ranges)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(to[at..], range.Address);
            BinaryPrimitives.WriteUInt64LittleEndian(to[(at + 8)..], range.Length | (uint)range.Kind);
            at += 16;
        }
        BinaryPrimitives.WriteUInt32LittleEndian(to[ChecksumAt..], HeadChecksum(to[..at]));
        return at;
    }

    /// <summary>Over everything but the checksum itself.</summary>
    public static uint HeadChecksum(ReadOnlySpan<byte> headAndRanges) =>
        Crc32C.Append(Crc32C.Append(0, headAndRanges[..ChecksumAt]), headAndRanges[HeadBytes..]);

    /// <summary>Reads the head of the next frame with its ranges.</summary>
    /// <param name="head">room for <see cref="HeadBytes"/> and <see cref="MaxRanges"/> ranges</param>
    /// <returns>null at the end of the stream</returns>
    /// <exception cref="InvalidDataException">what arrives is not this protocol</exception>
    public static async ValueTask<PageFrameHead?> ReadHeadAsync(Stream stream, byte[] head, CancellationToken cancel)
    {
        int first = await stream.ReadAtLeastAsync(head.AsMemory(0, HeadBytes), HeadBytes, throwOnEndOfStream: false, cancel);
        if (first == 0)
            return null;
        if (first < HeadBytes)
            throw new EndOfStreamException("the memory stream ended inside a frame");
        if (BinaryPrimitives.ReadUInt32LittleEndian(head) != Magic)
            throw new InvalidDataException("not a memory stream");
        PageFrameHead read = new(
            BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(4)), BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(6)), BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(8)),
            BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(12)), BinaryPrimitives.ReadUInt32LittleEndian(head.AsSpan(16)), BinaryPrimitives.ReadUInt32LittleEndian(head.AsSpan(20)));
        if (read.Ranges > MaxRanges || read.Data is < 0 or > MaxData)
            throw new InvalidDataException($"a frame with {read.Ranges} ranges and {read.Data} bytes");
        await stream.ReadExactlyAsync(head.AsMemory(HeadBytes, read.Ranges * 16), cancel);
        if (HeadChecksum(head.AsSpan(0, HeadBytes + read.Ranges * 16)) != BinaryPrimitives.ReadUInt32LittleEndian(head.AsSpan(ChecksumAt)))
            throw new InvalidDataException("the head of a frame was damaged on its way");
        return read;
    }

    /// <exception cref="InvalidDataException">the range is not one that this protocol knows</exception>
    public static PageRange ReadRange(ReadOnlySpan<byte> from)
    {
        ulong address = BinaryPrimitives.ReadUInt64LittleEndian(from), coded = BinaryPrimitives.ReadUInt64LittleEndian(from[8..]);
        ulong length = coded & ~(Interop.PageSize - 1);
        PageRangeKind kind = (PageRangeKind)(coded & (Interop.PageSize - 1));
        // User space ends at 2^56 at the latest (five-level paging).
        if (kind is not (PageRangeKind.Data or PageRangeKind.Zero or PageRangeKind.Dropped or PageRangeKind.Away) || length == 0
            || (address & (Interop.PageSize - 1)) != 0 || address >= 1UL << 56 || length > (1UL << 56) - address)
            throw new InvalidDataException($"a range of pages that cannot be: {address:x}, {coded:x}");
        return new PageRange(address, length, kind);
    }
}

/// <param name="Kind">Batch, RoundEnd or Compressed</param>
/// <param name="Ranges">how many follow the head</param>
/// <param name="Pid">in the container's pid namespace; of a RoundEnd the round's number</param>
/// <param name="Data">bytes that follow the ranges</param>
/// <param name="Checksum">CRC-32C of the data, when it is not compressed any more</param>
/// <param name="After">frames without data that come before this one</param>
internal readonly record struct PageFrameHead(int Kind, int Ranges, int Pid, int Data, uint Checksum, uint After);

/// <summary>Pages that arrived damaged.</summary>
internal readonly record struct DamagedPages(int Pid, ulong Address, ulong Length);
