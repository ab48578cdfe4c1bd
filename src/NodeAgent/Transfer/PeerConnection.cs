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

    /// <summary>
    /// What the kernel takes of a connection beyond what it may send at once. Left to itself it takes megabytes, which on a narrow link stand before a frozen container's pages long after their
    /// sender has given way: with six connections at 50 Mbit/s 2.1 to 3 MB, with this 0.8 to 1 MB, most of it on its way.
    /// </summary>
    internal const int Unsent = 128 * 1024;

    /// <summary>Linux, tcp.h.</summary>
    private const int TCP_NOTSENT_LOWAT = 25;

    private const int KeepAliveSeconds = 10;

    public static async ValueTask<Stream> OpenAsync(DnsEndPoint peer, TimeSpan patience, CancellationToken cancel, Wire? wire = null, Action<Socket>? opened = null)
    {
        Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(peer, cancel);
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, KeepAliveSeconds);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, KeepAliveSeconds);
            Set(socket, TCP_USER_TIMEOUT, (int)patience.TotalMilliseconds);
            Set(socket, TCP_NOTSENT_LOWAT, Unsent);
            wire?.Add(socket);
            opened?.Invoke(socket);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <param name="isVoid">what has not been sent when it is closed is dropped; false: it is sent for as long as the peer may take</param>
    /// <returns>false if it is closed already</returns>
    public static bool TakeBack(Socket socket, bool isVoid)
    {
        try
        {
            socket.LingerState = new LingerOption(isVoid, 0);
            return true;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }

    private static void Set(Socket socket, int option, int value)
    {
        byte[] bytes = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        socket.SetRawSocketOption(IPPROTO_TCP, option, bytes);
    }
}
