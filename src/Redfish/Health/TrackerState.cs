using System.Collections.Immutable;

namespace Evacuator.Redfish.Health;

/// <summary>How signals come and go.</summary>
public sealed record TrackerOptions
{
    public static TrackerOptions Default { get; } = new();

    /// <summary>Readings in a row that must be able to tell and must not show a signal before it is over.</summary>
    public int CleanReadsToClear { get; init; } = 2;

    /// <summary>How long a signal stays that no property shows: one that was only announced, or that a grown counter showed.</summary>
    public TimeSpan AnnouncedHold { get; init; } = TimeSpan.FromHours(24);

    /// <summary>Events about one signal closer together than this confirm it once: a storm is no more proof than its first event.</summary>
    public TimeSpan EventSpacing { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Announced signals held at once; beyond it events are not remembered.</summary>
    public int MaxAnnounced { get; init; } = 256;
}

/// <summary>A message that arrived by itself (SSE, push or a log), as far as it matters here.</summary>
/// <param name="MessageId">As sent.</param>
/// <param name="Text">As sent; used for codes at its head and for show, never to decide.</param>
/// <param name="Origin">OriginOfCondition; null when it has none.</param>
/// <param name="Place">The first argument, which often names the part.</param>
public sealed record HealthMessage(string? MessageId, string? Text, string? Origin, string? Place);

/// <summary>A signal over time.</summary>
/// <param name="Signal">As last seen; its FirstSeen and LastSeen span all readings and events, by our clock.</param>
/// <param name="Reads">Readings that showed it.</param>
/// <param name="Events">Events that said so, storms counted once.</param>
/// <param name="LastEvent">When the last event was counted.</param>
/// <param name="CleanReads">Readings in a row that could tell and did not show it.</param>
/// <param name="IsCalledOff">A message has said that it is over; one clean reading is then enough.</param>
public sealed record TrackedSignal(Signal Signal, int Reads, int Events, DateTimeOffset? LastEvent, int CleanReads, bool IsCalledOff)
{
    /// <summary>No reading has shown it: a message alone says so, and a message alone is never a ground to act.</summary>
    public bool IsOnlyAnnounced => Reads == 0;
}

/// <summary>What is known after some readings and events. Immutable; the empty one is the start.</summary>
/// <param name="Signals">By <see cref="Signal.Key"/>.</param>
/// <param name="Counters">The last value of each error counter.</param>
/// <param name="LastReading">When the last reading was taken; null before the first.</param>
/// <param name="LastComplete">When the last reading was taken that left nothing essential in doubt: the age of "cannot tell".</param>
public sealed record TrackerState(ImmutableDictionary<string, TrackedSignal> Signals, ImmutableDictionary<string, double> Counters,
    DateTimeOffset? LastReading, DateTimeOffset? LastComplete)
{
    public static TrackerState Empty { get; } = new(ImmutableDictionary<string, TrackedSignal>.Empty, ImmutableDictionary<string, double>.Empty, null, null);
}

/// <summary>What a step changed.</summary>
public enum SignalChangeKind
{
    Appeared,
    Worsened,
    Cleared,
}

/// <summary>One change, for the log and for the operator.</summary>
public sealed record SignalChange(SignalChangeKind Kind, TrackedSignal Signal, string Why);

/// <summary>The state after a step, and what the step changed.</summary>
/// <param name="NeedsRead">Whether the step was an event that asks for a reading.</param>
public sealed record TrackerStep(TrackerState State, IReadOnlyList<SignalChange> Changes, bool NeedsRead);
