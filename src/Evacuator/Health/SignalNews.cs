using Evacuator.Redfish.Events;
using Evacuator.Redfish.Health;

namespace Evacuator.Health;

/// <summary>What the management controller says about this host's health, each time that it was read.</summary>
internal interface ISignalSource
{
    /// <summary>News until cancelled; the first as soon as anything is known, also that nothing can be.</summary>
    IAsyncEnumerable<SignalNews> WatchAsync(CancellationToken token);
}

/// <summary>All that is known after a read.</summary>
/// <param name="Knowledge">whether the last read left anything in doubt that matters: nothing follows from silence then</param>
/// <param name="PowerState">as read; null when not read</param>
/// <param name="Signals">what is open, also what was only announced</param>
internal sealed record SignalNews(HealthKnowledge Knowledge, string? PowerState, IReadOnlyList<TrackedSignal> Signals)
{
    /// <summary>Every part that was found.</summary>
    public IReadOnlyList<ComponentReading> Parts { get; init; } = [];

    /// <summary>How events come in; null when nothing listens.</summary>
    public ListeningState? Listening { get; init; }

    /// <summary>Until when this counts as known if nothing else comes: the source may hang in a controller that answers a byte a minute.</summary>
    public DateTimeOffset FreshUntil { get; init; } = DateTimeOffset.MaxValue;

    /// <summary>What was odd, for a person.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];
}
