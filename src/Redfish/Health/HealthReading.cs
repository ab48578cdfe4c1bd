namespace Evacuator.Redfish.Health;

/// <summary>A part of the machine that is judged by itself.</summary>
public enum HealthArea
{
    System,
    Memory,
    Processors,
    Storage,
    Power,
    Cooling,
    Sensors,
    Pcie,
    Network,
    Managers,
    Faults,
}

/// <summary>How much is known about an area.</summary>
public enum AreaState
{
    /// <summary>The service offers nothing about it, or lists no part. That is not health.</summary>
    NotOffered,

    /// <summary>Parts were read and say how they are.</summary>
    Known,

    /// <summary>Something that should have been read was not, or says nothing, or contradicts what the parts say.</summary>
    CannotTell,
}

/// <summary>What is known about one area.</summary>
/// <param name="Area">Which.</param>
/// <param name="State">How much.</param>
/// <param name="Parts">Parts that are present and say how they are.</param>
/// <param name="Reason">Why it cannot be told or is not offered; empty when known.</param>
public sealed record AreaReading(HealthArea Area, AreaState State, int Parts, string Reason);

/// <summary>A part as it was found, also a healthy one.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Name">As the service calls it.</param>
/// <param name="Location">Where it is.</param>
/// <param name="Evidence">Its URI.</param>
/// <param name="State">Status.State as sent.</param>
/// <param name="Health">What it says about itself; None when it says nothing.</param>
/// <param name="Counts">False for what is absent, disabled, standing by or an empty slot: whatever it says, it is no signal.</param>
public sealed record ComponentReading(ComponentKind Kind, string Name, ComponentLocation Location, string Evidence, string? State, SignalSeverity Health, bool Counts);

/// <summary>A count of errors. Counts say nothing by themselves: what grew between two readings does.</summary>
/// <param name="Part">Whose it is.</param>
/// <param name="Name">"UncorrectableECCErrorCount".</param>
/// <param name="Uncorrectable">Whether growth means that data was lost or a machine check was taken.</param>
/// <param name="Value">The count.</param>
/// <param name="Evidence">The URI of the metrics.</param>
public sealed record ErrorCounter(ComponentReading Part, string Name, bool Uncorrectable, double Value, string Evidence);

/// <summary>One walk over a machine.</summary>
/// <param name="TakenAt">When it ended, by our clock.</param>
/// <param name="Signals">What is wrong.</param>
/// <param name="Areas">What is known about each area; every area is in it.</param>
/// <param name="Components">Every part found.</param>
/// <param name="Counters">Every error count found.</param>
/// <param name="Unread">Resources that were listed but not read, by <see cref="Resources.RedfishUri.Key"/>: nothing is known about their parts.</param>
/// <param name="Warnings">What was odd, for a person.</param>
/// <param name="Requests">Requests made.</param>
public sealed record HealthReading(DateTimeOffset TakenAt, IReadOnlyList<Signal> Signals, IReadOnlyList<AreaReading> Areas,
    IReadOnlyList<ComponentReading> Components, IReadOnlyList<ErrorCounter> Counters, IReadOnlySet<string> Unread, IReadOnlyList<string> Warnings, int Requests)
{
    /// <summary>
    /// For a reading of some parts only, what it covers by <see cref="Resources.RedfishUri.Key"/>: it says nothing of anything else. Null for a whole walk.
    /// </summary>
    public IReadOnlySet<string>? Covered { get; init; }

    public AreaReading this[HealthArea area] => Areas.First(each => each.Area == area);

    /// <summary>Whether no area is in doubt and at least one part said how it is. Only then may the absence of signals be called health.</summary>
    public bool IsComplete => Covered is null && KnowsAnything && Areas.All(area => area.State != AreaState.CannotTell);

    /// <summary>
    /// Whether nothing is in doubt about what containers live on: the system, memory, processors, storage, power and cooling. An adapter that says nothing of itself,
    /// or a PCIe device that answers 404, does not count here.
    /// </summary>
    public bool KnowsEssentials => Covered is null && KnowsAnything && Areas.All(area => area.State != AreaState.CannotTell
        || area.Area is HealthArea.Sensors or HealthArea.Pcie or HealthArea.Network or HealthArea.Managers or HealthArea.Faults);

    /// <summary>Whether at least one part of the machine said how it is: not only the BMC, and not only a sum over parts that were not seen.</summary>
    public bool KnowsAnything =>
        Areas.Any(area => area.State == AreaState.Known && area.Area is not (HealthArea.System or HealthArea.Managers or HealthArea.Faults));
}
