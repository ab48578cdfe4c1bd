using System.Text.Json.Serialization;
using Evacuator.Common.AgentApi;

namespace Evacuator.NodeAgent.Journal;

/// <summary>All that a restarted agent must know of a move that leaves this node.</summary>
internal sealed record SourceRecord
{
    public required MoveRequest Request { get; init; }

    public required SourcePhase Phase { get; init; }

    /// <summary>Boot in which the container was last seen here: after a reboot there is nothing to thaw.</summary>
    public required string BootId { get; init; }

    /// <summary>The container as it was described to the destination (ContainerDescription as JSON); null until described.</summary>
    public string? Description { get; init; }

    /// <summary>Of the description, by itself: asked for often. Null until described.</summary>
    public string? Bundle { get; init; }

    /// <summary>It was stopped by us, or was about to be: undoing the move means to start it again.</summary>
    public bool Stopped { get; init; }

    public string Detail { get; init; } = "";

    public Blocker? Blocker { get; init; }

    public required DateTimeOffset Started { get; init; }

    public required DateTimeOffset Updated { get; init; }

    public long BytesSent { get; init; }

    public int Rounds { get; init; }

    public double? FreezeMs { get; init; }

    /// <summary>By the wall clock, when it was about to stand still; null before, and in journals of older versions. For a later life of the agent, which has no clock that ran on.</summary>
    public DateTimeOffset? FreezeBegan { get; init; }

    public IReadOnlyDictionary<string, double> FreezeParts { get; init; } = new Dictionary<string, double>();

    /// <summary>Memory of it was left here when it was released: until the destination has fetched it, the frozen copy is the only one.</summary>
    public bool Away { get; init; }

    public MoveRung Rung { get; init; }

    public string RungReason { get; init; } = "";

    public FetchReport? Fetch { get; init; }

    /// <summary>How CRIU is kept from memory that was sent ahead, and why not in a better way.</summary>
    public DumpRung Dump { get; init; }

    /// <inheritdoc cref="Dump"/>
    public string DumpReason { get; init; } = "";

    public MoveReport ToReport() => new()
    {
        MoveId = Request.MoveId,
        EvacuationId = Request.EvacuationId,
        Container = Request.Container,
        Destination = Request.DestinationNode,
        Phase = Phase,
        Detail = Detail,
        Blocker = Blocker,
        Started = Started,
        Updated = Updated,
        BytesSent = BytesSent,
        Rounds = Rounds,
        FreezeMs = FreezeMs,
        FreezeParts = FreezeParts,
        Rung = Rung,
        RungReason = RungReason,
        Fetch = Fetch,
        Dump = Dump,
        DumpReason = DumpReason,
    };
}

/// <summary>All that a restarted agent must know of a move that arrives at this node.</summary>
internal sealed record DestinationRecord
{
    public required Guid MoveId { get; init; }

    /// <summary>SHA-256 of the one-time token, hex: the journal is no place for secrets.</summary>
    public required string TokenHash { get; init; }

    public required string SourceNode { get; init; }

    public required string Container { get; init; }

    public required long MemoryBytes { get; init; }

    /// <summary>Of its files, as announced.</summary>
    public long DiskBytes { get; init; }

    public required int LeaseSeconds { get; init; }

    public required DestinationPhase Phase { get; init; }

    public required string BootId { get; init; }

    /// <summary>ContainerDescription as JSON; null until offered.</summary>
    public string? Description { get; init; }

    public string Detail { get; init; } = "";

    /// <summary>Nothing of it runs anywhere when it is released: it is started anew, from its files.</summary>
    public bool Stopped { get; init; }

    /// <summary>Memory arrives ahead of the images and is filled in after the restore.</summary>
    public bool Engine { get; init; }

    /// <summary>Processes whose pages systemd kept when it was Ready, and how many pages: a restarted agent restores only if it has all of them.</summary>
    public int KeptProcesses { get; init; }

    /// <inheritdoc cref="KeptProcesses"/>
    public long KeptPages { get; init; }

    /// <summary>Pages that were at the source alone when it was Ready (post-copy).</summary>
    public long AwayPages { get; init; }

    /// <summary>What came of those pages, once none is away any more; null before. Only then may the source remove its copy.</summary>
    public FetchReport? Fetched { get; init; }

    /// <summary>The frozen copy at the source is needed still.</summary>
    [JsonIgnore]
    public bool Fetches => AwayPages > 0 && Fetched is null;

    /// <summary>The source knows that it runs here and may have removed its own, so what happens from now on is this node's own affair.</summary>
    public bool SourceKnows { get; init; }

    /// <summary>Nothing can happen to it any more, here or at its source.</summary>
    [JsonIgnore]
    public bool Over => Phase == DestinationPhase.Failed || (Phase == DestinationPhase.Running && SourceKnows);

    /// <summary>Parts of the resume in milliseconds.</summary>
    public IReadOnlyDictionary<string, double> Parts { get; init; } = new Dictionary<string, double>();

    public required DateTimeOffset Updated { get; init; }
}
