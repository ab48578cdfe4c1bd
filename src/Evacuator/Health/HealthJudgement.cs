using Evacuator.Redfish.Health;

namespace Evacuator.Health;

/// <summary>A signal and what is known of it over time.</summary>
/// <param name="Reads">reads that showed it</param>
/// <param name="Events">events that said so, storms counted once</param>
/// <param name="FirstSeen">by our clock; also of an earlier time, if it was gone for less than [signals] settle since</param>
/// <param name="ShownNow">whether the last read that could tell showed it</param>
/// <param name="CalledOff">a message has said since that it is over</param>
internal sealed record KnownSignal(Signal Signal, int Reads, int Events, DateTimeOffset FirstSeen, bool ShownNow, bool CalledOff)
{
    public static KnownSignal Of(TrackedSignal tracked, DateTimeOffset firstSeen) =>
        new(tracked.Signal, tracked.Reads, tracked.Events, firstSeen, tracked is { Reads: > 0, CleanReads: 0 }, tracked.IsCalledOff);
}

/// <summary>A signal that is not shown any more, and not over yet.</summary>
internal sealed record GoneSignal(string Key, string Text, DateTimeOffset FirstSeen, DateTimeOffset GoneSince);

/// <summary>Whether enough could be read to call the absence of signals health.</summary>
/// <param name="Problem">why not; empty when it could</param>
/// <param name="KnownAt">when enough could be read last; null if never</param>
internal sealed record HealthKnowledge(bool CanTell, string Problem, DateTimeOffset? KnownAt);

/// <summary>All that a verdict depends on.</summary>
internal sealed record HealthFacts
{
    public required HealthKnowledge Knowledge { get; init; }

    public required IReadOnlyList<KnownSignal> Signals { get; init; }

    public IReadOnlyList<GoneSignal> Gone { get; init; } = [];

    /// <summary>Every part that was found, to know whether one is the last that works.</summary>
    public IReadOnlyList<ComponentReading> Parts { get; init; } = [];

    /// <summary>Between the two reads that confirm a signal.</summary>
    public TimeSpan ConfirmAfter { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>How long a signal has to be gone before it is over.</summary>
    public TimeSpan Settle { get; init; } = TimeSpan.FromMinutes(15);

    public DateTimeOffset Now { get; init; }
}

/// <summary>What one signal means, and why.</summary>
/// <param name="Verdict">what it means now; below what its rule says as long as it is not confirmed</param>
/// <param name="Why">for people: the rule, and what is missing for it to hold</param>
/// <param name="ConfirmAt">when another read would confirm it; null if a read cannot, or it is</param>
internal sealed record SignalJudgement(KnownSignal Known, SignalRule Rule, SignalStage Stage, Verdict Verdict, string Why, DateTimeOffset? ConfirmAt);

/// <summary>What all signals mean together.</summary>
/// <param name="Signals">the gravest first</param>
/// <param name="Gone">those that are fading</param>
/// <param name="Why">one line for people</param>
internal sealed record HealthJudgement(Verdict Verdict, IReadOnlyList<SignalJudgement> Signals, IReadOnlyList<GoneSignal> Gone, string Why);
