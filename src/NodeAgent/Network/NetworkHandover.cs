using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Network;

/// <summary>
/// The network side of a move, for containers on a Linux bridge. Source: capture, disconnect (frozen), then remove or reconnect.
/// Destination: check, prepare (link down), connect (sockets exist), or remove.
/// </summary>
internal sealed class NetworkHandover(TimeProvider time, ILogger<NetworkHandover> logger, KernelPaths? paths = null) : IAsyncDisposable
{
    private readonly KernelPaths _paths = paths ?? KernelPaths.Default;

    /// <summary>Fills in interfaces, routes, neighbours and network settings from the kernel.</summary>
    /// <exception cref="NetworkException">the namespace cannot be read</exception>
    public Task<ContainerDescription> CaptureAsync(ContainerDescription container, CancellationToken cancel) => throw new NotSupportedException($"{time} {logger} {_paths}");

    /// <summary>Reads the neighbour tables again (a few hundred µs): they change until the freeze.</summary>
    public Task<ContainerDescription> RefreshNeighboursAsync(ContainerDescription container, CancellationToken cancel) => throw new NotSupportedException();

    /// <summary>Source: from the return on, no frame passes between the container and its bridges. Idempotent; well under 1 ms.</summary>
    /// <exception cref="NetworkException">an interface could not be cut off</exception>
    public void Disconnect(ContainerDescription container) => throw new NotSupportedException();

    /// <summary>Source, a move undone: frames pass again, and the container's addresses are announced. Idempotent.</summary>
    public void Reconnect(ContainerDescription container) => throw new NotSupportedException();

    /// <summary>Destination: everything that speaks against the container's network here.</summary>
    public Task<IReadOnlyList<Blocker>> CheckAsync(ContainerDescription container, CancellationToken cancel) => throw new NotSupportedException();

    /// <summary>
    /// Destination: makes the namespace, veths (the host's end down), addresses, routes and neighbours. Answers the description with the names
    /// chosen here, to be used for all later calls. Undoes itself if it fails.
    /// </summary>
    public Task<ContainerDescription> PrepareAsync(ContainerDescription container, CancellationToken cancel) => throw new NotSupportedException();

    /// <summary>Destination, prepared and not connected: replaces the neighbour tables by the description's.</summary>
    public void UpdateNeighbours(ContainerDescription prepared) => throw new NotSupportedException();

    /// <summary>Destination: link up, announce every address at once and again after 50, 200 and 1000 ms in the background.</summary>
    public void Connect(ContainerDescription prepared) => throw new NotSupportedException();

    /// <summary>Removes the container's veths and its named namespace, at either side. Idempotent.</summary>
    public Task RemoveAsync(ContainerDescription container, CancellationToken cancel) => throw new NotSupportedException();

    /// <summary>Ends the announcements under way.</summary>
    public ValueTask DisposeAsync() => throw new NotSupportedException();
}
