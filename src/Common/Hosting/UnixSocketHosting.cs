using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Evacuator.Common.Hosting;

/// <summary>Who may reach a unix socket.</summary>
public sealed record UnixSocketAccess
{
    /// <summary>Mode of the socket file; connecting needs write permission.</summary>
    public UnixFileMode Mode { get; init; } = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>Group of the socket file by name; null leaves that of the process.</summary>
    public string? Group { get; init; }

    /// <summary>Why this caller may not speak here, or null if it may. Asked once for each connection before a byte of it is read.</summary>
    public Func<PeerCredentials, string?> WhyNot { get; init; } = _ => null;

    /// <summary>Root, the users with these names, and the process's own user; nobody else.</summary>
    public static Func<PeerCredentials, string?> OnlyRootAnd(params string[] users)
    {
        uint[] permitted = [0, Interop.GetEffectiveUserId(), .. users.Select(Accounts.UserId).OfType<uint>()];
        return caller => permitted.Contains(caller.Uid) ? null : $"user {caller.UserName} may not use this socket";
    }
}

/// <summary>Kestrel on unix sockets with owner, mode and callers under control.</summary>
public static partial class UnixSocketHosting
{
    /// <summary>
    /// Listens on a unix socket. A socket that a killed process left is replaced; one that somebody still listens on is an error. The file has its
    /// mode and group before the first caller can connect.
    /// </summary>
    public static IWebHostBuilder ListenOnUnixSocket(this IWebHostBuilder web, string path, UnixSocketAccess access, Action<ListenOptions>? configure = null)
    {
        web.ConfigureServices(services => services.Configure<SocketTransportOptions>(transport =>
        {
            Func<EndPoint, Socket> others = transport.CreateBoundListenSocket;
            transport.CreateBoundListenSocket = endPoint => endPoint is UnixDomainSocketEndPoint && endPoint.ToString() == path ? Bind(path, access) : others(endPoint);
        }));
        return web.ConfigureKestrel(kestrel => kestrel.ListenUnixSocket(path, listen =>
        {
            ILogger log = kestrel.ApplicationServices.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(UnixSocketHosting).FullName!);
            listen.Use(next => connection => Admit(connection, next, path, access, log));
            configure?.Invoke(listen);
        }));
    }

    internal static Socket Bind(string path, UnixSocketAccess access)
    {
        RemoveStale(path);
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            // Nobody can connect between bind and chmod: the socket does not listen yet.
            socket.Bind(new UnixDomainSocketEndPoint(path));
            if (access.Group is { } group)
            {
                uint gid = Accounts.GroupId(group) ?? throw new IOException($"{path}: there is no group {group} on this host");
                if (Interop.ChangeOwner(path, uint.MaxValue, gid) != 0)
                    throw new IOException($"{path}: cannot be given to group {group}: {Marshal.GetLastPInvokeErrorMessage()}");
            }

            File.SetUnixFileMode(path, access.Mode);
            return socket;
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new IOException($"{path}: cannot listen: {e.Message}", e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static void RemoveStale(string path)
    {
        if (!File.Exists(path))
            return;
        using Socket probe = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            File.Delete(path);
            return;
        }
        catch (SocketException e)
        {
            throw new IOException($"{path}: is in the way: {e.Message}", e);
        }

        throw new IOException($"{path}: another process listens there already");
    }

    private static async Task Admit(ConnectionContext connection, ConnectionDelegate next, string path, UnixSocketAccess access, ILogger log)
    {
        Socket socket = connection.Features.Get<IConnectionSocketFeature>()!.Socket;
        PeerCredentials caller = PeerCredentials.Of(socket);
        if (access.WhyNot(caller) is { } reason)
        {
            LogRefused(log, path, caller.Pid, reason);
            connection.Abort(new ConnectionAbortedException(reason));
            return;
        }

        connection.Features.Set(caller);
        await next(connection);
    }

    [LoggerMessage(EventId = 110, Level = LogLevel.Warning, Message = "{Path}: process {Pid} refused: {Reason}")]
    private static partial void LogRefused(ILogger logger, string path, int pid, string reason);
}
