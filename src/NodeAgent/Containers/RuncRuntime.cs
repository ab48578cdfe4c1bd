using System.Text.RegularExpressions;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.Processes;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Containers;

/// <summary>The containers of runc on this host: what its state directory and the kernel say about them.</summary>
/// <remarks>
/// runc keeps DIRECTORY/NAME/state.json; "runc list" reads the same files. Read directly, a look at ten containers costs a millisecond and no
/// process, so that the brain may look every second.
/// </remarks>
internal sealed partial class RuncRuntime(string runcRoot, NetworkHandover network, TimeProvider time, ILogger<RuncRuntime> logger, KernelPaths? paths = null)
{
    internal const string Running = "running";
    internal const string Paused = "paused";
    internal const string Stopped = "stopped";
    internal const string Created = "created";
    internal const string Unreadable = "unreadable";

    private readonly KernelPaths _paths = paths ?? KernelPaths.Default;
    private readonly ProcFiles _proc = new((paths ?? KernelPaths.Default).Proc);
    private readonly Preflight _preflight = new(paths);
    private readonly DiskUsage _disk = new(time);

    /// <summary>All containers that runc knows; one that cannot be read is listed with the state "unreadable".</summary>
    public Task<IReadOnlyList<RuncContainer>> ListAsync(CancellationToken cancel) => Task.Run(List, cancel);

    /// <exception cref="ContainerException">there is no such container, or it cannot be read</exception>
    public Task<ContainerDescription> DescribeAsync(string name, CancellationToken cancel) => Task.Run(() => Describe(name, withSettings: true), cancel);

    /// <summary>What the other containers use of this host's files. Every move asks, be there hundreds of them: neither their memory nor their networks are looked at.</summary>
    /// <remarks>Without those that have ended and those that cannot be read: the latter have a blocker of their own.</remarks>
    public Task<IReadOnlyList<(string Name, IReadOnlyList<TreeDescription> Trees)>> TreesOfOthersAsync(string name, CancellationToken cancel) =>
        Task.Run(() => TreesOfOthers(name, cancel), cancel);

    /// <summary>Whether anything of runc has this name: a container, running or stopped, or one that is about to be restored.</summary>
    public Task<bool> ExistsAsync(string name, CancellationToken cancel) =>
        Task.FromResult(IsName(name) && Directory.Exists(Path.Combine(runcRoot, name)));

    /// <summary>Whether runc has a container of this name, be it running or stopped.</summary>
    public bool HasState(string name) => IsName(name) && File.Exists(Path.Combine(runcRoot, name, "state.json"));

    /// <summary>What runc accepts as an id: also what keeps it from leading out of the state directory.</summary>
    internal static bool IsName(string name) => name.Length <= 128 && NamePattern().IsMatch(name) && name is not ("." or "..");

    [GeneratedRegex(@"^[A-Za-z0-9_+.-]+$")]
    private static partial Regex NamePattern();

    private IReadOnlyList<RuncContainer> List()
    {
        List<RuncContainer> containers = [];
        foreach (string name in Names())
        {
            try
            {
                if (TryReadState(name) is { } state)
                    containers.Add(new RuncContainer(name, StateOf(state), state.InitPid, state.Bundle));
            }
            catch (ContainerException e)
            {
                LogUnreadable(name, e.Message);
                containers.Add(new RuncContainer(name, Unreadable, 0, ""));
            }
        }
        return containers;
    }

    private IReadOnlyList<(string Name, IReadOnlyList<TreeDescription> Trees)> TreesOfOthers(string name, CancellationToken cancel)
    {
        IReadOnlyList<MountLine> mounts = _proc.Mounts(Environment.ProcessId) ?? [];
        List<(string Name, IReadOnlyList<TreeDescription> Trees)> others = [];
        foreach (string other in Names().Where(other => other != name))
        {
            cancel.ThrowIfCancellationRequested();
            try
            {
                if (TryReadState(other) is { } state && StateOf(state) != Stopped)
                {
                    TreePlan plan = PlanOf(state, out _, out OciConfig config, mounts);
                    others.Add((other, TreePlan.InUse(state.Bundle.TrimEnd('/'), config, plan)));
                }
            }
            catch (Exception e) when (e is ContainerException or IOException)
            {
                // Unreadable, or left since it was listed: others move at the same time.
            }
        }
        return others;
    }

    private static TreePlan PlanOf(RuncState state, out string json, out OciConfig config, IReadOnlyList<MountLine> mounts)
    {
        string path = Path.Combine(state.Bundle, "config.json");
        json = ReadConfig(path);
        config = OciConfig.Parse(json, path);
        // config.json may have been edited since the start: what runs is what state.json says.
        return TreePlan.Make(state.Bundle.TrimEnd('/'), state.Rootfs.TrimEnd('/'), config, mounts);
    }

    private IReadOnlyList<string> Names()
    {
        try
        {
            return [.. Directory.EnumerateDirectories(runcRoot).Select(Path.GetFileName).OfType<string>().Where(IsName).Order(StringComparer.Ordinal)];
        }
        catch (DirectoryNotFoundException)
        {
            // runc makes it with the first container.
            return [];
        }
    }

    /// <summary>Null if there is no such container.</summary>
    private RuncState? TryReadState(string name)
    {
        string path = Path.Combine(runcRoot, name, "state.json");
        try
        {
            return RuncState.Parse(File.ReadAllBytes(path), path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            // Gone between listing and reading, or a directory that a killed runc left behind; the latter shows in ExistsAsync and the proof.
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ContainerException(BlockerCode.Unreadable, $"{path} cannot be read: {e.Message}", e);
        }
    }

    private RuncState ReadState(string name) => (IsName(name) ? TryReadState(name) : null)
        ?? throw new ContainerException(BlockerCode.NotRunning, $"there is no container {name} on this host");

    private string StateOf(RuncState state)
    {
        if (_proc.Stat(state.InitPid) is not { IsZombie: false } init || init.StartTime != state.StartTime)
            return Stopped;
        // runc's init waits on this fifo until "runc start".
        if (File.Exists(Path.Combine(runcRoot, state.Id, "exec.fifo")))
            return Created;
        return TryCgroupOf(state) is { } cgroup && CgroupTree.Event(_paths.CgroupDirectory(cgroup), "frozen") == true ? Paused : Running;
    }

    /// <summary>
    /// The cgroup that runc made, below the mount. The container's first process may be in a child of it (systemd in a container makes those),
    /// so runc's own word comes first.
    /// </summary>
    private string? TryCgroupOf(RuncState state) =>
        state.UnifiedCgroup is { } directory && HostPlaces.IsWithin(directory, _paths.Cgroup) && directory.Length > _paths.Cgroup.Length
            ? directory[_paths.Cgroup.Length..]
            : _proc.Stat(state.InitPid)?.StartTime == state.StartTime && _proc.Cgroup(state.InitPid) is { Length: > 1 } path ? path : null;

    internal ContainerDescription Describe(string name, bool withSettings)
    {
        RuncState state = ReadState(name);
        string status = StateOf(state);
        TreePlan plan = PlanOf(state, out string json, out OciConfig config, _proc.Mounts(Environment.ProcessId) ?? []);
        string cgroup = TryCgroupOf(state) ?? (status == Stopped
            ? "" : throw new ContainerException(BlockerCode.Unreadable, $"container {name} has no cgroup of its own in {_paths.Cgroup}: it cannot be frozen"));
        ContainerDescription container = new()
        {
            Name = name, State = status, Bundle = state.Bundle, Rootfs = state.Rootfs.TrimEnd('/'), ConfigJson = json, RuncRoot = runcRoot, SystemdCgroup = state.SystemdCgroup,
            CgroupPath = cgroup, Descriptors = state.Descriptors, InitPid = state.InitPid, MemoryBytes = status == Stopped ? 0 : MemoryOf(cgroup, state.InitPid), Annotations = config.Annotations,
            Network = !config.Namespaces.TryGetValue("network", out string? netns) ? NetworkKind.Host : netns is null ? NetworkKind.Isolated : NetworkKind.Named,
            NetnsPath = netns, Trees = plan.Trees, HostPaths = plan.HostPaths, SharedPaths = plan.SharedPaths, FileFaults = plan.Faults,
        };
        return status == Stopped ? container : WithNetwork(container, withSettings);
    }

    private ContainerDescription WithNetwork(ContainerDescription container, bool withSettings)
    {
        try
        {
            return network.Capture(container, withSettings);
        }
        catch (NetworkException e)
        {
            throw new ContainerException(e.Blocker.Code, $"the network of container {container.Name} cannot be read: {e.Message}", e);
        }
    }

    private static string ReadConfig(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ContainerException(BlockerCode.Unreadable, $"{path} cannot be read: {e.Message}", e);
        }
    }

    /// <summary>
    /// Memory of its processes, shared memory and what its tmpfs mounts hold: all has to find room at the destination. Of the shared kind what is allocated counts, and not what its
    /// processes have touched: after a restore they have touched none of it.
    /// </summary>
    private long MemoryOf(string cgroup, int initPid)
    {
        long memory = 0;
        Memory.SharedObjects shared = new();
        List<Memory.MemoryMapping> mappings = [];
        shared.AddMounts(initPid);
        foreach (int pid in CgroupTree.Processes(_paths.CgroupDirectory(cgroup)))
        {
            memory += _proc.ProportionalMemory(pid);
            Memory.MemoryMapping.ParseAll(Memory.ProcFiles.Read($"/proc/{pid}/maps"), mappings);
            foreach (Memory.MemoryMapping mapping in mappings)
                if (mapping.Kind == Memory.MappingKind.SharedMemory)
                    shared.AddMapped(pid, mapping);
            shared.AddOpen(pid);
        }
        return memory + (long)shared.Bytes;
    }

    [LoggerMessage(2100, LogLevel.Warning, "container {Name} cannot be read: {Reason}")]
    private partial void LogUnreadable(string name, string reason);

    [LoggerMessage(2101, LogLevel.Information, "container {Name} killed and deleted ({Processes} processes)")]
    private partial void LogDeleted(string name, int processes);
}

/// <summary>A line of runc's list.</summary>
/// <param name="State">created, running, paused, stopped; unreadable if its state file could not be understood</param>
internal sealed record RuncContainer(string Name, string State, int Pid, string Bundle);
