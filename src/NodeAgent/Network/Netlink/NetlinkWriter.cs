using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace Evacuator.NodeAgent.Network.Netlink;

/// <summary>
/// Builds one netlink message: nlmsghdr (length u32, type u16, flags u16, sequence u32, port u32), the family's own header, then
/// attributes (length u16, type u16, payload), each padded to 4 bytes. Host byte order.
/// </summary>
internal sealed class NetlinkWriter
{
    internal const int HeaderLength = 16;
    internal const int AttributeHeaderLength = 4;

    private const ushort NestedFlag = 0x8000;

    private byte[] _buffer = new byte[512];
    private int _length = HeaderLength;

    internal NetlinkWriter(ushort type, ushort flags)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_buffer.AsSpan(4), type);
        BinaryPrimitives.WriteUInt16LittleEndian(_buffer.AsSpan(6), flags);
    }

    /// <summary>The family's own header, straight after the netlink header.</summary>
    internal NetlinkWriter Header<T>(T header) where T : unmanaged
    {
        Append(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in header)));
        return this;
    }

    internal NetlinkWriter Attribute(ushort type, ReadOnlySpan<byte> payload)
    {
        if (payload.Length > ushort.MaxValue - AttributeHeaderLength)
            throw new ArgumentException($"netlink attribute {type} of {payload.Length} bytes is too long");
        Span<byte> header = stackalloc byte[AttributeHeaderLength];
        BinaryPrimitives.WriteUInt16LittleEndian(header, (ushort)(AttributeHeaderLength + payload.Length));
        BinaryPrimitives.WriteUInt16LittleEndian(header[2..], type);
        Append(header);
        Append(payload);
        return this;
    }

    internal NetlinkWriter Attribute(ushort type, byte value) => Attribute(type, [value]);

    internal NetlinkWriter Attribute(ushort type, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return Attribute(type, bytes);
    }

    internal NetlinkWriter Attribute(ushort type, int value) => Attribute(type, (uint)value);

    /// <summary>A string with its closing zero, as the kernel wants names.</summary>
    internal NetlinkWriter Attribute(ushort type, string value) => Attribute(type, Encoding.UTF8.GetBytes(value + "\0"));

    /// <summary>An attribute that holds attributes, written by <paramref name="content"/>.</summary>
    internal NetlinkWriter Nested(ushort type, Action<NetlinkWriter> content)
    {
        int start = _length;
        Attribute((ushort)(type | NestedFlag), []);
        content(this);
        BinaryPrimitives.WriteUInt16LittleEndian(_buffer.AsSpan(start), checked((ushort)(_length - start)));
        return this;
    }

    internal ReadOnlySpan<byte> Finish(uint sequence)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_buffer, (uint)_length);
        BinaryPrimitives.WriteUInt32LittleEndian(_buffer.AsSpan(8), sequence);
        return _buffer.AsSpan(0, _length);
    }

    private void Append(ReadOnlySpan<byte> bytes)
    {
        int padded = (bytes.Length + 3) & ~3;
        if (_length + padded > _buffer.Length)
            Array.Resize(ref _buffer, Math.Max(_buffer.Length * 2, _length + padded));
        bytes.CopyTo(_buffer.AsSpan(_length));
        _buffer.AsSpan(_length + bytes.Length, padded - bytes.Length).Clear();
        _length += padded;
    }
}
