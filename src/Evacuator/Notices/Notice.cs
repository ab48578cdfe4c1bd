using System.Text.Json.Serialization;
using Evacuator.Common.AgentApi;

namespace Evacuator.Notices;

/// <summary>What a notice is about. The words are part of the interface, the numbers of the journal; neither is ever reused.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<NoticeKind>))]
internal enum NoticeKind
{
    None = 0,

    /// <summary>An evacuation has begun.</summary>
    Started = 1,

    /// <summary>A container cannot move, or the whole plan was refused.</summary>
    Blocked = 2,

    /// <summary>A container was tried and stays where it was.</summary>
    Failed = 3,

    /// <summary>An evacuation has ended as asked for.</summary>
    Done = 4,

    /// <summary>A peer has seen the host off: it can be opened.</summary>
    SafeToPull = 5,

    /// <summary>Containers have come home.</summary>
    BackHome = 6,

    /// <summary>Nothing goes on before a person has looked.</summary>
    NeedsPerson = 7,

    /// <summary>A person has stopped it.</summary>
    Cancelled = 8,

    /// <summary>A maintenance window was left out, or did not come to its end.</summary>
    Window = 9,

    /// <summary>Asked for with "evacuator notices --test".</summary>
    Test = 10,

    /// <summary>A rehearsal has shown that a container which could move no longer can.</summary>
    CannotMove = 11,
}

/// <summary>One thing that somebody wants to be told. The same key is told once, over any number of restarts.</summary>
internal sealed record Notice
{
    public required string Key { get; init; }

    public required NoticeKind Kind { get; init; }

    public required DateTimeOffset At { get; init; }

    /// <summary>The node that tells it.</summary>
    public required string Node { get; init; }

    /// <summary>The node that it is about.</summary>
    public required string About { get; init; }

    /// <summary>Of the evacuation or homecoming.</summary>
    public Guid? Id { get; init; }

    public string? Container { get; init; }

    public string? Ticket { get; init; }

    /// <summary>Where the failing component sits; null where it is not known or does not matter.</summary>
    public string? Location { get; init; }

    /// <summary>Name or number of the failing part.</summary>
    public string? Part { get; init; }

    /// <summary>The part's own numbers, where the management controller tells them.</summary>
    public string? PartNumber { get; init; }

    public string? SerialNumber { get; init; }

    /// <summary>One line for a person.</summary>
    public required string Text { get; init; }
}

/// <summary>A notice and what became of it at each hook, as the journal keeps it.</summary>
internal sealed record NoticeEntry
{
    public required Notice Notice { get; init; }

    /// <summary>By name of the hook; one that is missing has nothing to deliver.</summary>
    public required IReadOnlyDictionary<string, Delivery> Deliveries { get; init; }
}

/// <param name="Attempts">so far</param>
/// <param name="Next">when it is tried again; null: delivered, or given up</param>
/// <param name="Delivered">it was taken</param>
/// <param name="Problem">of the last attempt; empty when it was taken</param>
internal sealed record Delivery(int Attempts, DateTimeOffset? Next, bool Delivered, string Problem);
