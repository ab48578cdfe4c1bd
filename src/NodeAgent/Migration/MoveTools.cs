using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Journal;
using Evacuator.NodeAgent.Network;

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

    /// <summary>What runc and CRIU get as their environment.</summary>
    public IReadOnlyDictionary<string, string> RuncEnvironment => new Dictionary<string, string>
    {
        ["HOME"] = Paths.CriuHome,
        ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin",
        ["LC_ALL"] = "C",
    };
}
