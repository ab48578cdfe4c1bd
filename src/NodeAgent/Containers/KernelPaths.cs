namespace Evacuator.NodeAgent.Containers;

/// <summary>Where the kernel's file systems are mounted; tests put trees of their own here.</summary>
internal sealed record KernelPaths
{
    public string Proc { get; init; } = "/proc";

    /// <summary>The cgroup2 mount: /sys/fs/cgroup, or /sys/fs/cgroup/unified on a host with cgroup v1 beside it.</summary>
    public string Cgroup { get; init; } = FindCgroup2();

    /// <summary>Directory of the named network namespaces.</summary>
    public string Netns { get; init; } = "/run/netns";

    /// <summary>The host's own network namespace: that of the agent's first thread, which nobody moves.</summary>
    public string HostNetns { get; init; } = $"/proc/{Environment.ProcessId}/ns/net";

    public static KernelPaths Default { get; } = new();

    /// <summary>Directory of a cgroup given by its path below the mount.</summary>
    public string CgroupDirectory(string cgroupPath) => Cgroup + (cgroupPath == "/" ? "" : cgroupPath);

    // cgroup.controllers exists in the root of every cgroup2 mount and nowhere in v1.
    private static string FindCgroup2() =>
        !File.Exists("/sys/fs/cgroup/cgroup.controllers") && File.Exists("/sys/fs/cgroup/unified/cgroup.controllers")
            ? "/sys/fs/cgroup/unified"
            : "/sys/fs/cgroup";
}
