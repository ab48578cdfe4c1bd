namespace Evacuator.NodeAgent.Memory.Convergence;

/// <summary>What the length of a freeze depends on.</summary>
/// <param name="Processes">In the container.</param>
/// <param name="Threads">All of them.</param>
/// <param name="Mappings">Lines of all maps files: CRIU walks each.</param>
/// <param name="TrackedBytes">All memory the tracker owns: the last scan walks its page tables.</param>
/// <param name="ResidualBytes">To be sent while frozen: written since the last round, and whole processes that are not tracked.</param>
/// <param name="UntrackedBytes">To be written by CRIU while frozen.</param>
/// <param name="BytesPerSecond">What the wire takes for this container.</param>
/// <param name="LazyDump">CRIU dumps with --lazy-pages.</param>
/// <param name="SharedBytes">Sent ahead, to be compared while frozen and restored by CRIU.</param>
/// <param name="Whole">Nothing was sent ahead: the engine is not used.</param>
/// <param name="ImageBytes">What CRIU writes besides memory, to be sent while frozen.</param>
internal sealed record FreezeShape(int Processes, int Threads, int Mappings, ulong TrackedBytes, ulong ResidualBytes, ulong UntrackedBytes, double BytesPerSecond, bool LazyDump = false, ulong SharedBytes = 0, bool Whole = false, ulong ImageBytes = 0)
{
    /// <param name="residualBytes">What is expected to be dirty when the container freezes; the round's own finding is the best guess while it writes evenly.</param>
    public static FreezeShape From(RoundStatistics round, ulong residualBytes, double bytesPerSecond) =>
        new(round.Processes, round.Threads, round.Mappings, round.TrackedBytes, residualBytes, round.UntrackedBytes, bytesPerSecond, SharedBytes: round.SharedBytes,
            ImageBytes: ImagesAtAll + (ulong)round.Processes * ImagesOfProcess + (ulong)round.Threads * ImagesOfThread + (ulong)round.Mappings * ImagesOfMapping);

    private const ulong ImagesAtAll = 24 << 10, ImagesOfProcess = 40 << 10, ImagesOfThread = 2 << 10, ImagesOfMapping = 128;
}

/// <summary>One freeze as it was, to learn from.</summary>
internal sealed record FreezeSample(FreezeShape Shape, TimeSpan Frozen);
