using Evacuator.Common.AgentApi;

namespace Evacuator.NodeAgent.Host;

/// <summary>
/// Whether CRIU's images have room, which are on a tmpfs at both ends (/run, by default a tenth or a fifth of the memory). Found out before a container is frozen: a file
/// system that turns out to be full in the middle of a dump costs it that freeze for nothing.
/// </summary>
/// <remarks>Not seen ahead: what the images hold also with the engine, which are tmpfs mounts and shared memory that cannot be sent ahead. It is known only once the container stands still.</remarks>
internal static class ImageRoom
{
    /// <summary>Of a container that is all processes and no memory, with room for the logs of both ends.</summary>
    internal const long Least = 32L << 20;

    /// <summary>What is said of memory that travels ahead of the images takes at most this part of it: ten bytes for each page.</summary>
    private const int PartOfOwned = 256;

    /// <param name="engine">its memory does not go with the images</param>
    public static long Needed(long memoryBytes, bool engine) => Least + (engine ? memoryBytes / PartOfOwned : memoryBytes);

    /// <summary>What no move can do without, whatever container it is.</summary>
    public static Requirement Require(string directory)
    {
        long free = FreeSpace.At(directory);
        return new Requirement("room for images", free >= Least, $"{free >> 20} MiB free in {directory}", free >= Least ? "" : Remedy(directory), BlockerCode.NotEnoughDisk);
    }

    /// <summary>Null if it fits.</summary>
    public static Blocker? WhyNot(string node, string directory, string container, long memoryBytes, bool engine)
    {
        long free = FreeSpace.At(directory), needed = Needed(memoryBytes, engine);
        return free >= needed ? null : new Blocker(BlockerCode.NotEnoughDisk,
            $"{node} has {free >> 20} MiB free in {directory}, and the images of {container} need up to {needed >> 20} MiB{(engine ? "" : " with all of its memory in them")}: {Remedy(directory)}");
    }

    private static string Remedy(string directory) => $"free some of it, or give its file system more room (\"df {directory}\"; mount -o remount,size=…)";
}
