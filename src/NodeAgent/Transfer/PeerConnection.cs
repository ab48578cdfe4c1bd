using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// A connection that breaks when its peer is gone. Left to itself the kernel tries again for 15 minutes, and for ever where nothing is on its way: a container that is slowed down for its last
/// rounds stays slow that long, and the turn to freeze, which it has then, is nobody else's.
/// </summary>
internal static class PeerConnection
{
    /// <summary>Longer than a link needs to come back, or a peer's disk to take what it has been given.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>Linux, tcp.h: what was sent is not acknowledged, or not taken, for so many milliseconds.</summary>
    private const int IPPROTO_TCP = 6, TCP_USER_TIMEOUT = 18;

    private const int KeepAliveSeconds = 10;

    public static async ValueTask<Stream> OpenAsync(DnsEndPoint peer, TimeSpan patience, CancellationToken cancel)
    {
        Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(peer, cancel);
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, KeepAliveSeconds);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, KeepAliveSeconds);
            byte[] milliseconds = new byte[sizeof(int)];
            BinaryPrimitives.WriteInt32LittleEndian(milliseconds, (int)patience.TotalMilliseconds);
            socket.SetRawSocketOption(IPPROTO_TCP, TCP_USER_TIMEOUT, milliseconds);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
