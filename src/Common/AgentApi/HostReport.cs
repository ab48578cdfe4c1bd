namespace Evacuator.Common.AgentApi;

/// <summary>What a node can do and how much room it has, as the agent finds it at this moment.</summary>
public sealed record HostReport
{
    /// <summary>Name of the node in the fleet.</summary>
    public required string Node { get; init; }

    /// <summary>/proc/sys/kernel/random/boot_id: tells a restart of the agent from a reboot of the host.</summary>
    public required string BootId { get; init; }

    public required string AgentVersion { get; init; }

    /// <summary>Version of the protocol between agents.</summary>
    public required int ProtocolVersion { get; init; }

    public required string Kernel { get; init; }

    /// <summary>Bytes.</summary>
    public required long MemoryTotal { get; init; }

    /// <summary>Bytes that could be given to containers now: MemAvailable less what is reserved for moves under way.</summary>
    public required long MemoryAvailable { get; init; }

    /// <summary>Bytes promised to inbound moves and not used by them yet.</summary>
    public required long MemoryReserved { get; init; }

    /// <summary>Bytes free where bundles are kept.</summary>
    public required long DiskAvailable { get; init; }

    public required int Cpus { get; init; }

    public required double LoadAverage { get; init; }

    /// <summary>False while the node is being emptied: it accepts no container.</summary>
    public required bool InboundOpen { get; init; }

    /// <summary>Instruction sets that programs may use (flags of /proc/cpuinfo); null from an agent that does not tell.</summary>
    public IReadOnlyList<string>? CpuFeatures { get; init; }

    /// <summary>Bundles of containers that have left and whose files are still here, set aside: coming back, only the difference travels.</summary>
    public IReadOnlyList<string> KeptBundles { get; init; } = [];

    /// <summary>How CRIU is kept from memory that travels ahead of it; null from an agent that does not tell.</summary>
    public DumpReport? Dump { get; init; }

    /// <summary>Of the signed list of nodes that the agent has; null when it has none.</summary>
    public long? FleetNumber { get; init; }

    /// <summary>When the agent's own certificate ends; null from an agent that does not tell.</summary>
    public DateTimeOffset? CertificateUntil { get; init; }

    /// <summary>Fingerprint of the authority that has issued it; null from an agent that does not tell.</summary>
    public string? CertificateBy { get; init; }

    /// <summary>Fingerprints of the authorities that the agent trusts, newest first; null from an agent that does not tell.</summary>
    public IReadOnlyList<string>? Authorities { get; init; }

    /// <summary>Connections between agents that began with a certificate of another authority than the newest: moves that are under way.</summary>
    public int OldConnections { get; init; }

    /// <summary>What a move needs from the host, each with what was found and what to do if it is missing.</summary>
    public required IReadOnlyList<Requirement> Requirements { get; init; }
}

/// <summary>One thing a move needs from the host.</summary>
/// <param name="Name">criu, runc, PAGEMAP_SCAN, …</param>
/// <param name="Met">whether the host has it</param>
/// <param name="Found">what was found: a version, or the error</param>
/// <param name="Remedy">what to install or change; empty when met</param>
/// <param name="Code">the blocker that follows when it is not met</param>
public sealed record Requirement(string Name, bool Met, string Found, string Remedy, BlockerCode Code);
