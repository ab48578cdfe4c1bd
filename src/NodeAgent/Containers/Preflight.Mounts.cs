using Evacuator.Common.AgentApi;

namespace Evacuator.NodeAgent.Containers;

internal sealed partial class Preflight
{
    // CRIU makes these again from nothing, or dumps what is in them (tmpfs).
    private static readonly HashSet<string> Rebuilt = ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs", "binfmt_misc"];

    // Content that only a server or another process has.
    private static readonly HashSet<string> Foreign = ["autofs", "nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "nsfs"];

    private void CheckMounts(ContainerDescription container, List<Blocker> blockers)
    {
        if (_proc.Mounts(container.InitPid) is not { } mounts)
        {
            blockers.Add(new Blocker(BlockerCode.Unreadable, $"the mounts of its first process {container.InitPid} cannot be read"));
            return;
        }
        OciConfig config = OciConfig.Parse(container.ConfigJson, $"{container.Bundle}/config.json");
        HashSet<string> declared = [.. config.Mounts.Select(mount => mount.Destination.TrimEnd('/'))];
        foreach (MountLine mount in mounts)
            if (Judge(mount, declared, mounts) is { } why)
                blockers.Add(new Blocker(BlockerCode.UnsupportedMount, $"{mount.Point} in it is a mount of type {mount.Type}{why}"));
    }

    /// <summary>Null if it can be made again elsewhere; else the rest of the sentence.</summary>
    private static string? Judge(MountLine mount, HashSet<string> declared, IReadOnlyList<MountLine> all)
    {
        if (Foreign.Contains(mount.Type) || mount.Type.StartsWith("fuse", StringComparison.Ordinal))
            return ", whose content cannot move with it; unmount it, or bind it from a path that every host has";
        if (mount.Point == "/" || declared.Contains(mount.Point) || Rebuilt.Contains(mount.Type))
            return null;
        // runc hides files by binding others over them (maskedPaths), write-protects by binding them onto themselves (readonlyPaths),
        // and binds device nodes and the console.
        if (mount.Point.StartsWith("/proc/", StringComparison.Ordinal) || mount.Point.StartsWith("/sys/", StringComparison.Ordinal)
            || mount.Point.StartsWith("/dev/", StringComparison.Ordinal))
            return null;
        // Below a declared bind that took submounts with it (rbind).
        if (declared.Any(place => HostPlaces.IsWithin(mount.Point, place)))
            return ", brought in with a recursive bind; mount it by a line of its own in config.json";
        return all.Count(other => other.Point == mount.Point) > 1 ? null : ", made after its start and unknown to config.json; unmount it";
    }
}
