using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Redfish.Health;
using Evacuator.Redfish.Resources;

namespace Evacuator.Health;

/// <summary>From signals and their history to a verdict. Pure: facts and rules in, judgement out.</summary>
internal static class HealthJudge
{
    /// <summary>The judgement of a host that is watched.</summary>
    public static HealthJudgement Judge(HealthFacts facts, SignalRules rules)
    {
        HashSet<string> troubled = TroubledUris(facts.Signals);
        List<SignalJudgement> signals =
        [
            .. facts.Signals.Select(known => One(known, facts, rules, troubled))
                .OrderByDescending(judged => judged.Verdict).ThenByDescending(judged => judged.Rule.Action).ThenBy(judged => judged.Known.Signal.Key, StringComparer.Ordinal),
        ];
        Verdict verdict = facts.Knowledge.CanTell ? Verdict.Ok : Verdict.Unknown;
        if (facts.Gone.Count > 0 && verdict < Verdict.Notify)
            verdict = Verdict.Notify;
        if (signals.Count > 0 && signals[0].Verdict > verdict)
            verdict = signals[0].Verdict;
        return new HealthJudgement(verdict, signals, facts.Gone, Why(verdict, signals, facts));
    }

    /// <summary>What the signals of a single read would mean once they are confirmed, for a look at a controller that is not watched.</summary>
    /// <param name="parts">every part that the read found; null if they are not known: then none counts as the last of its kind</param>
    /// <param name="canTell">whether the read left nothing that matters in doubt (<see cref="HealthReading.KnowsEssentials"/>)</param>
    public static HealthJudgement OfOneRead(IReadOnlyList<Signal> signals, IReadOnlyList<ComponentReading>? parts, bool canTell, string problem, SignalRules rules)
    {
        DateTimeOffset now = signals.Count > 0 ? signals.Max(signal => signal.LastSeen) : default;
        return Judge(
            new HealthFacts
            {
                Knowledge = new HealthKnowledge(canTell, problem, canTell ? now : null),
                // One read and one event: as if it had been confirmed.
                Signals = [.. signals.Select(signal => new KnownSignal(signal, 1, 1, signal.FirstSeen, true, false))],
                Parts = parts ?? [],
                Now = now,
            },
            rules);
    }

    /// <summary>"predicted-failure of memory DIMM A1 (socket 3): …"</summary>
    public static string Describe(Signal signal)
    {
        string place = signal.Location.Place is { Length: > 0 } known && known != signal.Name ? $" ({known})" : "";
        return $"{Words.Of(signal.Kind)} of {Words.Of(signal.Component)} {signal.Name}{place}: {signal.Text}";
    }

    private static SignalJudgement One(KnownSignal known, HealthFacts facts, SignalRules rules, HashSet<string> troubled)
    {
        SignalRule rule = rules.For(known.Signal, signal => IsLast(signal, facts.Parts, troubled));
        bool empties = rule.Action >= RuleAction.Evacuate;
        (SignalStage stage, string missing, DateTimeOffset? at) = Stage(known, facts, atOnce: rule.Action == RuleAction.Urgent);
        string says = $"rule {rule.Name}: {Words.Of(rule.Action)}";
        if (rule.Action == RuleAction.Ignore)
            return new SignalJudgement(known, rule, stage, Verdict.Ok, says, null);
        if (!empties)
            return new SignalJudgement(known, rule, stage, Verdict.Notify, says, null);
        return stage == SignalStage.Confirmed
            ? new SignalJudgement(known, rule, stage, VerdictOf(rule.Action), says, null)
            : new SignalJudgement(known, rule, stage, Verdict.Notify, $"{says}, {missing}", at);
    }

    private static Verdict VerdictOf(RuleAction action) => action switch
    {
        RuleAction.Evacuate => Verdict.Evacuate,
        RuleAction.EvacuateAndPowerOff => Verdict.EvacuateAndPowerOff,
        _ => Verdict.Urgent,
    };

    private static (SignalStage Stage, string Missing, DateTimeOffset? At) Stage(KnownSignal known, HealthFacts facts, bool atOnce)
    {
        if (known.CalledOff)
            return (SignalStage.Fading, "but the controller took it back", null);
        if (known.Reads == 0)
            return (SignalStage.Announced, "once a read shows it: so far only a message says so", null);
        if (!known.ShownNow)
            return (SignalStage.Fading, "but the last read did not show it", null);
        if (atOnce || facts.Signals.Any(other => other.Events > 0 && !other.CalledOff && SamePart(known.Signal, other.Signal)))
            return (SignalStage.Confirmed, "", null);
        DateTimeOffset at = known.Signal.FirstSeen + facts.ConfirmAfter;
        if (known.Reads >= 2 && known.Signal.LastSeen >= at)
            return (SignalStage.Confirmed, "", null);
        return (SignalStage.Unconfirmed, $"once it is confirmed: by another read {Duration.Format(facts.ConfirmAfter)} after the first, or by an event", at);
    }

    /// <summary>
    /// An event and a read need not call the same thing by the same name: a log says "limit reached", the metrics "alarm trip", and both are about one module.
    /// </summary>
    private static bool SamePart(Signal left, Signal right) => ReferenceEquals(left, right) || left.Key == right.Key
        || left.Component == right.Component && Uris(left).Intersect(Uris(right)).Any();

    private static IEnumerable<string> Uris(Signal signal) => new[] { signal.Part, signal.Evidence }.Concat(signal.AlsoAt).Select(Plain);

    /// <summary>An announced signal has the place as its fragment; an item of an array is told apart by its own.</summary>
    private static string Plain(string uri) => uri.Contains("#/", StringComparison.Ordinal) ? uri.TrimEnd('/').ToLowerInvariant() : RedfishUri.Key(uri);

    private static HashSet<string> TroubledUris(IReadOnlyList<KnownSignal> signals) =>
        [.. signals.Where(known => known.Reads > 0 && known.Signal.Kind != SignalKind.RedundancyLost && known.Signal.Severity != SignalSeverity.None)
            .SelectMany(known => new[] { known.Signal.Part, known.Signal.Evidence }.Concat(known.Signal.AlsoAt)).Select(Exact)];

    /// <summary>
    /// Whether no other part of the kind is there that could do the work. A part that says nothing of its health may well work; one with a signal of its own is not counted upon.
    /// </summary>
    private static bool IsLast(Signal signal, IReadOnlyList<ComponentReading> parts, HashSet<string> troubled)
    {
        List<ComponentReading> same = [.. parts.Where(part => part.Kind == signal.Component && part.Counts)];
        return same.Any(part => Exact(part.Evidence) == Exact(signal.Part))
            && !same.Any(part => part.Health < SignalSeverity.Warning && !troubled.Contains(Exact(part.Evidence)));
    }

    private static string Exact(string uri) => uri.Replace("#/", "#", StringComparison.Ordinal).TrimEnd('/').ToLowerInvariant();

    private static string Why(Verdict verdict, List<SignalJudgement> signals, HealthFacts facts)
    {
        List<SignalJudgement> decisive = [.. signals.Where(judged => judged.Verdict == verdict)];
        if (verdict >= Verdict.Notify && decisive.Count > 0)
            return $"{Describe(decisive[0].Known.Signal)}{(decisive.Count > 1 ? $" (and {decisive.Count - 1} more)" : "")}";
        return verdict switch
        {
            Verdict.Notify => $"not shown any more since {facts.Gone[0].GoneSince:u}: {facts.Gone[0].Text}",
            Verdict.Unknown => facts.Knowledge.Problem,
            _ => signals.Count > 0 ? "nothing is wrong but what the rules ignore" : "nothing is wrong",
        };
    }
}
