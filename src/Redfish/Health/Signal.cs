namespace Evacuator.Redfish.Health;

/// <summary>
/// One fact about one part that is not as it should be. A part may carry several (Health Critical and a predicted failure): each is seen and goes by itself.
/// </summary>
/// <param name="Component">What it is about.</param>
/// <param name="Name">The part's name as the service calls it.</param>
/// <param name="Location">Where it is.</param>
/// <param name="Kind">What is wrong.</param>
/// <param name="Severity">Warning or Critical.</param>
/// <param name="Predicted">Whether it is announced rather than present.</param>
/// <param name="State">Status.State of the part as sent; null when it has none.</param>
/// <param name="Evidence">The URI that shows it.</param>
/// <param name="MessageId">The message that says so, as sent; null when a property says so.</param>
/// <param name="Text">What the evidence says, for a person; never a ground for a decision.</param>
/// <param name="FirstSeen">When we first saw it, by our clock.</param>
/// <param name="LastSeen">When we last saw it, by our clock.</param>
public sealed record Signal(ComponentKind Component, string Name, ComponentLocation Location, SignalKind Kind, SignalSeverity Severity, bool Predicted,
    string? State, string Evidence, string? MessageId, string Text, DateTimeOffset FirstSeen, DateTimeOffset LastSeen)
{
    /// <summary>The area whose reading tells whether it is still there.</summary>
    public HealthArea Area { get; init; }

    /// <summary>Other URIs that show the same part.</summary>
    public IReadOnlyList<string> AlsoAt { get; init; } = [];

    /// <summary>
    /// What the part is known by in the next reading. Drives, supplies and cards by their serial number, for they move between bays and appear at several URIs; what
    /// stays where it is by its URI (a DIMM's serial number may be a filler), and an item of an array by its name, for its place in the array may change.
    /// </summary>
    public string Identity { get; init; } = Evidence;

    /// <summary>What makes it the same signal in the next reading: the part and the kind.</summary>
    public string Key => $"{Component}/{Identity}/{Kind}";

    /// <summary>The part's own URI where the evidence is another resource's (MemoryMetrics).</summary>
    public string Part { get; init; } = Evidence;
}
