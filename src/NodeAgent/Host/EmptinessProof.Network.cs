using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.Network.Netlink;

namespace Evacuator.NodeAgent.Host;

internal sealed partial class EmptinessProof
{
    /// <summary>Network namespaces kept by a mount (ip netns, CNI, Docker), with any interface besides lo in them.</summary>
    private int CheckNetworkNamespaces(List<string> left, Leaving leaving)
    {
        List<string> paths = [.. HostMounts().Where(mount => mount.Type == "nsfs" && mount.Root.StartsWith("net:", StringComparison.Ordinal)).Select(mount => mount.Point).Distinct()];
        foreach (string path in paths)
        {
            if (!File.Exists(path) || leaving.HasNetns(path))
                continue;
            using NetworkNamespace space = NetworkNamespace.Open(path);
            using RouteSocket routes = space.OpenRoutes();
            string interfaces = string.Join(", ", routes.Links().Where(link => !link.Loopback && !NetworkHandover.FallbackDevices.Contains(link.Name)).Select(link => link.Name));
            if (interfaces.Length > 0)
                left.Add($"the network namespace {path} has {interfaces}");
        }
        return paths.Count;
    }

    /// <summary>The host's ends of containers' cables.</summary>
    private int CheckVeths(List<string> left, Leaving leaving)
    {
        using NetworkNamespace host = NetworkNamespace.Open(options.Paths.HostNetns);
        using RouteSocket routes = host.OpenRoutes();
        IReadOnlyList<LinkInfo> links = routes.Links();
        foreach (LinkInfo link in links.Where(link => link.Kind == "veth" && !options.Uplinks.Contains(link.Name) && !leaving.Interfaces.Contains(link.Name)))
            left.Add($"veth {link.Name} is on this host; if it is an uplink of the host itself, name it in [node] uplinks");
        return links.Count;
    }

    /// <summary>File systems of containers: overlays, binds and shared memory below the runtimes' directories.</summary>
    private int CheckMounts(List<string> left, Leaving leaving)
    {
        IReadOnlyList<MountLine> mounts = HostMounts();
        foreach (MountLine mount in mounts.Where(mount => IsContainers(mount) && !leaving.HasPath(mount.Point)))
            left.Add($"{mount.Type} is mounted on {mount.Point}");
        return mounts.Count;
    }

    // The storage directory itself may be a file system of its own, or bound onto itself (Docker and podman do that): only what is deeper counts.
    private bool IsContainers(MountLine mount) =>
        mount.Type is not "nsfs" && options.MountRoots.Any(root =>
            HostPlaces.IsWithin(mount.Point, root) && mount.Point != root
            && (mount.Type is "overlay" or "fuse.fuse-overlayfs" or "tmpfs" || mount.Point[root.Length..].Count(c => c == '/') > 2));

    private IReadOnlyList<MountLine> HostMounts() =>
        _proc.Mounts(options.InitPid) ?? throw new IOException($"the mounts of process {options.InitPid} cannot be read");
}
