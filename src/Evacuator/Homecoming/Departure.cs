using System.Text.Json.Serialization;
using Evacuator.Journal;

namespace Evacuator.Homecoming;

/// <summary>One container that leaves for one node because somebody asked for it: its home, or this node itself to make room.</summary>
internal sealed record Departure
{
    /// <summary>Chosen by whoever asked; the same one again is the same departure.</summary>
    public required Guid Id { get; init; }

    /// <summary>The node that asked, by its certificate; this node's own name when it makes room.</summary>
    public required string RequestedBy { get; init; }

    /// <summary>Boot of the host in which it began.</summary>
    public required string BootId { get; init; }

    public required DateTimeOffset Requested { get; init; }

    public bool Cancelling { get; init; }

    public required MoveState Move { get; init; }

    [JsonIgnore]
    public bool Ended => Move.Phase.IsEnd();
}
