using System.Net;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Network.Netlink;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Network;

/// <summary>
/// The network side of a move, for containers on a Linux bridge. Source: capture, disconnect (frozen), then remove or reconnect.
/// Destination: check, prepare (link down), connect (sockets exist), or remove.
/// </summary>
/// <remarks>
/// <code>
///   container's namespace        host
///   eth0 ──────── veth ───────── host's end ── bridge ── uplink
///                                    │
///                                    └ the only place where the link is cut and made
/// </code>
/// Source: the bridge port is disabled rather than the interface set down. The container keeps its carrier, so the kernel does not throw
/// away its neighbours, and a move undone goes on as if nothing had been. Destination: the host's end stays down until Connect. An end that
/// is up would be heard: the kernel sends multicast reports with the container's MAC, and switches would send its traffic here too early.
/// </remarks>
internal sealed partial class NetworkHandover(TimeProvider time, ILogger<NetworkHandover> logger, KernelPaths? paths = null) : IAsyncDisposable
{
    private const int ENODEV = 19;

    private readonly KernelPaths _paths = paths ?? KernelPaths.Default;
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _announcements = [];
    private RouteSocket? _host;
    private bool _disposed;

    /// <summary>Ends the announcements under way.</summary>
    public async ValueTask DisposeAsync()
    {
        Task[] announcements;
        lock (_lock)
        {
            if (_disposed)
                return;
            _disposed = true;
            announcements = [.. _announcements];
            _host?.Dispose();
            _host = null;
        }
        await _stop.CancelAsync();
        await Task.WhenAll(announcements);
        _stop.Dispose();
    }

    /// <summary>
    /// Runs a few short questions to the kernel on the socket of the host's namespace, which stays open: the freeze should not pay for a
    /// thread and a socket. No waiting inside, but for the kernel.
    /// </summary>
    private T OnHost<T>(Func<RouteSocket, T> work)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_host is null)
            {
                using NetworkNamespace own = NetworkNamespace.Open(_paths.HostNetns);
                _host = own.OpenRoutes();
            }
            return work(_host);
        }
    }

    private void OnHost(Action<RouteSocket> work) => OnHost(host =>
    {
        work(host);
        return true;
    });

    private static bool HasOwnNetwork(ContainerDescription container) =>
        container is { Network: NetworkKind.Named, NetnsPath: not null } && container.Interfaces.Count > 0;

    /// <summary>Every address that a neighbour may know the interface by.</summary>
    private static IEnumerable<IPAddress> AddressesOf(InterfaceDescription link) => link.Addresses.Select(a => IPAddress.Parse(a.Address));
}
