using Evacuator.Common.AgentApi;

namespace Evacuator.NodeAgent.Containers;

/// <summary>
/// Looks for whatever CRIU or this agent cannot move, before anything is touched. Each blocker names the process, the file and what to do.
/// </summary>
/// <remarks>
/// What CRIU refuses is taken from its sources (criu/files.c dump_unsupp_fd, sk-*.c, seize.c, namespaces.c). Not looked for, because CRIU
/// handles it or because it shows only in the dump: SysV shared memory, AIO rings, leases, huge pages (dumped whole).
/// </remarks>
internal sealed partial class Preflight(KernelPaths? paths = null)
{
    // CRIU's own limit for files that are open and deleted (--ghost-limit): it carries them inside of its images.
    internal const long GhostLimit = 1 << 20;

    // One reason is enough to act on; a thousand sockets of one kind are one reason.
    private const int PerProcess = 16;

    private readonly KernelPaths _paths = paths ?? KernelPaths.Default;
    private readonly ProcFiles _proc = new((paths ?? KernelPaths.Default).Proc);

    /// <summary>Every reason why the container cannot move at all; reads only, takes about 20 µs an open file.</summary>
    public IReadOnlyList<Blocker> Check(ContainerDescription container)
    {
        if (container.State != RuncRuntime.Running)
            return [new Blocker(BlockerCode.NotRunning, $"it is {container.State}; only a running container moves{(container.State == RuncRuntime.Paused ? ": resume it with runc resume" : "")}")];
        List<Blocker> blockers = [.. container.FileFaults, .. container.NetworkFaults];
        CheckPolicy(container, blockers);
        CheckNetwork(container, blockers);
        CheckMounts(container, blockers);
        IReadOnlyList<int> processes = CgroupTree.Processes(_paths.CgroupDirectory(container.CgroupPath));
        if (!processes.Contains(container.InitPid))
            blockers.Add(new Blocker(BlockerCode.Unreadable, $"its first process {container.InitPid} is not in its cgroup {container.CgroupPath}; it cannot be frozen as a whole"));
        CheckStrays(container, processes, blockers);
        HashSet<ulong> sockets = [];
        HashSet<int> mounts = [.. (_proc.Mounts(container.InitPid) ?? []).Select(mount => mount.Id)];
        foreach (int pid in processes)
        {
            CheckProcess(pid, container, blockers);
            CheckFiles(pid, mounts, blockers, sockets);
            CheckMaps(pid, blockers);
        }
        CheckUnixPeers(container, sockets, blockers);
        return [.. blockers.Distinct()];
    }

    private static void CheckPolicy(ContainerDescription container, List<Blocker> blockers)
    {
        if (container.Annotations.GetValueOrDefault(Annotations.Policy) == "stay")
            blockers.Add(new Blocker(BlockerCode.PolicyStay, $"its annotation {Annotations.Policy}=stay forbids moving it"));
        OciConfig config = OciConfig.Parse(container.ConfigJson, $"{container.Bundle}/config.json");
        if (config.Terminal)
            blockers.Add(new Blocker(BlockerCode.UnsupportedRuntime, "it has a terminal (process.terminal), whose other end is on this host; start it without one"));
        if (!config.Namespaces.TryGetValue("pid", out string? pid) || pid is not null)
            blockers.Add(new Blocker(
                BlockerCode.UnsupportedRuntime, "it has no pid namespace of its own, and its process numbers may be taken elsewhere; give it one in config.json"));
    }

    private static void CheckNetwork(ContainerDescription container, List<Blocker> blockers)
    {
        switch (container.Network)
        {
            case NetworkKind.Host:
                blockers.Add(new Blocker(BlockerCode.HostNetwork, "it uses the network of this host, whose addresses cannot move; give it a network namespace"));
                break;
            case NetworkKind.Unnamed:
                blockers.Add(new Blocker(
                    BlockerCode.NetworkNotExternal,
                    $"its network namespace has interfaces ({string.Join(", ", container.Interfaces.Select(i => i.Name))}) but no path in config.json; make it with ip netns and name it there"));
                break;
            case NetworkKind.Named when container.NetnsPath is { } path && Path.GetDirectoryName(path) is not ("/run/netns" or "/var/run/netns"):
                blockers.Add(new Blocker(BlockerCode.NetworkNotExternal, $"its network namespace {path} is not in /run/netns, where it could be made again"));
                break;
        }
    }

    /// <summary>Processes in the container's pid namespace that its cgroup does not hold would run on while it is frozen.</summary>
    private void CheckStrays(ContainerDescription container, IReadOnlyList<int> processes, List<Blocker> blockers)
    {
        string? space = _proc.Link(container.InitPid, "ns/pid");
        HashSet<int> members = [.. processes];
        foreach (int pid in _proc.Processes())
            if (!members.Contains(pid) && space is not null && _proc.Link(pid, "ns/pid") == space && _proc.Cgroup(pid) is { } cgroup
                && !HostPlaces.IsWithin(cgroup, container.CgroupPath))
                blockers.Add(new Blocker(BlockerCode.Unreadable, $"its process {Name(pid)} is outside of its cgroup, in {cgroup}; it cannot be frozen with the rest"));
    }

    private string Name(int pid) => $"{pid} ({_proc.Stat(pid)?.Name ?? "?"})";
}
