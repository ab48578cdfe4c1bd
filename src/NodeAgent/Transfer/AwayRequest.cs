using System.Buffers.Binary;
using Evacuator.NodeAgent.Memory;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// How pages that stayed at the source are asked for, over an upgraded connection (Upgrade: evacuator-away), little endian. Two connections: one
/// for pages that a process stands still for, one for all others.
/// <code>
/// destination → source   u32 magic "EVAQ"  i32 virtual pid  u64 address  u32 pages  u32 CRC-32C of all before;   0 pages: that was all
/// source → destination   for each request, in their order, one PageFrame of kind Batch with just these pages; for the last one a RoundEnd
/// </code>
/// </summary>
/// <param name="Pid">in the container's pid namespace</param>
/// <param name="Address">of whole pages</param>
/// <param name="Pages">at most <see cref="MaxPages"/></param>
internal readonly record struct AwayRequest(int Pid, ulong Address, int Pages)
{
    public const string Upgrade = "evacuator-away";
    public const int Bytes = 24;
    public const int MaxPages = PageFrame.MaxData / (int)Interop.PageSize;

    private const uint Magic = 0x51415645;

    public void Write(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(to, Magic);
        BinaryPrimitives.WriteInt32LittleEndian(to[4..], Pid);
        BinaryPrimitives.WriteUInt64LittleEndian(to[8..], Address);
        BinaryPrimitives.WriteInt32LittleEndian(to[16..], Pages);
        BinaryPrimitives.WriteUInt32LittleEndian(to[20..], Crc32C.Append(0, to[..20]));
    }

    /// <exception cref="InvalidDataException">not such a request</exception>
    public static AwayRequest Read(ReadOnlySpan<byte> from)
    {
        AwayRequest request = new(BinaryPrimitives.ReadInt32LittleEndian(from[4..]), BinaryPrimitives.ReadUInt64LittleEndian(from[8..]), BinaryPrimitives.ReadInt32LittleEndian(from[16..]));
        if (BinaryPrimitives.ReadUInt32LittleEndian(from) != Magic || BinaryPrimitives.ReadUInt32LittleEndian(from[20..]) != Crc32C.Append(0, from[..20])
            || request.Pages is < 0 or > MaxPages || request.Address % Interop.PageSize != 0 || request.Address >= 1UL << 56)
            throw new InvalidDataException("not a request for pages");
        return request;
    }
}
