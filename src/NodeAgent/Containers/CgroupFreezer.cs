namespace Evacuator.NodeAgent.Containers;

/// <summary>Stops and continues all processes of a cgroup (v2 freezer), child cgroups included.</summary>
internal sealed class CgroupFreezer(TimeProvider time, KernelPaths? paths = null)
{
    private readonly KernelPaths _paths = paths ?? KernelPaths.Default;

    /// <summary>Freezes and waits until the kernel says that all processes stand. If they do not in time, thaws again.</summary>
    public Task<FreezeOutcome> FreezeAsync(string cgroupPath, TimeSpan timeout, CancellationToken cancel) => throw new NotSupportedException($"{time} {_paths}");

    /// <summary>Lets the processes run again; without effect if they do or if the cgroup is gone.</summary>
    public void Thaw(string cgroupPath) => throw new NotSupportedException();

    /// <summary>Whether all processes of the cgroup stand; false if it is gone.</summary>
    public bool IsFrozen(string cgroupPath) => throw new NotSupportedException();
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
