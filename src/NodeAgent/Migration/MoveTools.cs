using System.Collections.Concurrent;
using Evacuator.Common.Hosting;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Journal;
using Evacuator.NodeAgent.Memory;
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

    /// <summary>Connections that the memory of one container travels on.</summary>
    public required int MemoryStreams { get; init; }

    /// <summary>Keeps descriptors over a restart of the agent.</summary>
    public required SystemdNotify Systemd { get; init; }

    /// <summary>
    /// Ends the agent on the spot, for what must not go on in this life and can in the next: systemd starts it again, with the descriptors it keeps.
    /// </summary>
    public Action<Exception> EndAgent { get; init; } = e => Environment.FailFast($"the agent cannot go on and starts again: {e.Message}");

    /// <summary>Who freezes now.</summary>
    public SemaphoreSlim FinalPasses { get; } = new(1);

    /// <summary>What everything else gives way to.</summary>
    public Urgency Urgent { get; } = new(Time);

    /// <summary>By name, the containers that have arrived and are still owed memory. Such memory looks like none: nothing may copy it before it is here.</summary>
    public ConcurrentDictionary<string, Task<FillReport>> Fills { get; } = new();

    /// <summary>Whether memory can be sent ahead: the kernel tracks it and the shim that keeps CRIU from it is installed.</summary>
    public bool HasEngine => Memory.CanTrack && File.Exists(Paths.Shim);

    /// <summary>What runc and CRIU get as their environment.</summary>
    public IReadOnlyDictionary<string, string> RuncEnvironment => new Dictionary<string, string>
    {
        ["HOME"] = Paths.CriuHome,
        ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin",
        ["LC_ALL"] = "C",
    };
}
