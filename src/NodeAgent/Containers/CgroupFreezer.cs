namespace Evacuator.NodeAgent.Containers;

/// <summary>Stops and continues all processes of a cgroup (v2 freezer), child cgroups included.</summary>
internal sealed class CgroupFreezer(TimeProvider time, KernelPaths? paths = null)
{
    private readonly KernelPaths _paths = paths ?? KernelPaths.Default;

    /// <summary>Freezes and waits until the kernel says that all processes stand. If they do not in time, or the caller gives up, thaws again.</summary>
    /// <exception cref="OperationCanceledException">the caller gave up; thawed</exception>
    /// <remarks>
    /// A thread of its own, because the pool may be busy with copying just now and the wait is inside of the freeze. Measured on the lab's
    /// nodes: 1 to 4 ms for a handful of processes.
    /// </remarks>
    public Task<FreezeOutcome> FreezeAsync(string cgroupPath, TimeSpan timeout, CancellationToken cancel) =>
        Task.Factory.StartNew(() => Freeze(cgroupPath, timeout, cancel), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>Lets the processes run again; without effect if they do or if the cgroup is gone.</summary>
    public void Thaw(string cgroupPath) => Write(Directory(cgroupPath), "0");

    /// <summary>Whether all processes of the cgroup stand; false if it is gone.</summary>
    public bool IsFrozen(string cgroupPath) => CgroupTree.Event(Directory(cgroupPath), "frozen") ?? false;

    private FreezeOutcome Freeze(string cgroupPath, TimeSpan timeout, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        string directory = Directory(cgroupPath);
        if (!Write(directory, "1"))
            return FreezeOutcome.Gone;
        bool? frozen = CgroupTree.WaitForEvent(directory, "frozen", wanted: true, timeout, time, cancel);
        if (frozen == true)
            return FreezeOutcome.Frozen;
        Write(directory, "0");
        cancel.ThrowIfCancellationRequested();
        return frozen is null ? FreezeOutcome.Gone : FreezeOutcome.TimedOut;
    }

    private string Directory(string cgroupPath) =>
        cgroupPath.StartsWith('/') && cgroupPath.Length > 1
            ? _paths.CgroupDirectory(cgroupPath)
            : throw new ArgumentException($"'{cgroupPath}' is not the path of a cgroup below the root", nameof(cgroupPath));

    /// <summary>False if the cgroup is gone.</summary>
    private static bool Write(string directory, string value)
    {
        try
        {
            File.WriteAllText($"{directory}/cgroup.freeze", value);
            return true;
        }
        catch (Exception e) when (e is DirectoryNotFoundException or FileNotFoundException || !System.IO.Directory.Exists(directory))
        {
            return false;
        }
    }
}

/// <summary>How a freeze ended.</summary>
internal enum FreezeOutcome
{
    None = 0,
    Frozen = 1,

    /// <summary>A process did not stop in time (mostly one in uninterruptible sleep); all are thawed again.</summary>
    TimedOut = 2,

    /// <summary>There is no such cgroup.</summary>
    Gone = 3,
}
