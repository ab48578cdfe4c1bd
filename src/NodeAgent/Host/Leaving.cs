using Evacuator.NodeAgent.Containers;

namespace Evacuator.NodeAgent.Host;

/// <summary>Traces of containers that are still here and go away with their moves.</summary>
internal sealed record Leaving
{
    public static Leaving Nothing { get; } = new();

    /// <summary>Below the cgroup2 mount.</summary>
    public IReadOnlyList<string> Cgroups { get; init; } = [];

    /// <summary>Paths of network namespaces.</summary>
    public IReadOnlySet<string> Namespaces { get; init; } = new HashSet<string>();

    /// <summary>The host's ends of their cables.</summary>
    public IReadOnlySet<string> Interfaces { get; init; } = new HashSet<string>();

    /// <summary>The runtime's state of each.</summary>
    public IReadOnlySet<string> RuntimeDirectories { get; init; } = new HashSet<string>();

    /// <summary>Bundles and root file systems.</summary>
    public IReadOnlyList<string> Paths { get; init; } = [];

    public static Leaving Of(IReadOnlyCollection<ContainerDescription> containers) => new()
    {
        Cgroups = [.. containers.Select(container => container.CgroupPath).Where(path => path.Length > 1)],
        Namespaces = containers.Select(container => container.NetnsPath).OfType<string>().Select(WithoutVar).ToHashSet(),
        Interfaces = containers.SelectMany(container => container.Interfaces).Select(link => link.HostName).OfType<string>().ToHashSet(),
        RuntimeDirectories = containers.Select(container => Path.Combine(container.RuncRoot, container.Name)).ToHashSet(),
        Paths = [.. containers.SelectMany(container => (string[])[container.Bundle, container.Rootfs]).Where(path => path.Length > 1)],
    };

    public bool HasCgroup(string path) => Cgroups.Any(own => HostPlaces.IsWithin(path, own));

    public bool HasNetns(string path) => Namespaces.Contains(WithoutVar(path));

    public bool HasPath(string path) => Paths.Any(own => HostPlaces.IsWithin(path, own));

    /// <summary>/var/run is a link to /run, and both are written.</summary>
    private static string WithoutVar(string path) => path.StartsWith("/var/run/", StringComparison.Ordinal) ? path["/var".Length..] : path;
}
