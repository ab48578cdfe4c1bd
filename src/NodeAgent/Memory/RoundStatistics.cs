namespace Evacuator.NodeAgent.Memory;

/// <summary>What one round found and cost. Bytes and durations are sums over all processes of the container.</summary>
/// <param name="DirtyBytes">Pages that had to be looked at: written, or new to the tracker.</param>
/// <param name="DataBytes">Of these, what was handed on as bytes. The rest was zero or gone.</param>
/// <param name="ZeroBytes">Handed on as zero ranges.</param>
/// <param name="DroppedBytes">Said to be void.</param>
/// <param name="Regions">Stretches of pages that the kernel reported: how scattered the writes are.</param>
/// <param name="TrackedBytes">Everything the destination should hold after this round.</param>
/// <param name="UntrackedBytes">What CRIU will have to write inside the freeze: copies of file pages, main stacks, locked memory, tmpfs mounts, and shared memory that is not sent ahead.</param>
/// <param name="UntrackedProcesses">Processes without a tracker (just forked, traced by others, …): all of their memory is sent in the freeze.</param>
/// <param name="ScanTime">Time in PAGEMAP_SCAN, /proc/PID/maps and registering.</param>
/// <param name="ReadTime">Time in reading pages, finding zeros and checksums.</param>
/// <param name="Duration">From the first step to the last, waiting for the receiver included.</param>
/// <param name="SharedBytes">Shared memory that the destination holds after this round: read once more and compared inside the freeze, and restored by CRIU.</param>
internal sealed record RoundStatistics(
    int Number, bool Frozen, int Processes, int UntrackedProcesses, int Threads, int Mappings, long Regions,
    ulong DirtyBytes, ulong DataBytes, ulong ZeroBytes, ulong DroppedBytes, ulong TrackedBytes, ulong UntrackedBytes,
    TimeSpan ScanTime, TimeSpan ReadTime, TimeSpan Duration, ulong SharedBytes = 0);
