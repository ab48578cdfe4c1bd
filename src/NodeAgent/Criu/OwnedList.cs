using System.Buffers.Binary;

namespace Evacuator.NodeAgent.Criu;

/// <summary>The list of memory that CRIU must not read; see native/criu-shim.c for the layout.</summary>
internal static class OwnedList
{
    /// <param name="ranges">the host's pid, first byte, byte after the last; sorted, not overlapping, whole pages</param>
    public static byte[] Write(IReadOnlyList<(int Pid, ulong Start, ulong End)> ranges)
    {
        byte[] content = new byte[16 + ranges.Count * 24];
        BinaryPrimitives.WriteUInt32LittleEndian(content, 0x524F5645); // "EVOR"
        BinaryPrimitives.WriteUInt32LittleEndian(content.AsSpan(4), 1);
        BinaryPrimitives.WriteUInt64LittleEndian(content.AsSpan(8), (ulong)ranges.Count);
        for (int i = 0; i < ranges.Count; i++)
        {
            Span<byte> entry = content.AsSpan(16 + i * 24);
            BinaryPrimitives.WriteInt32LittleEndian(entry, ranges[i].Pid);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], ranges[i].Start);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], ranges[i].End);
        }
        return content;
    }
}
