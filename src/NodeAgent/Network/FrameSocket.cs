using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using static Evacuator.NodeAgent.Interop;

namespace Evacuator.NodeAgent.Network;

/// <summary>What a <see cref="FrameSocket"/> takes in.</summary>
internal enum FrameDirection
{
    None = 0,

    /// <summary>Nothing: it only sends.</summary>
    Send = 1,

    /// <summary>What comes out of the interface, not what is sent into it.</summary>
    Incoming = 2,

    /// <summary>Everything that passes, also what is meant for others.</summary>
    Passing = 3,
}

/// <summary>
/// Frames with their offload headers on one interface of the namespace in which it was opened. What it takes in waits in the kernel, up to its
/// room, so that nobody has to read while a container stands still. Usable from any thread. Owns its fd.
/// </summary>
internal sealed unsafe class FrameSocket : IDisposable
{
    // Classic BPF: ld word 0x20, ld half 0x28 at a fixed place; jump if equal 0x15; return 0x06.
    private const ushort LoadWord = 0x20, LoadHalf = 0x28, JumpEqual = 0x15, Return = 0x06;
    private const ushort ETH_P_ALL = 3;

    private readonly SafeFileHandle _socket;
    private readonly byte[]? _mac;

    private FrameSocket(SafeFileHandle socket, byte[]? mac) => (_socket, _mac) = (socket, mac);

    /// <summary>Takes in nothing before <see cref="Start"/>.</summary>
    /// <param name="index">interface</param>
    /// <param name="mac">only what is sent to it, and questions to all who has an address; null: everything</param>
    /// <param name="room">bytes, as the kernel counts them, which is about 800 for the smallest frame</param>
    /// <exception cref="NetworkException">the kernel refused</exception>
    internal static FrameSocket Open(int index, FrameDirection direction, byte[]? mac = null, int room = 0)
    {
        SafeFileHandle handle = Sockets.Socket(Sockets.AF_PACKET, Sockets.SOCK_RAW | Sockets.SOCK_CLOEXEC | Sockets.SOCK_NONBLOCK, 0);
        if (handle.IsInvalid)
            throw Failed("open a packet socket");
        FrameSocket socket = new(handle, mac);
        try
        {
            int on = 1;
            socket.Set(Sockets.SOL_PACKET, PacketFilter.PACKET_VNET_HDR, &on, sizeof(int), "have offload headers");
            // Straight to the driver: just after the link came up its queue is still the one that drops, until a kernel worker replaces it.
            socket.Set(Sockets.SOL_PACKET, Sockets.PACKET_QDISC_BYPASS, &on, sizeof(int), "send past the queue");
            if (direction != FrameDirection.Send)
            {
                // The filter before the binding: nothing else gets in between.
                socket.Stop();
                socket.Set(Sockets.SOL_SOCKET, PacketFilter.SO_RCVBUFFORCE, &room, sizeof(int), "have room for frames");
                if (direction == FrameDirection.Incoming)
                    socket.Set(Sockets.SOL_PACKET, PacketFilter.PACKET_IGNORE_OUTGOING, &on, sizeof(int), "leave out what is sent");
            }
            ushort protocol = direction == FrameDirection.Send ? (ushort)0 : BinaryPrimitives.ReverseEndianness(ETH_P_ALL);
            Sockets.SockaddrLl address = new() { Family = Sockets.AF_PACKET, Protocol = protocol, Index = index };
            if (Sockets.Bind(handle, &address, (uint)sizeof(Sockets.SockaddrLl)) != 0)
                throw Failed("bind a packet socket");
            if (direction == FrameDirection.Passing)
            {
                // A bridge hands up what passes it only while somebody wants to see everything.
                Sockets.PacketMreq membership = new() { Index = index, Type = PacketFilter.PACKET_MR_PROMISC };
                socket.Set(Sockets.SOL_PACKET, Sockets.PACKET_ADD_MEMBERSHIP, &membership, (uint)sizeof(Sockets.PacketMreq), "see what passes");
            }
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    internal void Start() => Attach(_mac is null ? [new PacketFilter.SockFilter(Return, 0, 0, HeldFrame.MaxLength)] : FilterFor(_mac));

    /// <summary>Takes nothing in from now on; what waits, waits.</summary>
    internal void Stop() => Attach([new PacketFilter.SockFilter(Return, 0, 0, 0)]);

    /// <summary>The next frame that waits, with its offload header; null if none does.</summary>
    internal byte[]? Receive(byte[] buffer)
    {
        fixed (byte* data = buffer)
        {
            nint length = Sockets.Receive(_socket, data, (nuint)buffer.Length, 0);
            return length > HeldFrame.HeaderLength ? buffer.AsSpan(0, (int)length).ToArray() : null;
        }
    }

    /// <summary>Frames that had no room since this was last asked.</summary>
    internal uint TakeDropped()
    {
        PacketFilter.TpacketStats statistics;
        uint length = (uint)sizeof(PacketFilter.TpacketStats);
        return PacketFilter.GetOption(_socket, Sockets.SOL_PACKET, PacketFilter.PACKET_STATISTICS, &statistics, &length) == 0 ? statistics.Drops : 0;
    }

    /// <param name="bytes">with its offload header</param>
    internal bool TrySend(ReadOnlySpan<byte> bytes)
    {
        fixed (byte* data = bytes)
            return Sockets.Send(_socket, data, (nuint)bytes.Length, 0) == bytes.Length;
    }

    public void Dispose() => _socket.Dispose();

    /// <summary>To the address itself; ARP; IPv6 multicast, which neighbour solicitation is.</summary>
    private static PacketFilter.SockFilter[] FilterFor(byte[] mac) =>
    [
        new(LoadHalf, 0, 0, 0),
        new(JumpEqual, 0, 2, BinaryPrimitives.ReadUInt16BigEndian(mac)),
        new(LoadWord, 0, 0, 2),
        new(JumpEqual, 5, 0, BinaryPrimitives.ReadUInt32BigEndian(mac.AsSpan(2))),
        new(LoadHalf, 0, 0, 12),
        new(JumpEqual, 3, 0, Frames.EtherTypeArp),
        new(JumpEqual, 0, 3, Frames.EtherTypeIpv6),
        new(LoadHalf, 0, 0, 0),
        new(JumpEqual, 0, 1, 0x3333),
        new(Return, 0, 0, HeldFrame.MaxLength),
        new(Return, 0, 0, 0),
    ];

    private void Attach(ReadOnlySpan<PacketFilter.SockFilter> filter)
    {
        fixed (PacketFilter.SockFilter* first = filter)
        {
            PacketFilter.SockFprog program = new() { Length = (ushort)filter.Length, Filter = first };
            Set(Sockets.SOL_SOCKET, PacketFilter.SO_ATTACH_FILTER, &program, (uint)sizeof(PacketFilter.SockFprog), "filter frames");
        }
    }

    private void Set(int level, int name, void* value, uint length, string purpose)
    {
        if (Sockets.SetOption(_socket, level, name, value, length) != 0)
            throw Failed($"let a packet socket {purpose}");
    }

    private static NetworkException Failed(string doing)
    {
        int errno = Marshal.GetLastPInvokeError();
        return new NetworkException($"cannot {doing}: {Marshal.GetPInvokeErrorMessage(errno)}", errno);
    }
}
