using System.Buffers.Binary;

namespace Evacuator.NodeAgent.Criu;

/// <summary>The list of memory that CRIU must not read; see native/criu-shim.c for the layout.</summary>
internal static class OwnedList
{
    /// <param name="ranges">the host's pid, first byte, byte after the last; sorted, not overlapping, whole pages</param>
    /// <param name="objects">shared memory, by device and inode</param>
    public static byte[] Write(IReadOnlyList<(int Pid, ulong Start, ulong End)> ranges, IEnumerable<(uint Major, uint Minor, ulong Inode)> objects)
    {
        (uint Major, uint Minor, ulong Inode)[] sorted = [.. objects.OrderBy(known => known.Inode)];
        byte[] content = new byte[24 + ranges.Count * 24 + sorted.Length * 16];
        BinaryPrimitives.WriteUInt32LittleEndian(content, 0x524F5645); // "EVOR"
        BinaryPrimitives.WriteUInt32LittleEndian(content.AsSpan(4), 2);
        BinaryPrimitives.WriteUInt64LittleEndian(content.AsSpan(8), (ulong)ranges.Count);
        BinaryPrimitives.WriteUInt64LittleEndian(content.AsSpan(16), (ulong)sorted.Length);
        for (int i = 0; i < ranges.Count; i++)
        {
            Span<byte> entry = content.AsSpan(24 + i * 24);
            BinaryPrimitives.WriteInt32LittleEndian(entry, ranges[i].Pid);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], ranges[i].Start);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], ranges[i].End);
        }
        for (int i = 0; i < sorted.Length; i++)
        {
            Span<byte> entry = content.AsSpan(24 + ranges.Count * 24 + i * 16);
            BinaryPrimitives.WriteUInt32LittleEndian(entry, sorted[i].Major);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[4..], sorted[i].Minor);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], sorted[i].Inode);
        }
        return content;
    }
}
