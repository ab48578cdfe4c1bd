using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Network;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Containers;

/// <summary>The containers of runc on this host: what its state directory and the kernel say about them.</summary>
internal sealed class RuncRuntime(string runcRoot, NetworkHandover network, TimeProvider time, ILogger<RuncRuntime> logger, KernelPaths? paths = null)
{
    private readonly KernelPaths _paths = paths ?? KernelPaths.Default;

    /// <summary>All containers that runc knows; one that cannot be read is listed with the state "unreadable".</summary>
    public Task<IReadOnlyList<RuncContainer>> ListAsync(CancellationToken cancel) => throw new NotSupportedException($"{runcRoot} {time} {logger} {_paths}");

    /// <exception cref="ContainerException">there is no such container, or it cannot be read</exception>
    public Task<ContainerDescription> DescribeAsync(string name, CancellationToken cancel) => throw new NotSupportedException($"{network}");

    /// <exception cref="ContainerException">there is no such container</exception>
    public Task<ContainerReport> ReportAsync(string name, CancellationToken cancel) => throw new NotSupportedException();

    public Task<IReadOnlyList<ContainerReport>> ReportAllAsync(CancellationToken cancel) => throw new NotSupportedException();

    /// <summary>Whether runc has a state for this name, or its cgroup holds processes.</summary>
    public Task<bool> ExistsAsync(string name, CancellationToken cancel) => throw new NotSupportedException();

    /// <summary>
    /// Ends a container for good: kills every process of its cgroup (also a frozen one), deletes runc's state, and verifies that nothing is
    /// left. Without effect if it does not exist.
    /// </summary>
    /// <param name="name">the container</param>
    /// <param name="cgroupPath">its cgroup below the cgroup2 mount, for one whose runc state is gone or was never written; may be null</param>
    /// <exception cref="ContainerException">something of it is left</exception>
    public Task KillAndDeleteAsync(string name, string? cgroupPath, CancellationToken cancel) => throw new NotSupportedException();
}

/// <summary>A line of runc's list.</summary>
/// <param name="State">created, running, paused, stopped; unreadable if its state file could not be understood</param>
internal sealed record RuncContainer(string Name, string State, int Pid, string Bundle);
