using System.Collections.Concurrent;
using Evacuator.Common.Hosting;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Journal;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.Memory.Mappings;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.PageStore;
using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Migration;

/// <summary>What both halves of a move work with. One set for the whole agent.</summary>
internal sealed record MoveTools(
    RuncRuntime Runtime,
    Preflight Preflight,
    NetworkHandover Network,
    CgroupFreezer Freezer,
    MoveJournal Journal,
    AgentPaths Paths,
    FaultPoints Faults,
    TimeProvider Time)
{
    /// <summary>/proc/sys/kernel/random/boot_id of this boot.</summary>
    public required string BootId { get; init; }

    public required string RuncRoot { get; init; }

    /// <summary>What the kernel offers for moving memory while it is written.</summary>
    public required MemoryFeatures Memory { get; init; }

    /// <summary>What spares CRIU the walk for smaps; null where the kernel does not permit it.</summary>
    public MappingFlags? MappingFlags { get; init; }

    /// <summary>Connections that the memory of one container travels on.</summary>
    public required int MemoryStreams { get; init; }

    /// <summary>Memory may be compressed where the wire is slow.</summary>
    public bool Compress { get; init; }

    /// <summary>Percent of its speed that a container may be slowed down to where it writes faster than its memory can be sent.</summary>
    public required int LeastSpeedPercent { get; init; }

    /// <summary>Keeps descriptors over a restart of the agent.</summary>
    public required SystemdNotify Systemd { get; init; }

    /// <summary>Room in systemd's store for the memory of containers that arrive.</summary>
    public required DescriptorStore Descriptors { get; init; }

    /// <summary>
    /// Ends the agent on the spot, for what must not go on in this life and can in the next: systemd starts it again, with the descriptors it keeps.
    /// </summary>
    public Action<Exception> EndAgent { get; init; } = e => Environment.FailFast($"the agent cannot go on and starts again: {e.Message}");

    /// <summary>How long freezes take here.</summary>
    public FreezeExperience Experience { get; init; } = new(file: null);

    /// <summary>Who freezes now.</summary>
    public SemaphoreSlim FinalPasses { get; } = new(1);

    /// <summary>What everything else gives way to.</summary>
    public Urgency Urgent { get; } = new(Time, new AgentPriority());

    /// <summary>What it gets through, and what of it waits.</summary>
    public Wire Wire { get; init; } = new(Time);

    /// <summary>What all copying of this host may send together.</summary>
    public Bandwidth Bandwidth { get; init; } = new(0, Time);

    /// <summary>By name, the containers that have arrived and are still owed memory. Such memory looks like none: nothing may copy it before it is here.</summary>
    public ConcurrentDictionary<string, Task<FillReport>> Fills { get; } = new();

    /// <summary>The fills that a container may be part of.</summary>
    public IEnumerable<Task<FillReport>> FillsOf(string container) =>
        Fills.Where(fill => fill.Key == container || fill.Key.StartsWith('?')).Select(fill => fill.Value);

    /// <summary>Key of a fill whose container nobody can name: no container's name begins like this.</summary>
    public static string UnknownContainer(Guid move) => $"?{move:N}";

    /// <summary>How CRIU is kept from memory that has been sent ahead.</summary>
    public required DumpLadder Dumps { get; init; }

    /// <summary>What can be put into CRIU.</summary>
    public CriuPreloads Preloads { get; init; } = CriuPreloads.None;

    /// <summary>What runc and CRIU get as their environment.</summary>
    /// <param name="gate">the directory of the armed command, if CRIU is to hold there</param>
    /// <param name="owned">the list of memory that CRIU leaves alone, for a dump with the engine</param>
    /// <param name="mappings">where it finds the mappings of the processes</param>
    public IReadOnlyDictionary<string, string> RuncEnvironment(string? gate, string? owned = null, string? mappings = null) =>
        CriuEnvironment.For(Paths, Preloads, gate, owned, mappings);
}
