using Evacuator.NodeAgent.Containers;

namespace Evacuator.NodeAgent.Host;

/// <summary>Where the proof looks, and what belongs to the host itself.</summary>
internal sealed record EmptinessOptions
{
    public KernelPaths Paths { get; init; } = KernelPaths.Default;

    /// <summary>Interfaces of the host itself that look like a container's.</summary>
    public IReadOnlyList<string> Uplinks { get; init; } = [];

    /// <summary>State directories of container runtimes, each holding a directory per container; * stands for one level of any name.</summary>
    public IReadOnlyList<string> RuntimeRoots { get; init; } =
        ["/run/runc", "/run/crun", "/run/youki", "/run/docker/runtime-runc/*", "/run/containerd/runc/*", "/run/user/*/runc", "/run/user/*/crun"];

    /// <summary>Where runtimes keep file systems: an overlay or bind mount below one of these is a container's.</summary>
    public IReadOnlyList<string> MountRoots { get; init; } =
    [
        "/var/lib/docker", "/var/lib/containers", "/var/lib/containerd", "/run/containerd", "/run/containers", "/run/docker", "/run/libpod", "/var/lib/kubelet", "/var/lib/lxc",
        "/var/lib/machines",
    ];

    /// <summary>The first process of the host.</summary>
    public int InitPid { get; init; } = 1;
}
