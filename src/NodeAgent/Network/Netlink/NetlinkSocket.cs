using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using static Evacuator.NodeAgent.Interop;

namespace Evacuator.NodeAgent.Network.Netlink;

/// <summary>Looks at one message of a dump.</summary>
internal delegate void NetlinkMessageHandler(scoped NetlinkMessage message);

/// <summary>
/// A netlink socket. It speaks of the network namespace in which it was opened, whichever thread uses it. Owns its fd; not thread-safe.
/// </summary>
internal sealed unsafe class NetlinkSocket : IDisposable
{
    internal const ushort NLM_F_REQUEST = 1;
    internal const ushort NLM_F_ACK = 4;
    internal const ushort NLM_F_DUMP = 0x300;
    internal const ushort NLM_F_REPLACE = 0x100;
    internal const ushort NLM_F_EXCL = 0x200;
    internal const ushort NLM_F_CREATE = 0x400;

    private const ushort NLMSG_ERROR = 2;
    private const ushort NLMSG_DONE = 3;
    private const ushort NLM_F_DUMP_INTR = 0x10;
    private const ushort NLM_F_CAPPED = 0x100;
    private const ushort NLM_F_ACK_TLVS = 0x200;
    private const ushort NLMSGERR_ATTR_MSG = 1;

    private const int EINTR = 4;
    private const int EAGAIN = 11;
    private const int EBUSY = 16;
    private const int DumpAttempts = 5;

    private readonly SafeFileHandle _socket;
    private readonly byte[] _receive = new byte[128 * 1024];
    private uint _sequence;

    private NetlinkSocket(SafeFileHandle socket) => _socket = socket;

    /// <summary>Opens a socket in the network namespace of the calling thread.</summary>
    /// <exception cref="NetworkException">the kernel refused</exception>
    internal static NetlinkSocket Open(int protocol = Sockets.NETLINK_ROUTE)
    {
        SafeFileHandle handle = Sockets.Socket(Sockets.AF_NETLINK, Sockets.SOCK_RAW | Sockets.SOCK_CLOEXEC, protocol);
        int errno = Marshal.GetLastPInvokeError();
        if (handle.IsInvalid)
            throw new NetworkException($"cannot open a netlink socket: {Marshal.GetPInvokeErrorMessage(errno)}", errno);

        int on = 1, size = 1 << 20;
        // Bounded, so that a lost answer (a full queue) is an error and not a hang: netlink answers in microseconds.
        Sockets.Timeval timeout = new() { Seconds = 5 };
        Sockets.SetOption(handle, Sockets.SOL_NETLINK, Sockets.NETLINK_EXT_ACK, &on, sizeof(int));
        Sockets.SetOption(handle, Sockets.SOL_SOCKET, Sockets.SO_RCVBUF, &size, sizeof(int));
        Sockets.SetOption(handle, Sockets.SOL_SOCKET, Sockets.SO_RCVTIMEO, &timeout, (uint)sizeof(Sockets.Timeval));
        Sockets.SockaddrNl address = new() { Family = Sockets.AF_NETLINK };
        if (Sockets.Bind(handle, &address, (uint)sizeof(Sockets.SockaddrNl)) != 0)
        {
            errno = Marshal.GetLastPInvokeError();
            handle.Dispose();
            throw new NetworkException($"cannot bind a netlink socket: {Marshal.GetPInvokeErrorMessage(errno)}", errno);
        }
        return new NetlinkSocket(handle);
    }

    /// <summary>Sends a change and waits for the kernel's answer: 0, or errno with the kernel's own explanation.</summary>
    internal int TryChange(NetlinkWriter request, out string explanation) => TryAsk(request, static _ => { }, out explanation);

    /// <summary>Sends a request with NLM_F_ACK; messages that come before the answer go to <paramref name="handler"/>.</summary>
    internal int TryAsk(NetlinkWriter request, NetlinkMessageHandler handler, out string explanation)
    {
        Send(request);
        while (true)
        {
            NetlinkReader reader = new(Receive());
            while (reader.TryNext(out NetlinkMessage message))
            {
                if (message.Sequence != _sequence)
                    continue;
                if (message.Type == NLMSG_ERROR)
                    return ReadError(message, out explanation);
                handler(message);
            }
        }
    }

    /// <summary>Like <see cref="TryChange"/>; a refusal is an exception that says what was being done.</summary>
    /// <exception cref="NetworkException">the kernel refused</exception>
    internal void Change(NetlinkWriter request, string doing)
    {
        int errno = TryChange(request, out string explanation);
        if (errno != 0)
            throw Refused(doing, errno, explanation);
    }

    /// <summary>Asks for a list or for one thing; a list that changed while it was read is read again.</summary>
    /// <param name="build">makes the request anew for each attempt</param>
    /// <param name="restart">called before each attempt: forget what an earlier one gave</param>
    /// <param name="handler">called with each message of the answer</param>
    /// <param name="doing">for the error's text</param>
    /// <exception cref="NetworkException">the kernel refused</exception>
    internal void Dump(Func<NetlinkWriter> build, Action restart, NetlinkMessageHandler handler, string doing)
    {
        for (int attempt = 1; attempt <= DumpAttempts; attempt++)
        {
            restart();
            Send(build());
            if (ReadDump(handler, doing))
                return;
        }
        throw new NetworkException($"{doing}: the list changed {DumpAttempts} times while it was read", EBUSY);
    }

    public void Dispose() => _socket.Dispose();

    internal static NetworkException Refused(string doing, int errno, string explanation) =>
        new($"{doing}: {Marshal.GetPInvokeErrorMessage(errno)}{(explanation.Length > 0 ? $" ({explanation})" : "")}", errno);

    /// <summary>False if the kernel marked the answer as inconsistent (NLM_F_DUMP_INTR).</summary>
    private bool ReadDump(NetlinkMessageHandler handler, string doing)
    {
        bool consistent = true;
        while (true)
        {
            NetlinkReader reader = new(Receive());
            while (reader.TryNext(out NetlinkMessage message))
            {
                if (message.Sequence != _sequence)
                    continue;
                consistent &= (message.Flags & NLM_F_DUMP_INTR) == 0;
                if (message.Type == NLMSG_DONE)
                    return consistent;
                if (message.Type == NLMSG_ERROR)
                {
                    int errno = ReadError(message, out string explanation);
                    return errno == 0 ? consistent : throw Refused(doing, errno, explanation);
                }
                handler(message);
            }
        }
    }

    // NLMSG_ERROR: s32 error (0 or -errno), then the header of the request, its payload unless capped, then attributes if ACK_TLVS.
    private static int ReadError(NetlinkMessage message, out string explanation)
    {
        explanation = "";
        if (message.Payload.Length < 4 + NetlinkWriter.HeaderLength)
            return EBUSY;
        int errno = -MemoryMarshal.Read<int>(message.Payload);
        if ((message.Flags & NLM_F_ACK_TLVS) != 0)
        {
            uint original = MemoryMarshal.Read<uint>(message.Payload[4..]);
            long skip = 4 + ((message.Flags & NLM_F_CAPPED) != 0 ? NetlinkWriter.HeaderLength : ((long)original + 3) & ~3);
            AttributeReader attributes = new(skip <= message.Payload.Length ? message.Payload[(int)skip..] : []);
            while (attributes.TryNext(out NetlinkAttribute attribute))
                if (attribute.Type == NLMSGERR_ATTR_MSG)
                    explanation = attribute.Text;
        }
        return errno;
    }

    private void Send(NetlinkWriter request)
    {
        ReadOnlySpan<byte> bytes = request.Finish(++_sequence);
        fixed (byte* data = bytes)
            if (Sockets.Send(_socket, data, (nuint)bytes.Length, 0) < 0)
            {
                int errno = Marshal.GetLastPInvokeError();
                throw new NetworkException($"cannot send to netlink: {Marshal.GetPInvokeErrorMessage(errno)}", errno);
            }
    }

    private ReadOnlySpan<byte> Receive()
    {
        fixed (byte* data = _receive)
            while (true)
            {
                nint length = Sockets.Receive(_socket, data, (nuint)_receive.Length, 0);
                if (length >= 0)
                    return _receive.AsSpan(0, (int)length);
                int errno = Marshal.GetLastPInvokeError();
                if (errno == EINTR)
                    continue;
                string why = errno == EAGAIN ? "no answer within 5 s" : Marshal.GetPInvokeErrorMessage(errno);
                throw new NetworkException($"cannot read from netlink: {why}", errno);
            }
    }
}
