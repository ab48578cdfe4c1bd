namespace Evacuator.NodeAgent.Migration;

/// <summary>Where the agent keeps things. Images are in memory (tmpfs): the disk may be the reason for leaving.</summary>
internal sealed record AgentPaths
{
    /// <summary>tmpfs; survives the agent, not the host.</summary>
    public string Runtime { get; init; } = "/run/evacuator-agent";

    /// <summary>On the disk.</summary>
    public string State { get; init; } = "/var/lib/evacuator-agent";

    public string CriuHome => Path.Combine(Runtime, "criu-home");

    public string FaultPoint => Path.Combine(Runtime, "fault-point");

    /// <summary>What stood in cpu.max of containers that are slowed down now.</summary>
    public string Throttled => Path.Combine(Runtime, "throttled");

    public string Move(Guid id) => Path.Combine(Runtime, "moves", id.ToString());

    public string Images(Guid id) => Path.Combine(Move(id), "images");

    /// <summary>Shared memory that arrives ahead of the images.</summary>
    public string Shared(Guid id) => Path.Combine(Move(id), "shared");

    public string CriuWork(Guid id) => Path.Combine(Move(id), "criu");

    public string Armed(Guid id) => Path.Combine(Move(id), "armed");

    /// <summary>A fifo in which a dump with --lazy-pages says that it listens.</summary>
    public string DumpListens(Guid id) => Path.Combine(Move(id), "listens");

    /// <summary>Which memory the engine moves itself: read by the shim inside of CRIU.</summary>
    public string Owned(Guid id) => Path.Combine(Move(id), "owned");

    /// <summary>What smaps would say of each process, by its pid: read by the gate inside of CRIU.</summary>
    public string Mappings(Guid id) => Path.Combine(Move(id), "mappings");

    /// <summary>Where the package puts it.</summary>
    public string Shim { get; init; } = "/usr/lib/evacuator/criu-shim.so";

    /// <summary>Holds a CRIU that is ready; see native/criu-gate.c.</summary>
    public string Gate { get; init; } = "/usr/lib/evacuator/criu-gate.so";

    /// <summary>Spares CRIU its children; see native/criu-quick.c.</summary>
    public string Quick { get; init; } = "/usr/lib/evacuator/criu-quick.so";

    /// <summary>A small process to be dumped; see native/dump-trial.c.</summary>
    public string TrialProgram { get; init; } = "/usr/lib/evacuator/dump-trial";

    public static string DumpUnit(Guid id) => $"evacuator-dump-{id:N}";

    public static string RestoreUnit(Guid id) => $"evacuator-restore-{id:N}";
}
