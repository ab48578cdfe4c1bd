using System.Text.Json.Serialization;
using Evacuator.Common.AgentApi;

namespace Evacuator.Journal;

/// <summary>Where the move of one container stands, as the brain sees it. Numbers are in the journal and are never reused.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<MovePhase>))]
internal enum MovePhase
{
    None = 0,

    /// <summary>Has a destination and waits for its turn.</summary>
    Planned = 1,

    /// <summary>The destination is being asked to reserve room.</summary>
    Reserving = 2,

    /// <summary>Reserved; the own agent is being told to move it, or has been.</summary>
    Moving = 3,

    /// <summary>End: it runs at the destination.</summary>
    Moved = 4,

    /// <summary>End: it was tried and it runs here as before.</summary>
    Stayed = 5,

    /// <summary>End: it was not tried, for the reasons in its blockers; it runs here as before.</summary>
    Blocked = 6,

    /// <summary>End: the evacuation was cancelled before its turn came, or while it could still be undone.</summary>
    Cancelled = 7,

    /// <summary>End: neither this node nor the destination can say that it runs there. A person has to look.</summary>
    Unknown = 8,

    /// <summary>End: it ended by itself before its move began.</summary>
    Gone = 9,
}

internal static class MovePhases
{
    public static bool IsEnd(this MovePhase phase) =>
        phase is MovePhase.Moved or MovePhase.Stayed or MovePhase.Blocked or MovePhase.Cancelled or MovePhase.Unknown or MovePhase.Gone;

    /// <summary>True if the container may still be on this node after the move has ended.</summary>
    public static bool IsLeftHere(this MovePhase phase) =>
        phase is MovePhase.Stayed or MovePhase.Blocked or MovePhase.Cancelled or MovePhase.Unknown;
}
