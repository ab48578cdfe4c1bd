namespace Evacuator.Redfish.Health;

/// <summary>Which part of a service is walked.</summary>
/// <param name="Systems">The chosen system first; then companions that are part of the same machine (NVIDIA's HGX_Baseboard_0, which cannot be reset by itself).</param>
/// <param name="IsOnlyMachine">Whether no other machine is behind this BMC: then a chassis that names no owner is ours.</param>
public sealed record HealthScope(IReadOnlyList<string> Systems, bool IsOnlyMachine)
{
    public HealthScope(string system)
        : this([system], true)
    {
    }
}

/// <summary>Bounds and thresholds of a walk.</summary>
public sealed record HealthWalkOptions
{
    public static HealthWalkOptions Default { get; } = new();

    /// <summary>Flash with no more of its rated life left, in percent, is a warning.</summary>
    public double MediaLifeWarningPercent { get; init; } = 10;

    /// <summary>Flash with no more of its rated life left, in percent, is critical.</summary>
    public double MediaLifeCriticalPercent { get; init; } = 5;

    /// <summary>Whether the sensor collections are read, one request per sensor where a service does not expand them.</summary>
    public bool ReadSensors { get; init; } = true;

    /// <summary>Requests after which a walk gives up.</summary>
    public int MaxRequests { get; init; } = 4000;

    /// <summary>Failures in a row (timeouts, 5xx, 401) after which a walk gives up: the BMC is not answering now, and asking on costs it and us.</summary>
    public int MaxFailuresInARow { get; init; } = 4;

    /// <summary>Time after which a walk gives up. A busy iDRAC takes 3 to 6 s for a read, and a machine may have several hundred resources.</summary>
    public TimeSpan MaxDuration { get; init; } = TimeSpan.FromMinutes(45);
}
