using System.Runtime.InteropServices;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Processes;

namespace Evacuator.NodeAgent.Containers;

internal sealed partial class RuncRuntime
{
    // SIGKILL is quick; what does not end within this time hangs in the kernel (a dead disk or NFS server).
    private static readonly TimeSpan KillTime = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan DeleteTime = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Ends a container for good: kills every process of its cgroup (also a frozen one), deletes runc's state, and verifies that nothing is
    /// left. Without effect if it does not exist.
    /// </summary>
    /// <param name="name">the container</param>
    /// <param name="cgroupPath">its cgroup below the cgroup2 mount, for one whose runc state is gone or was never written; may be null</param>
    /// <param name="cancel">gives up waiting; what has been killed stays so</param>
    /// <exception cref="ContainerException">something of it is left, or the cgroup is not a container's</exception>
    public async Task KillAndDeleteAsync(string name, string? cgroupPath, CancellationToken cancel)
    {
        if (!IsName(name))
            throw new ContainerException(BlockerCode.Unreadable, $"'{name}' is not a name of a container");
        RuncState? state = ReadStateForDeletion(name);
        HashSet<string> cgroups = [];
        if (state is not null && TryCgroupOf(state) is { } own)
            cgroups.Add(own);
        if (!string.IsNullOrEmpty(cgroupPath))
            cgroups.Add(cgroupPath);

        int killed = 0;
        foreach (string cgroup in cgroups)
            killed += await Task.Factory.StartNew(() => Kill(name, cgroup, cancel), cancel, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        if (state is not null)
            await WaitForInitAsync(state, cancel);
        string stateDirectory = Path.Combine(runcRoot, name);
        if (Directory.Exists(stateDirectory))
            await DeleteStateAsync(name, stateDirectory, cancel);
        foreach (string cgroup in cgroups)
            RemoveCgroup(name, _paths.CgroupDirectory(cgroup));
        _reports.TryRemove(name, out _);
        if (killed > 0 || state is not null)
            LogDeleted(name, killed);
    }

    /// <summary>A state that cannot be understood must not keep a container from being removed.</summary>
    private RuncState? ReadStateForDeletion(string name)
    {
        try
        {
            return TryReadState(name);
        }
        catch (ContainerException e)
        {
            LogUnreadable(name, e.Message);
            return null;
        }
    }

    private int Kill(string name, string cgroup, CancellationToken cancel)
    {
        string directory = _paths.CgroupDirectory(cgroup);
        if (!Directory.Exists(directory))
            return 0;
        IReadOnlyList<int> processes = CgroupTree.Processes(directory);
        CheckIsContainers(name, cgroup, processes);
        try
        {
            // Reaches every process at once, those that fork meanwhile and those that are frozen. Kernel 5.14.
            File.WriteAllText($"{directory}/cgroup.kill", "1");
            File.WriteAllText($"{directory}/cgroup.freeze", "0");
        }
        catch (IOException) when (!Directory.Exists(directory))
        {
            return processes.Count;
        }
        if (CgroupTree.WaitForEvent(directory, "populated", wanted: false, KillTime, time, cancel) == false)
        {
            cancel.ThrowIfCancellationRequested();
            string left = string.Join(", ", CgroupTree.Processes(directory).Select(pid => $"{pid} ({_proc.Stat(pid)?.Name}, state {_proc.Stat(pid)?.State})"));
            throw new ContainerException(BlockerCode.Unreadable, $"processes of container {name} did not end within {KillTime.TotalSeconds:0} s of SIGKILL: {left}");
        }
        return processes.Count;
    }

    /// <summary>
    /// A process leaves its cgroup a little before it shows as ended (do_exit: cgroup_exit comes before exit_notify), and on a busy host it can be
    /// put aside in between. Who asks then whether the container still runs is told that it does.
    /// </summary>
    private async Task WaitForInitAsync(RuncState state, CancellationToken cancel)
    {
        long start = time.GetTimestamp();
        while (StateOf(state) != Stopped && time.GetElapsedTime(start) < KillTime)
            await Task.Delay(TimeSpan.FromMilliseconds(1), time, cancel);
    }

    /// <summary>A path that reached us from elsewhere must not kill the host: neither a unit of systemd nor anything in the host's pid namespace.</summary>
    private void CheckIsContainers(string name, string cgroup, IReadOnlyList<int> processes)
    {
        if (!HostPlaces.IsPlain(cgroup) || HostPlaces.IsUnitCgroup(cgroup))
            throw new ContainerException(BlockerCode.Unreadable, $"{cgroup} is not a cgroup of a container; nothing in it is killed for {name}");
        string? hostPid = _proc.Link(Environment.ProcessId, "ns/pid");
        foreach (int pid in processes)
            if (hostPid is null || _proc.Link(pid, "ns/pid") == hostPid)
                throw new ContainerException(
                    BlockerCode.Unreadable, $"process {pid} ({_proc.Stat(pid)?.Name}) in {cgroup} runs in the host's pid namespace and so is not of container {name}; nothing there is killed");
    }

    private async Task DeleteStateAsync(string name, string stateDirectory, CancellationToken cancel)
    {
        using CancellationTokenSource limit = new(DeleteTime, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(cancel, limit.Token);
        string complaint;
        UnmountRestoreRoot(stateDirectory);
        try
        {
            CommandResult result = await Command.RunAsync("runc", ["--root", runcRoot, "delete", "--force", name], either.Token);
            complaint = result.Succeeded ? "runc says that it did" : result.Tail();
        }
        catch (CommandException e)
        {
            complaint = e.Message;
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            complaint = $"runc took longer than {DeleteTime.TotalSeconds:0} s";
        }
        if (!Directory.Exists(stateDirectory))
            return;
        // Without a readable state.json runc does not know the container and leaves the directory. All its processes have ended by now.
        if (ReadStateForDeletion(name) is not { } state || StateOf(state) == Stopped)
            Directory.Delete(stateDirectory, recursive: true);
        else
            throw new ContainerException(BlockerCode.Unreadable, $"runc could not delete container {name}: {complaint}");
    }

    /// <summary>
    /// A runc that is killed during a restore leaves its bind mount of the root file system in its directory: whoever then deletes the directory,
    /// and "runc delete" does, deletes the container's files through it.
    /// </summary>
    private static void UnmountRestoreRoot(string stateDirectory)
    {
        const int ENOENT = 2, EINVAL = 22;
        string root = Path.Combine(stateDirectory, "criu-root");
        while (Interop.Namespaces.Unmount(root, Interop.Namespaces.MNT_DETACH) == 0)
        {
        }
        int errno = Marshal.GetLastPInvokeError();
        // Not a mount point, or nothing at all: as it should be.
        if (errno is not (EINVAL or ENOENT))
            throw new ContainerException(BlockerCode.Unreadable, $"{root} could not be unmounted (errno {errno}); nothing in it is deleted before");
    }

    private static void RemoveCgroup(string name, string directory)
    {
        foreach (string member in CgroupTree.WithChildren(directory).Reverse())
        {
            try
            {
                Directory.Delete(member);
            }
            catch (DirectoryNotFoundException)
            {
            }
            catch (IOException e)
            {
                throw new ContainerException(BlockerCode.Unreadable, $"the cgroup {member} of container {name} could not be removed: {e.Message}", e);
            }
        }
    }
}
