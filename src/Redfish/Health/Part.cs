using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Health;

/// <summary>One thing that a part says against itself.</summary>
/// <param name="Explicit">A statement that presupposes the part (FailurePredicted, an alarm trip), believed also where the state is missing or in transition.</param>
internal sealed record Finding(SignalKind Kind, SignalSeverity Severity, bool Predicted, bool Explicit, string Evidence, string? MessageId, string Text);

/// <summary>A part while the walk collects what is said about it.</summary>
internal sealed class Part
{
    public Part(HealthArea area, ComponentKind kind, RedfishResource resource, ComponentLocation location)
    {
        Area = area;
        Kind = kind;
        Uri = resource.Uri;
        Name = resource.Name ?? NameOf(resource.Uri, resource.Id ?? resource.Text("MemberId"));
        Location = location;
        Id = resource.Id;
        State = StatusWords.State(resource);
        Presence = Presences.Of(resource, location.SerialNumber);
        string? health = StatusWords.Health(resource);
        Health = SignalSeverities.Parse(health);
        UnknownHealth = Health == SignalSeverity.None ? Locator.Meaningful(health) : null;
        Contradiction = Contradictory(resource, "Status", "FailurePredicted") ?? (resource.Child("Status") is { } status ? Contradictory(status, "Health", "State") : null);
    }

    private static string? Contradictory(RedfishResource resource, params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
            if (resource.IsContradictory(name))
                return name;
        return null;
    }

    // A bare number says nothing to a technician: "PowerSupplyRedundancy 0" does.
    private static string NameOf(string uri, string? id)
    {
        string[] segments = uri.TrimEnd('/').Split('/', '#');
        string own = id ?? segments[^1];
        return own.All(char.IsAsciiDigit) && segments.Length > 1 && segments[^2].Length > 0 ? $"{segments[^2]} {own}" : own;
    }

    /// <summary>Something without a resource of its own: a part that only a message names.</summary>
    public Part(HealthArea area, ComponentKind kind, string uri, string name, string? place)
    {
        Area = area;
        Kind = kind;
        Uri = uri;
        Name = name;
        Location = ComponentLocation.Nowhere with { Place = place };
        Presence = Presence.Present;
        IsGroup = true;
    }

    public HealthArea Area { get; }

    public ComponentKind Kind { get; }

    public string Uri { get; }

    public string Name { get; }

    public string? Id { get; }

    public ComponentLocation Location { get; }

    public string? State { get; }

    public Presence Presence { get; set; }

    public SignalSeverity Health { get; }

    /// <summary>A word for its health that means nothing known: neither well nor unwell, so it leaves a doubt.</summary>
    public string? UnknownHealth { get; }

    /// <summary>A property that was sent twice with different values, and so leaves a doubt whatever was made of it; null for none.</summary>
    public string? Contradiction { get; }

    public List<Finding> Findings { get; } = [];

    /// <summary>Set on systems and chassis: their health sums up others, and is never evidence by itself.</summary>
    public bool IsRollup { get; init; }

    /// <summary>Set on what is no part that could be counted: redundancy groups, and what only a message names.</summary>
    public bool IsGroup { get; init; }

    public bool SaysSomethingBad => !IsRollup && Health >= SignalSeverity.Warning || Findings.Count > 0;

    /// <summary>Adds a finding; the second of a kind only makes the first graver and fills in the message id.</summary>
    public void Raise(Finding finding)
    {
        int same = Findings.FindIndex(each => each.Kind == finding.Kind);
        if (same < 0)
        {
            Findings.Add(finding);
            return;
        }
        Finding first = Findings[same];
        Findings[same] = first with
        {
            Severity = SignalSeverities.Worse(first.Severity, finding.Severity),
            Predicted = first.Predicted || finding.Predicted,
            Explicit = first.Explicit || finding.Explicit,
            MessageId = first.MessageId ?? finding.MessageId,
            Text = first.MessageId is null && finding.MessageId is not null ? finding.Text : first.Text,
        };
    }

    public void Raise(SignalKind kind, SignalSeverity severity, string text, bool predicted = false, bool isExplicit = false, string? evidence = null, string? messageId = null) =>
        Raise(new Finding(kind, severity, predicted, isExplicit, evidence ?? Uri, messageId, text));

    /// <summary>Which findings count in this state of the part.</summary>
    public IEnumerable<Finding> Counting => Presence switch
    {
        Presence.Present => Findings,
        Presence.NotCounted => [],
        _ => Findings.Where(finding => finding.Explicit),
    };
}
