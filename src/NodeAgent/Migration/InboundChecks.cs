using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Files;
using Evacuator.NodeAgent.Host;

namespace Evacuator.NodeAgent.Migration;

/// <summary>What speaks against a container here, apart from its network: asked when it is announced and again when it is offered.</summary>
internal static class InboundChecks
{
    public static async Task<IReadOnlyList<Blocker>> NameAndPathsAsync(
        string name, IEnumerable<(string Path, TreeKind Kind)> trees, RuncRuntime runtime, CancellationToken cancel)
    {
        string here = Environment.MachineName;
        List<Blocker> blockers = [];
        if (await runtime.ExistsAsync(name, cancel))
            blockers.Add(new Blocker(BlockerCode.NameTaken, $"{here} already has a container named {name}: rename one of them"));
        foreach ((string path, TreeKind kind) in trees)
        {
            if (TreePlace.WhyRefused(path) is { } reason)
                blockers.Add(new Blocker(BlockerCode.PathTaken, $"{name} cannot be put on {here}: {reason}"));
            // A container that is here already may have made the link, to have the next one written through it.
            else if (TreePlan.LinkIn(path) is { } link)
                blockers.Add(new Blocker(BlockerCode.PathTaken, $"{path} goes through the symbolic link {link} on {here}: use the real path"));
            else if (Path.Exists(path) && !(Directory.Exists(path) && !Directory.EnumerateFileSystemEntries(path).Any()))
                blockers.Add(new Blocker(BlockerCode.PathTaken, kind == TreeKind.Bundle
                    ? $"{path} already exists on {here}: move it away"
                    : $"{path}, which {name} mounts, already exists on {here}: move it away, or name it in evacuator.shared-paths if it is the same storage"));
        }
        return blockers;
    }

    /// <summary>Whether the memory fits, a reserve of the host kept.</summary>
    public static Blocker? Memory(ContainerReport container, HostReport host, int reservePercent)
    {
        long reserve = host.MemoryTotal / 100 * reservePercent;
        long needed = ArrivalNeeds.Memory(container.MemoryBytes);
        return host.MemoryAvailable - reserve >= needed ? null : new Blocker(BlockerCode.NotEnoughMemory,
            $"{host.Node} has {Math.Max(0, host.MemoryAvailable - reserve) >> 20} MiB to give, {container.Name} needs {needed >> 20} MiB while it arrives "
            + $"({container.MemoryBytes >> 20} MiB of memory and its images; {reservePercent} % of the host stay free)");
    }

    /// <summary>Whether the files fit where they go, which need not be the file system of the host's report, with a tenth of slack.</summary>
    /// <param name="reserved">promised to others that arrive; for all that is known, on the same file system</param>
    public static Blocker? Disk(ContainerReport container, HostReport host, long reserved)
    {
        long free = FreeSpace.At(container.Bundle) - reserved, needed = ArrivalNeeds.Disk(container.DiskBytes);
        return free >= needed ? null : new Blocker(BlockerCode.NotEnoughDisk,
            $"{host.Node} has {Math.Max(0, free) >> 20} MiB of disk left for {container.Bundle}, {container.Name} needs {needed >> 20} MiB{(reserved > 0 ? $" ({reserved >> 20} MiB are kept for others that arrive)" : "")}");
    }
}
