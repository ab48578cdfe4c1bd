namespace Evacuator.Homecoming;

/// <summary>A container that came here from elsewhere, as this node's journal keeps it.</summary>
internal sealed record Guest
{
    public required string Container { get; init; }

    /// <summary>The node it belongs to: where it was before the first move, however many there have been since.</summary>
    public required string Home { get; init; }

    /// <summary>The node that sent it here, the last of those moves.</summary>
    public required string From { get; init; }

    /// <summary>The move it came by. Until the agent says that it runs, this is only an announcement.</summary>
    public required Guid MoveId { get; init; }

    public required DateTimeOffset Announced { get; init; }

    public bool Arrived { get; init; }

    /// <summary>It has moved on, or never came. The row stays: a journal that came back from memory would bring a deleted one back.</summary>
    public bool Left { get; init; }
}
