using Evacuator.Redfish.Health;

namespace Evacuator.Health;

/// <summary>One rule: which signals it is about, and what they mean. An empty list or a null matches everything.</summary>
internal sealed record SignalRule
{
    public required string Name { get; init; }

    public required RuleAction Action { get; init; }

    public IReadOnlyList<ComponentKind> Components { get; init; } = [];

    public IReadOnlyList<SignalKind> Kinds { get; init; } = [];

    public IReadOnlyList<SignalSeverity> Severities { get; init; } = [];

    public bool? Predicted { get; init; }

    /// <summary>Status.State of the part as the controller sends it, compared without case.</summary>
    public IReadOnlyList<string> States { get; init; } = [];

    /// <summary>Message ids, whole ("IDRAC.2.8.PDR16") or their last token ("PDR16").</summary>
    public IReadOnlyList<string> Messages { get; init; } = [];

    /// <summary>One part: its name, place, serial number or URI.</summary>
    public string? Part { get; init; }

    /// <summary>Whether no other part of this kind is there that works: the last power supply, the last fan.</summary>
    public bool? Last { get; init; }

    /// <summary>Where it was written, file:line; "built in" otherwise.</summary>
    public string Source { get; init; } = "built in";

    /// <param name="isLast">asked only if the rule cares</param>
    public bool Matches(Signal signal, Func<Signal, bool> isLast) =>
        (Components.Count == 0 || Components.Contains(signal.Component))
        && (Kinds.Count == 0 || Kinds.Contains(signal.Kind))
        && (Severities.Count == 0 || Severities.Contains(signal.Severity))
        && (Predicted is not { } predicted || predicted == signal.Predicted)
        && (States.Count == 0 || States.Contains(signal.State ?? "", StringComparer.OrdinalIgnoreCase))
        && (Messages.Count == 0 || Messages.Any(message => IsMessage(signal.MessageId, message)))
        && (Part is not { } part || Names(signal).Any(name => part.Equals(name, StringComparison.OrdinalIgnoreCase)))
        && (Last is not { } last || last == isLast(signal));

    private static bool IsMessage(string? id, string wanted) =>
        id is not null && (id.Equals(wanted, StringComparison.OrdinalIgnoreCase) || id[(id.LastIndexOf('.') + 1)..].Equals(wanted, StringComparison.OrdinalIgnoreCase));

    private static IEnumerable<string?> Names(Signal signal) =>
        [signal.Name, signal.Location.Place, signal.Location.SerialNumber, signal.Part, signal.Evidence, .. signal.AlsoAt];
}
