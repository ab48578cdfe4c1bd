namespace Evacuator.Redfish.Events;

/// <summary>How word of events comes in.</summary>
public enum ListenMode
{
    None = 0,
    Sse = 1,
    Push = 2,
    Poll = 3,
}

public enum BmcEventKind
{
    Unset = 0,

    /// <summary>Something happened; <see cref="BmcEvent.Record"/> says what.</summary>
    Record = 1,

    /// <summary>Something may have happened that nobody can name: the listening began or was interrupted, or more came than can be told. Read everything.</summary>
    Resync = 2,
}

/// <summary>
/// What the listener hands on. It is a reason to read, never a finding: health is what the resources say.
/// </summary>
public sealed record BmcEvent
{
    public required BmcEventKind Kind { get; init; }

    /// <summary>When it came, by our clock.</summary>
    public required DateTimeOffset ReceivedAt { get; init; }

    public required ListenMode Via { get; init; }

    /// <summary>The event; null for a resync.</summary>
    public EventRecord? Record { get; init; }

    /// <summary>How many like it came before it was taken; 1 or more.</summary>
    public int Count { get; init; } = 1;

    /// <summary>Resources to read again; empty when it names none, or everything is to be read.</summary>
    public IReadOnlyList<string> Touched { get; init; } = [];

    /// <summary>Why, for people.</summary>
    public string Reason { get; init; } = "";
}

/// <summary>How the listening itself stands. "Cannot tell" is a state: silence is health only while <see cref="Hearing"/>.</summary>
/// <param name="Mode">How events come in.</param>
/// <param name="Reason">Why this way and not a better one.</param>
/// <param name="Hearing">Whether an event that happened now would be heard.</param>
/// <param name="Since">Since when <paramref name="Hearing"/> is what it is; while not hearing, the last moment that was certain.</param>
/// <param name="LastEvent">When the last event came, by our clock.</param>
/// <param name="Problem">Why nothing would be heard; null while hearing.</param>
public sealed record ListeningState(ListenMode Mode, string Reason, bool Hearing, DateTimeOffset Since, DateTimeOffset? LastEvent, string? Problem);
