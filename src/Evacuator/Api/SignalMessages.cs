using Evacuator.Health;
using Evacuator.Redfish.Health;

namespace Evacuator.Api;

/// <summary>What "evacuator signals" shows: what is known, why, since when, and what this node does about it.</summary>
internal sealed record SignalsReport
{
    public required Verdict Verdict { get; init; }

    public required string Why { get; init; }

    /// <summary>Of this verdict.</summary>
    public required DateTimeOffset Since { get; init; }

    /// <summary>When everything that matters was read last; null if never.</summary>
    public DateTimeOffset? KnownAt { get; init; }

    /// <summary>Why not everything that matters is known now; null when it is.</summary>
    public string? Doubt { get; init; }

    public ListeningReport? Listening { get; init; }

    /// <summary>What this node does about the verdict, in words.</summary>
    public string Does { get; init; } = "";

    /// <summary>Why it does not empty itself although its signals say that it should be; null when that is not so.</summary>
    public string? AsksPerson { get; init; }

    /// <summary>The gravest first.</summary>
    public required IReadOnlyList<SignalReport> Signals { get; init; }

    /// <summary>Not shown any more, and not over yet.</summary>
    public required IReadOnlyList<GoneSignal> Gone { get; init; }

    public IReadOnlyList<string> Warnings { get; init; } = [];
}

/// <summary>How events come in.</summary>
/// <param name="Mode">sse, push, poll or none</param>
/// <param name="Reason">why this way and not a better one</param>
/// <param name="Hearing">whether an event that happened now would be heard</param>
/// <param name="Problem">why not; null when it would</param>
internal sealed record ListeningReport(string Mode, string Reason, bool Hearing, DateTimeOffset Since, DateTimeOffset? LastEvent, string? Problem);

/// <summary>One signal.</summary>
internal sealed record SignalReport
{
    public required string Component { get; init; }

    public required string Name { get; init; }

    public required ComponentLocation Location { get; init; }

    public required string Kind { get; init; }

    public required string Severity { get; init; }

    public required bool Predicted { get; init; }

    public required string? State { get; init; }

    public required string? MessageId { get; init; }

    public required string Evidence { get; init; }

    /// <summary>As the controller says it.</summary>
    public required string Text { get; init; }

    public required DateTimeOffset FirstSeen { get; init; }

    public required DateTimeOffset LastSeen { get; init; }

    public required int Reads { get; init; }

    public required int Events { get; init; }

    public required SignalStage Stage { get; init; }

    /// <summary>Name of the rule that decides, and where it is written.</summary>
    public required string Rule { get; init; }

    public required string RuleSource { get; init; }

    public required RuleAction Action { get; init; }

    public required Verdict Verdict { get; init; }

    public required string Why { get; init; }

    /// <summary>An evacuation or a person has dealt with it; it does not empty this node again.</summary>
    public required bool Settled { get; init; }

    /// <summary>This node is being emptied because of it.</summary>
    public bool Empties { get; init; }

    public static SignalReport Of(SignalJudgement judged, bool settled, bool empties)
    {
        Signal signal = judged.Known.Signal;
        return new SignalReport
        {
            Component = Evacuation.Words.Of(signal.Component),
            Name = signal.Name,
            Location = signal.Location,
            Kind = Evacuation.Words.Of(signal.Kind),
            Severity = Evacuation.Words.Of(signal.Severity),
            Predicted = signal.Predicted,
            State = signal.State,
            MessageId = signal.MessageId,
            Evidence = signal.Evidence,
            Text = signal.Text,
            FirstSeen = judged.Known.FirstSeen,
            LastSeen = signal.LastSeen,
            Reads = judged.Known.Reads,
            Events = judged.Known.Events,
            Stage = judged.Stage,
            Rule = judged.Rule.Name,
            RuleSource = judged.Rule.Source,
            Action = judged.Rule.Action,
            Verdict = judged.Verdict,
            Why = judged.Why,
            Settled = settled,
            Empties = empties,
        };
    }
}
