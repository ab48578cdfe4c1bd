using Evacuator.Common.AgentApi;

namespace Evacuator.Evacuation;

/// <summary>What the last rehearsal of a container showed.</summary>
internal sealed record RehearsalState
{
    public required string Container { get; init; }

    public required DateTimeOffset At { get; init; }

    /// <summary>It could move live now, as far as this host can tell.</summary>
    public required bool CanMove { get; init; }

    /// <summary>Why not; empty when it can.</summary>
    public required string Reason { get; init; }

    public Blocker? Blocker { get; init; }

    /// <summary>How long it stood still, in milliseconds: the source's part of a freeze, without the restore at a peer. Null when it was not frozen.</summary>
    public double? FreezeMs { get; init; }

    public IReadOnlyDictionary<string, double> FreezeParts { get; init; } = new Dictionary<string, double>();

    public required long MemoryBytes { get; init; }

    /// <summary>When it could move for the last time; null: never since it is rehearsed.</summary>
    public DateTimeOffset? LastAble { get; init; }
}
