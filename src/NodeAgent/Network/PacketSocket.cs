using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using static Evacuator.NodeAgent.Interop;

namespace Evacuator.NodeAgent.Network;

/// <summary>Whole Ethernet frames on one interface of the namespace in which it was opened, usable from any thread. Owns its fd.</summary>
internal sealed unsafe class PacketSocket : IDisposable
{
    private const ushort ETH_P_ALL = 3;
    private const int EINTR = 4;

    private readonly SafeFileHandle _socket;
    private readonly byte[] _buffer = new byte[2048];

    private PacketSocket(SafeFileHandle socket) => _socket = socket;

    /// <param name="index">interface</param>
    /// <param name="listen">whether frames are to be received too, those for all multicast groups included</param>
    /// <exception cref="NetworkException">the kernel refused</exception>
    internal static PacketSocket Open(int index, bool listen)
    {
        ushort protocol = listen ? BinaryPrimitives.ReverseEndianness(ETH_P_ALL) : (ushort)0;
        SafeFileHandle handle = Sockets.Socket(Sockets.AF_PACKET, Sockets.SOCK_RAW | Sockets.SOCK_CLOEXEC | Sockets.SOCK_NONBLOCK, 0);
        int errno = Marshal.GetLastPInvokeError();
        if (handle.IsInvalid)
            throw Failed("open a packet socket", errno);

        // Straight to the driver: just after the link came up its queue is still the one that drops, until a kernel worker replaces it.
        int on = 1;
        Sockets.SetOption(handle, Sockets.SOL_PACKET, Sockets.PACKET_QDISC_BYPASS, &on, sizeof(int));
        if (listen)
        {
            Sockets.PacketMreq membership = new() { Index = index, Type = Sockets.PACKET_MR_ALLMULTI };
            Sockets.SetOption(handle, Sockets.SOL_PACKET, Sockets.PACKET_ADD_MEMBERSHIP, &membership, (uint)sizeof(Sockets.PacketMreq));
        }
        Sockets.SockaddrLl address = new() { Family = Sockets.AF_PACKET, Protocol = protocol, Index = index };
        if (Sockets.Bind(handle, &address, (uint)sizeof(Sockets.SockaddrLl)) != 0)
        {
            errno = Marshal.GetLastPInvokeError();
            handle.Dispose();
            throw Failed("bind a packet socket", errno);
        }
        return new PacketSocket(handle);
    }

    /// <summary>False if the frame could not be sent: the link is down or gone.</summary>
    internal bool TrySend(byte[] frame)
    {
        fixed (byte* data = frame)
            return Sockets.Send(_socket, data, (nuint)frame.Length, 0) == frame.Length;
    }

    /// <summary>Waits for a frame; false when the time is over. The frame is valid until the next call.</summary>
    internal bool TryReceive(TimeSpan timeout, out ReadOnlySpan<byte> frame)
    {
        frame = default;
        FileCalls.PollFd poll = new() { Fd = (int)_socket.DangerousGetHandle(), Events = FileCalls.POLLIN };
        int ready = FileCalls.Poll(&poll, 1, (int)Math.Clamp(Math.Ceiling(timeout.TotalMilliseconds), 0, int.MaxValue));
        if (ready < 0 && Marshal.GetLastPInvokeError() != EINTR)
            throw Failed("wait for a frame", Marshal.GetLastPInvokeError());
        if (ready <= 0)
            return false;
        fixed (byte* data = _buffer)
        {
            nint length = Sockets.Receive(_socket, data, (nuint)_buffer.Length, 0);
            frame = length > 0 ? _buffer.AsSpan(0, (int)length) : default;
            return length > 0;
        }
    }

    public void Dispose() => _socket.Dispose();

    private static NetworkException Failed(string doing, int errno) => new($"cannot {doing}: {Marshal.GetPInvokeErrorMessage(errno)}", errno);
}
