using System.Collections.Immutable;
using Evacuator.Redfish.Health.Messages;
using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Health;

/// <summary>
/// Follows signals over readings and events. Pure: state and clock value in, state out. A signal goes only when readings that could tell do not show it any more;
/// silence, a failed reading or an area in doubt leave it where it is.
/// </summary>
public static class SignalTracker
{
    private const string CounterMark = "#counter";

    public static TrackerStep Apply(TrackerState state, HealthReading reading, TrackerOptions options, DateTimeOffset now)
    {
        List<SignalChange> changes = [];
        ImmutableDictionary<string, TrackedSignal>.Builder signals = state.Signals.ToBuilder();
        HashSet<string> seen = [];
        foreach (Signal signal in reading.Signals)
        {
            // The same part may be known by an event under its URI before a reading knows it by serial number.
            string? announced = signals.Where(pair => pair.Value.IsOnlyAnnounced && IsSame(pair.Value.Signal, signal)).Select(pair => pair.Key).FirstOrDefault();
            seen.Add(signal.Key);
            TrackedSignal? before = signals.GetValueOrDefault(signal.Key) ?? (announced is null ? null : signals[announced]);
            if (announced is not null && announced != signal.Key)
                signals.Remove(announced);
            signals[signal.Key] = Seen(before, signal, now, changes);
        }
        ImmutableDictionary<string, double> counters = Count(state.Counters, reading, signals, seen, now, changes);
        foreach (TrackedSignal tracked in signals.Values.Where(each => !seen.Contains(each.Signal.Key)).ToList())
            NotSeen(signals, tracked, reading, options, now, changes);
        TrackerState after = new(signals.ToImmutable(), counters, reading.Covered is null ? now : state.LastReading, reading.KnowsEssentials ? now : state.LastComplete);
        return new TrackerStep(after, changes, false);
    }

    public static TrackerStep Apply(TrackerState state, HealthMessage message, TrackerOptions options, DateTimeOffset now)
    {
        MessageMeaning meaning = MessageTable.Classify(message.MessageId, message.Text);
        return meaning.Effect switch
        {
            MessageEffect.Raises => Raise(state, message, meaning, options, now),
            MessageEffect.Clears => CallOff(state, message, meaning),
            MessageEffect.Ignored => new TrackerStep(state, [], false),
            _ => new TrackerStep(state, [], true),
        };
    }

    private static TrackedSignal Seen(TrackedSignal? before, Signal signal, DateTimeOffset now, List<SignalChange> changes)
    {
        Signal current = signal with { FirstSeen = before?.Signal.FirstSeen ?? now, LastSeen = now, MessageId = signal.MessageId ?? before?.Signal.MessageId };
        TrackedSignal after = new(current, (before?.Reads ?? 0) + 1, before?.Events ?? 0, before?.LastEvent, 0, false);
        if (before is null || before.IsOnlyAnnounced)
            changes.Add(new SignalChange(SignalChangeKind.Appeared, after, before is null ? "a reading shows it" : "a reading shows what was announced"));
        else if (signal.Severity > before.Signal.Severity)
            changes.Add(new SignalChange(SignalChangeKind.Worsened, after, $"{before.Signal.Severity} became {signal.Severity}"));
        return after;
    }

    private static void NotSeen(ImmutableDictionary<string, TrackedSignal>.Builder signals, TrackedSignal tracked, HealthReading reading, TrackerOptions options,
        DateTimeOffset now, List<SignalChange> changes)
    {
        bool hasState = !tracked.IsOnlyAnnounced && !IsCounted(tracked);
        if (!hasState && now - tracked.Signal.LastSeen >= options.AnnouncedHold)
        {
            Clear(signals, tracked, $"not repeated for {options.AnnouncedHold}", changes);
            return;
        }
        // What no property ever showed is not refuted by a property that does not show it, unless the service has called it off.
        if (!CanTell(reading, tracked.Signal) || !hasState && !tracked.IsCalledOff)
            return;
        TrackedSignal after = tracked with { CleanReads = tracked.CleanReads + 1 };
        if (after.CleanReads >= (after.IsCalledOff ? 1 : options.CleanReadsToClear))
            Clear(signals, after, after.IsCalledOff ? "a message called it off, and a reading agrees" : $"{after.CleanReads} readings in a row do not show it", changes);
        else
            signals[tracked.Signal.Key] = after;
    }

    private static void Clear(ImmutableDictionary<string, TrackedSignal>.Builder signals, TrackedSignal tracked, string why, List<SignalChange> changes)
    {
        signals.Remove(tracked.Signal.Key);
        changes.Add(new SignalChange(SignalChangeKind.Cleared, tracked, why));
    }

    // The absence of a signal says something only where its area was read without doubt, its resource was read, and its part, if it is still there, says how it is.
    private static bool CanTell(HealthReading reading, Signal signal)
    {
        if (reading[signal.Area].State != AreaState.Known)
            return false;
        string[] uris = [signal.Part, signal.Evidence, .. signal.AlsoAt];
        if (reading.Covered is { } covered && !covered.Contains(RedfishUri.Key(signal.Part)))
            return false;
        if (uris.Any(uri => reading.Unread.Contains(RedfishUri.Key(uri))))
            return false;
        ComponentReading? part = reading.Components.FirstOrDefault(each => each.Evidence == signal.Part);
        return part is null || !part.Counts || part.Health != SignalSeverity.None;
    }

    private static bool IsCounted(TrackedSignal tracked) => tracked.Signal.Part.EndsWith(CounterMark, StringComparison.Ordinal);

    // A count that grows shows one moment, not a state: the signal is held like an announced one.
    private static ImmutableDictionary<string, double> Count(ImmutableDictionary<string, double> before, HealthReading reading,
        ImmutableDictionary<string, TrackedSignal>.Builder signals, HashSet<string> seen, DateTimeOffset now, List<SignalChange> changes)
    {
        ImmutableDictionary<string, double>.Builder counters = before.ToBuilder();
        foreach (ErrorCounter counter in reading.Counters)
        {
            string key = $"{counter.Evidence}|{counter.Name}";
            bool grew = before.TryGetValue(key, out double last) && counter.Value > last;
            counters[key] = counter.Value;
            if (!grew || !counter.Uncorrectable)
                continue;
            Signal signal = new(counter.Part.Kind, counter.Part.Name, counter.Part.Location, SignalKind.UncorrectableError, SignalSeverity.Critical, false, counter.Part.State,
                counter.Evidence, null, $"{counter.Name} grew from {last:0} to {counter.Value:0}", now, now)
            {
                Area = HealthAreas.Of(counter.Part.Kind),
                Part = counter.Part.Evidence + CounterMark,
                Identity = counter.Part.Evidence + CounterMark,
            };
            if (seen.Add(signal.Key))
                signals[signal.Key] = Seen(signals.GetValueOrDefault(signal.Key), signal, now, changes);
        }
        return counters.ToImmutable();
    }

    private static TrackerStep Raise(TrackerState state, HealthMessage message, MessageMeaning meaning, TrackerOptions options, DateTimeOffset now)
    {
        TrackedSignal[] known = [.. state.Signals.Values.Where(tracked => IsAbout(tracked, message, meaning) && Covers(meaning, tracked.Signal.Kind))];
        if (known.Length > 0)
        {
            ImmutableDictionary<string, TrackedSignal>.Builder confirmed = state.Signals.ToBuilder();
            foreach (TrackedSignal tracked in known)
                confirmed[tracked.Signal.Key] = Confirmed(tracked, options, now);
            return new TrackerStep(state with { Signals = confirmed.ToImmutable() }, [], true);
        }
        if (state.Signals.Values.Count(tracked => tracked.IsOnlyAnnounced) >= options.MaxAnnounced)
            return new TrackerStep(state, [], true);
        Signal signal = Announce(message, meaning, now);
        TrackedSignal announced = new(signal, 0, 1, now, 0, false);
        return new TrackerStep(state with { Signals = state.Signals.SetItem(signal.Key, announced) },
            [new SignalChange(SignalChangeKind.Appeared, announced, "a message announces it; a reading has to show it")], true);
    }

    private static TrackedSignal Confirmed(TrackedSignal tracked, TrackerOptions options, DateTimeOffset now)
    {
        bool isNew = tracked.LastEvent is not { } last || now - last >= options.EventSpacing;
        return tracked with
        {
            Signal = tracked.Signal with { LastSeen = now },
            Events = isNew ? tracked.Events + 1 : tracked.Events,
            LastEvent = isNew ? now : tracked.LastEvent,
            IsCalledOff = false,
        };
    }

    private static Signal Announce(HealthMessage message, MessageMeaning meaning, DateTimeOffset now)
    {
        string evidence = message.Origin ?? $"message:{meaning.Key}/{message.Place}";
        ComponentLocation location = ComponentLocation.Nowhere with { Place = message.Place };
        return new Signal(meaning.Component, message.Place ?? meaning.Component.ToString(), location, meaning.Kind, meaning.Severity, meaning.Predicted, null,
            evidence, message.MessageId, message.Text ?? meaning.Key.ToString(), now, now)
        {
            Area = HealthAreas.Of(meaning.Component),
            Part = message.Origin is { } origin ? $"{origin}#{message.Place}" : evidence,
            Identity = $"{evidence}#{message.Place}",
        };
    }

    private static TrackerStep CallOff(TrackerState state, HealthMessage message, MessageMeaning meaning)
    {
        List<SignalChange> changes = [];
        ImmutableDictionary<string, TrackedSignal>.Builder signals = state.Signals.ToBuilder();
        foreach (TrackedSignal tracked in state.Signals.Values.Where(each => IsAbout(each, message, meaning) && Covers(meaning, each.Signal.Kind)))
            if (tracked.IsOnlyAnnounced)
                Clear(signals, tracked, $"{message.MessageId} called it off", changes);
            else
                signals[tracked.Signal.Key] = tracked with { IsCalledOff = true };
        return new TrackerStep(state with { Signals = signals.ToImmutable() }, changes, true);
    }

    private static bool Covers(MessageMeaning meaning, SignalKind kind) => meaning.Kinds.Count == 0 || meaning.Kinds.Contains(kind);

    // By its origin where it has one that is a part; else by kind of part and the name in the first argument.
    private static bool IsAbout(TrackedSignal tracked, HealthMessage message, MessageMeaning meaning)
    {
        Signal signal = tracked.Signal;
        bool isNamed = message.Place is { } place && (IsSameText(place, signal.Name) || IsSameText(place, signal.Location.Place));
        // Some services give the system as the origin of everything: then the argument tells what was announced apart.
        if (tracked.IsOnlyAnnounced && message.Place is not null && signal.Location.Place is not null && !isNamed)
            return false;
        if (message.Origin is { } origin && new[] { signal.Part, signal.Evidence }.Concat(signal.AlsoAt).Any(uri => IsSameUri(uri, origin)))
            return true;
        return isNamed && meaning.Component != ComponentKind.Unknown && meaning.Component == signal.Component;
    }

    private static bool IsSameText(string left, string? right) => left.Equals(right, StringComparison.OrdinalIgnoreCase);

    private static bool IsSame(Signal announced, Signal read) => announced.Kind == read.Kind
        && (new[] { read.Part, read.Evidence }.Concat(read.AlsoAt).Any(uri => IsSameUri(uri, announced.Evidence))
            || announced.Component == read.Component && announced.Location.Place is { } place
                && (place.Equals(read.Name, StringComparison.OrdinalIgnoreCase) || place.Equals(read.Location.Place, StringComparison.OrdinalIgnoreCase)));

    private static bool IsSameUri(string left, string right) =>
        left.TrimEnd('/').Replace("#/", "#", StringComparison.Ordinal).Equals(right.TrimEnd('/').Replace("#/", "#", StringComparison.Ordinal), StringComparison.OrdinalIgnoreCase);
}
