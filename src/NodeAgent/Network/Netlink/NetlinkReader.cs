using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace Evacuator.NodeAgent.Network.Netlink;

/// <summary>Goes through the messages of one datagram from the kernel. Lengths that do not fit end the walk: they never index.</summary>
internal ref struct NetlinkReader(ReadOnlySpan<byte> datagram)
{
    private ReadOnlySpan<byte> _rest = datagram;

    internal bool TryNext(out NetlinkMessage message)
    {
        message = default;
        if (_rest.Length < NetlinkWriter.HeaderLength)
            return false;
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(_rest);
        if (length < NetlinkWriter.HeaderLength || length > _rest.Length)
            return false;
        message = new NetlinkMessage(
            BinaryPrimitives.ReadUInt16LittleEndian(_rest[4..]), BinaryPrimitives.ReadUInt16LittleEndian(_rest[6..]),
            BinaryPrimitives.ReadUInt32LittleEndian(_rest[8..]), _rest[NetlinkWriter.HeaderLength..(int)length]);
        _rest = _rest[Math.Min(_rest.Length, ((int)length + 3) & ~3)..];
        return true;
    }
}

/// <summary>One netlink message; the payload is valid as long as its buffer.</summary>
internal readonly ref struct NetlinkMessage(ushort type, ushort flags, uint sequence, ReadOnlySpan<byte> payload)
{
    internal readonly ushort Type = type;
    internal readonly ushort Flags = flags;
    internal readonly uint Sequence = sequence;
    internal readonly ReadOnlySpan<byte> Payload = payload;

    /// <summary>The family's own header and the attributes after it; false if the payload is too short.</summary>
    internal bool TrySplit<T>(out T header, out AttributeReader attributes) where T : unmanaged
    {
        header = default;
        attributes = default;
        if (!MemoryMarshal.TryRead(Payload, out header))
            return false;
        int size = (Marshal.SizeOf<T>() + 3) & ~3;
        attributes = new AttributeReader(Payload[Math.Min(size, Payload.Length)..]);
        return true;
    }
}

/// <summary>Goes through attributes; nested ones are read by another reader over the payload.</summary>
internal ref struct AttributeReader(ReadOnlySpan<byte> bytes)
{
    private const ushort TypeMask = 0x3fff;

    private ReadOnlySpan<byte> _rest = bytes;

    internal bool TryNext(out NetlinkAttribute attribute)
    {
        attribute = default;
        if (_rest.Length < NetlinkWriter.AttributeHeaderLength)
            return false;
        ushort length = BinaryPrimitives.ReadUInt16LittleEndian(_rest);
        if (length < NetlinkWriter.AttributeHeaderLength || length > _rest.Length)
            return false;
        attribute = new NetlinkAttribute(
            (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(_rest[2..]) & TypeMask), _rest[NetlinkWriter.AttributeHeaderLength..length]);
        _rest = _rest[Math.Min(_rest.Length, (length + 3) & ~3)..];
        return true;
    }
}

/// <summary>Type and payload of an attribute. A payload shorter than asked for reads as zero.</summary>
internal readonly ref struct NetlinkAttribute(ushort type, ReadOnlySpan<byte> payload)
{
    internal readonly ushort Type = type;
    internal readonly ReadOnlySpan<byte> Payload = payload;

    internal byte Byte => Payload.Length >= 1 ? Payload[0] : (byte)0;

    internal uint UInt32 => Payload.Length >= 4 ? BinaryPrimitives.ReadUInt32LittleEndian(Payload) : 0;

    internal int Int32 => (int)UInt32;

    internal string Text => Encoding.UTF8.GetString(Payload.TrimEnd((byte)0));

    internal AttributeReader Nested => new(Payload);
}
