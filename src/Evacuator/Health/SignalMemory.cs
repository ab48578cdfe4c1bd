using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Redfish.Health;

namespace Evacuator.Health;

/// <summary>What is remembered of a signal over restarts and reboots.</summary>
/// <param name="FirstSeen">part of its identity</param>
/// <param name="GoneSince">since when reads do not show it; null while they do</param>
/// <param name="Text">for people</param>
/// <param name="Settled">a person or an evacuation has dealt with it: it does not empty this node again</param>
internal sealed record RememberedSignal(DateTimeOffset FirstSeen, DateTimeOffset? GoneSince, string Text, bool Settled);

/// <summary>
/// Tells whether a signal is the one that was there before. Pure. One that is gone for less than the time to settle and comes back is the same; and it is gone only by
/// reads that could tell, so a controller that is silent after a reboot does not make old signals new.
/// </summary>
internal sealed record SignalMemory(IReadOnlyDictionary<string, RememberedSignal> Signals)
{
    public static SignalMemory Empty { get; } = new(new Dictionary<string, RememberedSignal>());

    /// <summary>The same after news.</summary>
    public SignalMemory After(SignalNews news, TimeSpan settle, DateTimeOffset now)
    {
        Dictionary<string, RememberedSignal> after = [];
        foreach (TrackedSignal tracked in news.Signals)
        {
            string text = HealthJudge.Describe(tracked.Signal);
            after[tracked.Signal.Key] = Signals.TryGetValue(tracked.Signal.Key, out RememberedSignal? before)
                ? before with { GoneSince = null, Text = text }
                : new RememberedSignal(now, null, text, false);
        }

        foreach ((string key, RememberedSignal remembered) in Signals.Where(pair => !after.ContainsKey(pair.Key)))
        {
            if (!news.Knowledge.CanTell)
                after[key] = remembered;
            else if (now - (remembered.GoneSince ?? now) < settle)
                after[key] = remembered with { GoneSince = remembered.GoneSince ?? now };
        }

        return new SignalMemory(after);
    }

    /// <summary>These are dealt with.</summary>
    public SignalMemory WithSettled(IEnumerable<string> keys)
    {
        HashSet<string> settled = [.. keys];
        return new SignalMemory(Signals.ToDictionary(pair => pair.Key, pair => settled.Contains(pair.Key) ? pair.Value with { Settled = true } : pair.Value));
    }

    public IReadOnlyList<GoneSignal> Gone =>
        [.. Signals.Where(pair => pair.Value.GoneSince is not null).OrderBy(pair => pair.Key, StringComparer.Ordinal)
            .Select(pair => new GoneSignal(pair.Key, pair.Value.Text, pair.Value.FirstSeen, pair.Value.GoneSince!.Value))];

    /// <summary>What an evacuation for this signal is known by: the same signal again is the same evacuation.</summary>
    public string TriggerOf(string key) => $"signal:{key}@{Signals[key].FirstSeen.ToUnixTimeMilliseconds()}";

    public bool SameAs(SignalMemory other) =>
        Signals.Count == other.Signals.Count && Signals.All(pair => other.Signals.TryGetValue(pair.Key, out RememberedSignal? same) && same == pair.Value);

    public string Write() => JsonSerializer.Serialize(Signals, ApiJson.Options);

    /// <param name="text">as written; null for nothing</param>
    /// <param name="firstSeen">what releases before 0.2 kept: the first sight only; null for nothing</param>
    public static SignalMemory Read(string? text, string? firstSeen)
    {
        if (text is not null)
            return new SignalMemory(JsonSerializer.Deserialize<Dictionary<string, RememberedSignal>>(text, ApiJson.Options) ?? []);
        if (firstSeen is null)
            return Empty;
        Dictionary<string, DateTimeOffset> old = JsonSerializer.Deserialize<Dictionary<string, DateTimeOffset>>(firstSeen, ApiJson.Options) ?? [];
        return new SignalMemory(old.ToDictionary(pair => pair.Key, pair => new RememberedSignal(pair.Value, null, pair.Key, false)));
    }
}
