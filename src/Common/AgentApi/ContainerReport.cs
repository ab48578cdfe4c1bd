namespace Evacuator.Common.AgentApi;

/// <summary>A container on this node and what decides whether and where it can move.</summary>
public sealed record ContainerReport
{
    public required string Name { get; init; }

    /// <summary>runc, …</summary>
    public required string Runtime { get; init; }

    /// <summary>As the runtime says: running, paused, stopped, created.</summary>
    public required string State { get; init; }

    /// <summary>Process id of the container's first process, in the host's pid namespace.</summary>
    public required int Pid { get; init; }

    public required string Bundle { get; init; }

    public required string Rootfs { get; init; }

    /// <summary>Bytes of memory its processes hold (sum of proportional set sizes).</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>Bytes its bundle and writable mounts take on disk.</summary>
    public required long DiskBytes { get; init; }

    /// <summary>Processors it keeps busy, on average since it was looked at before (or since it started); 0: idle, or not told.</summary>
    public double CpuCores { get; init; }

    public required int Processes { get; init; }

    public required int Threads { get; init; }

    /// <summary>Addresses with prefix length, e.g. 10.0.0.7/24; loopback and link-local left out.</summary>
    public required IReadOnlyList<string> Addresses { get; init; }

    /// <summary>Hardware addresses of its network interfaces.</summary>
    public required IReadOnlyList<string> Macs { get; init; }

    /// <summary>Bridges of the host that its interfaces hang on.</summary>
    public required IReadOnlyList<string> Bridges { get; init; }

    /// <summary>OCI annotations of the container.</summary>
    public required IReadOnlyDictionary<string, string> Annotations { get; init; }

    /// <summary>Reasons why it cannot move at all; empty when it can.</summary>
    public required IReadOnlyList<Blocker> Blockers { get; init; }
}
