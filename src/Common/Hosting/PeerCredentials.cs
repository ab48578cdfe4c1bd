using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Http;

namespace Evacuator.Common.Hosting;

/// <summary>Who connected to our unix socket, as the kernel recorded it at that moment (SO_PEERCRED, unix(7)).</summary>
public sealed record PeerCredentials(int Pid, uint Uid, uint Gid)
{
    public string UserName => Accounts.UserName(Uid);

    internal static PeerCredentials Of(Socket socket)
    {
        Interop.Credentials credentials = default;
        Span<byte> bytes = System.Runtime.InteropServices.MemoryMarshal.AsBytes(new Span<Interop.Credentials>(ref credentials));
        int length = socket.GetRawSocketOption(Interop.SOL_SOCKET, Interop.SO_PEERCRED, bytes);
        return length == Unsafe.SizeOf<Interop.Credentials>()
            ? new PeerCredentials(credentials.Pid, credentials.Uid, credentials.Gid)
            : throw new SocketException((int)SocketError.OperationNotSupported);
    }
}

public static class PeerCredentialsOfRequests
{
    /// <summary>The caller of a request that came by <see cref="UnixSocketHosting.ListenOnUnixSocket"/>; null for one that came by TCP.</summary>
    public static PeerCredentials? PeerCredentials(this HttpContext context) => context.Features.Get<PeerCredentials>();
}
