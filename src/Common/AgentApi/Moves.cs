using System.Text.Json.Serialization;

namespace Evacuator.Common.AgentApi;

/// <summary>A brain asks its own agent to move a container away. POST /v1/moves; the same id twice is one move.</summary>
public sealed record MoveRequest
{
    public required Guid MoveId { get; init; }

    public required Guid EvacuationId { get; init; }

    public required string Container { get; init; }

    public required string DestinationNode { get; init; }

    /// <summary>host or host:port of the destination's agent.</summary>
    public required string DestinationAddress { get; init; }

    /// <summary>The token that the destination's brain got its agent to accept.</summary>
    public required string Token { get; init; }

    /// <summary>Longest time the container may stand still, in milliseconds; past it, before release, it is thawed and stays.</summary>
    public required int FreezeBudgetMs { get; init; }

    /// <summary>Live unless the container's owner permits more.</summary>
    public MoveMode Mode { get; init; } = MoveMode.Live;
}

/// <summary>How a container changes its host. Numbers are in the journal and are never reused.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<MoveMode>))]
public enum MoveMode
{
    None = 0,

    /// <summary>Its processes go with it.</summary>
    Live = 1,

    /// <summary>It is stopped here, its files travel, and it is started there: its processes and connections end.</summary>
    StopAndStart = 2,

    /// <summary>Not at all: everything up to the dump is done as if it went live, and undone. Shows whether it could go, and how long it would stand still.</summary>
    Rehearsal = 3,
}

/// <summary>Where a move stands, at the source. The names are part of the JSON interface and of the journal; numbers are never reused.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<SourcePhase>))]
public enum SourcePhase
{
    None = 0,

    /// <summary>Accepted, nothing done yet.</summary>
    Accepted = 1,

    /// <summary>Files and memory travel while the container runs.</summary>
    Copying = 2,

    /// <summary>About to be frozen, or frozen; the source may still abort alone.</summary>
    Freezing = 3,

    /// <summary>The right to run the container has been given up; only the destination's answer decides now.</summary>
    Released = 4,

    /// <summary>The destination runs it; the copy here is being removed.</summary>
    Removing = 5,

    /// <summary>End: it runs at the destination and nothing of it is left here.</summary>
    Moved = 6,

    /// <summary>Being undone: the container is thawed and its network put back.</summary>
    Reverting = 7,

    /// <summary>End: it runs here as before.</summary>
    Stayed = 8,

    /// <summary>It runs at the destination, and memory of it that only the frozen copy here has is being fetched (post-copy).</summary>
    Serving = 9,
}

/// <summary>How far down the ladder a move of a container went. Numbers are in the journal and are never reused.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<MoveRung>))]
public enum MoveRung
{
    None = 0,

    /// <summary>All of its memory was there before it was resumed.</summary>
    Live = 1,

    /// <summary>The same, and it was slowed down while it was copied.</summary>
    LiveSlowed = 2,

    /// <summary>It was resumed before all of its memory was there, and the rest was fetched from its frozen copy.</summary>
    PostCopy = 3,

    /// <summary>Stopped here and started there.</summary>
    Stopped = 4,
}

/// <summary>What a container fetched after it was resumed (post-copy), as its destination saw it.</summary>
/// <param name="Bytes">memory that stayed at the source when it was resumed</param>
/// <param name="BytesLeft">of these what is not there yet, nor given up by the container itself; 0 at the end</param>
/// <param name="Seconds">from the resume until all was there, or until now</param>
/// <param name="Waits">pages that a thread stood still for</param>
/// <param name="LongestWaitMs">the longest that one stood still, a cut of the link included; since the destination's agent was last started</param>
public sealed record FetchReport(long Bytes, long BytesLeft, double Seconds, long Waits, double LongestWaitMs);

/// <summary>Where a move stands, at the destination. Numbers are never reused.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<DestinationPhase>))]
public enum DestinationPhase
{
    None = 0,

    /// <summary>Announced by the own brain, room reserved.</summary>
    Announced = 1,

    /// <summary>Files, memory and images arrive.</summary>
    Receiving = 2,

    /// <summary>All is here and checked; it could be resumed.</summary>
    Ready = 3,

    /// <summary>Released by the source, being restored.</summary>
    Resuming = 4,

    /// <summary>End: it runs here.</summary>
    Running = 5,

    /// <summary>End: nothing of it runs here, nor will.</summary>
    Failed = 6,
}

/// <summary>A move as its source agent sees it. GET /v1/moves, GET /v1/moves/{id}.</summary>
public sealed record MoveReport
{
    public required Guid MoveId { get; init; }

    public required Guid EvacuationId { get; init; }

    public required string Container { get; init; }

    public required string Destination { get; init; }

    public required SourcePhase Phase { get; init; }

    /// <summary>True in the phases <see cref="SourcePhase.Moved"/> and <see cref="SourcePhase.Stayed"/>.</summary>
    public bool Ended => Phase is SourcePhase.Moved or SourcePhase.Stayed;

    /// <summary>Why it stayed, or what it waits for, since when and what happens next; empty when all goes well.</summary>
    public required string Detail { get; init; }

    /// <summary>Set when the move stayed for a reason known before anything was frozen.</summary>
    public Blocker? Blocker { get; init; }

    public required DateTimeOffset Started { get; init; }

    public required DateTimeOffset Updated { get; init; }

    /// <summary>Bytes of files and memory sent so far, also of the pass that is under way.</summary>
    public required long BytesSent { get; init; }

    /// <summary>Passes of copying that were begun while the container ran: first over its files, then, from 1 again, over its memory.</summary>
    public required int Rounds { get; init; }

    /// <summary>Milliseconds from freeze to resume, as far as both sides know them, or to the thaw of one that stayed; null before, and for one that never stood still.</summary>
    public double? FreezeMs { get; init; }

    /// <summary>How CRIU was kept from memory that had been sent ahead; none before that is known, and for one that is stopped and started.</summary>
    public DumpRung Dump { get; init; }

    /// <summary>Why no better one; empty if it is the best.</summary>
    public string DumpReason { get; init; } = "";

    /// <summary>The parts of the freeze in milliseconds: freeze, files, dump, send, ready, release, restore, network, …</summary>
    public required IReadOnlyDictionary<string, double> FreezeParts { get; init; }

    /// <summary>How it goes, or went; None until that is known.</summary>
    public MoveRung Rung { get; init; }

    /// <summary>Why it did not go simply live; empty if it did.</summary>
    public string RungReason { get; init; } = "";

    /// <summary>Of a container that was resumed before all of its memory was there; null otherwise.</summary>
    public FetchReport? Fetch { get; init; }
}

/// <summary>POST /v1/moves/{id}/gone: a person says that the destination's host is off for good.</summary>
/// <param name="Word">who says so and on what ground, one line for the report</param>
public sealed record PeerGoneRequest(string Word);

/// <summary>An inbound move as its destination agent sees it. GET /v1/inbound.</summary>
public sealed record InboundReport(
    Guid MoveId, string Container, string Source, DestinationPhase Phase, string Detail, long MemoryBytes, DateTimeOffset Updated);
