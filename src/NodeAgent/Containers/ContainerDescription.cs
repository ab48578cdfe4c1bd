using System.Text.Json.Serialization;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Network;

namespace Evacuator.NodeAgent.Containers;

/// <summary>
/// Everything that makes up a container and has to exist elsewhere for it to run there. Travels to the destination as the manifest of its
/// move; a destination checks it with <see cref="ManifestRules.Check"/> before it uses any path or name in it.
/// </summary>
internal sealed record ContainerDescription
{
    /// <summary>The runtime's id of it; the same at the destination.</summary>
    public required string Name { get; init; }

    /// <summary>As the runtime says: running, paused, stopped, created.</summary>
    public required string State { get; init; }

    /// <summary>Absolute path of the OCI bundle; the same at the destination.</summary>
    public required string Bundle { get; init; }

    /// <summary>Absolute path of the root file system.</summary>
    public required string Rootfs { get; init; }

    /// <summary>The bundle's config.json as it stands.</summary>
    public required string ConfigJson { get; init; }

    /// <summary>runc's state directory at the source, e.g. /run/runc.</summary>
    public required string RuncRoot { get; init; }

    /// <summary>Whether runc was started with --systemd-cgroup: the restore has to be too.</summary>
    public required bool SystemdCgroup { get; init; }

    /// <summary>Below the cgroup2 mount, e.g. /containers.slice/c1: the cgroup that holds all its processes.</summary>
    public required string CgroupPath { get; init; }

    /// <summary>What the first descriptors of its first process were at its start, as runc keeps it ("/dev/null", "pipe:[1234]"); empty if it does not say.</summary>
    public IReadOnlyList<string> Descriptors { get; init; } = [];

    /// <summary>Its first process in the source's pid namespace.</summary>
    public required int InitPid { get; init; }

    /// <summary>Bytes: sum of the proportional set sizes of its processes.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>OCI annotations.</summary>
    public required IReadOnlyDictionary<string, string> Annotations { get; init; }

    public required NetworkKind Network { get; init; }

    /// <summary>Path of its network namespace as config.json has it, e.g. /run/netns/c1; null if it has none by name.</summary>
    public string? NetnsPath { get; init; }

    /// <summary>Its interfaces besides lo, in the order of their indexes.</summary>
    public IReadOnlyList<InterfaceDescription> Interfaces { get; init; } = [];

    /// <summary>Routes of its network namespace that belong to no interface: blackhole, unreachable, prohibit, throw.</summary>
    public IReadOnlyList<RouteDescription> DevicelessRoutes { get; init; } = [];

    /// <summary>lo in its network namespace, with addresses beyond the usual two; null where the namespace is not its own.</summary>
    public InterfaceDescription? Loopback { get; init; }

    /// <summary>Which of its directories and files cannot be carried to another host, and why; empty when it can move.</summary>
    public IReadOnlyList<Blocker> FileFaults { get; init; } = [];

    /// <summary>What its network has that cannot be carried to another host; empty when it can move.</summary>
    public IReadOnlyList<Blocker> NetworkFaults { get; init; } = [];

    /// <summary>Settings below /proc/sys/net of its network namespace, by their path below /proc/sys.</summary>
    public IReadOnlyDictionary<string, string> Sysctls { get; init; } = new Dictionary<string, string>();

    /// <summary>Directories and files of the host to copy, none inside of another.</summary>
    public required IReadOnlyList<TreeDescription> Trees { get; init; }

    /// <summary>Paths of the host's own system that it uses read-only (e.g. /etc/localtime); not copied, they have to exist at the destination.</summary>
    public required IReadOnlyList<string> HostPaths { get; init; }

    /// <summary>From the annotation evacuator.shared-paths: at the destination already, left out of <see cref="Trees"/>.</summary>
    public required IReadOnlyList<string> SharedPaths { get; init; }
}

/// <summary>How a container is attached to the network.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<NetworkKind>))]
internal enum NetworkKind
{
    None = 0,

    /// <summary>A network namespace with a path, made before the container.</summary>
    Named = 1,

    /// <summary>A network namespace that the runtime made, with lo alone.</summary>
    Isolated = 2,

    /// <summary>The host's own.</summary>
    Host = 3,

    /// <summary>A network namespace that the runtime made, with interfaces put into it later: cannot move.</summary>
    Unnamed = 4,
}

/// <summary>A directory or file of the host that belongs to a container.</summary>
internal sealed record TreeDescription(string Path, TreeKind Kind, bool ReadOnly);

/// <summary>What a tree is to its container.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<TreeKind>))]
internal enum TreeKind
{
    None = 0,

    Bundle = 1,

    /// <summary>Root file system outside of the bundle.</summary>
    Rootfs = 2,

    /// <summary>Source of a bind mount: a directory.</summary>
    Bind = 3,

    /// <summary>Source of a bind mount: a regular file.</summary>
    File = 4,
}
