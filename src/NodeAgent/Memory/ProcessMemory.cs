namespace Evacuator.NodeAgent.Memory;

/// <summary>What the destination's page store holds of one process after a round, and which mappings CRIU need not look at.</summary>
/// <param name="Pid">In the container's pid namespace.</param>
/// <param name="Owned">Mappings whose pages travel with the tracker, all of them; adjacent ones are joined. CRIU's page dump must be kept from exactly these.</param>
/// <param name="Stored">Pages the store has data for. Any other page of <paramref name="Owned"/> reads as zero.</param>
/// <param name="StackPages">Pages of <paramref name="Owned"/> that hold a thread's stack pointer: touched at once when the container resumes. Filled by a frozen round.</param>
internal sealed record ProcessMemory(int HostPid, int Pid, IReadOnlyList<MemoryRange> Owned, IReadOnlyList<MemoryRange> Stored, IReadOnlyList<ulong> StackPages);

/// <summary>How a process is followed, for the operator.</summary>
/// <param name="WhyUntracked">Null while it is tracked.</param>
/// <param name="Stopped">How long one of its threads stood still when it was attached.</param>
internal sealed record ProcessTracking(int HostPid, int Pid, string? WhyUntracked, TimeSpan Stopped);
