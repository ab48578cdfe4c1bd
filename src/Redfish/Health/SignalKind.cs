namespace Evacuator.Redfish.Health;

/// <summary>What is wrong. The numbers are persisted: never renumber.</summary>
public enum SignalKind
{
    Unknown = 0,

    /// <summary>The part says that it will fail.</summary>
    PredictedFailure = 1,

    /// <summary>The part reports Critical.</summary>
    Failed = 2,

    /// <summary>The part reports Warning.</summary>
    Degraded = 3,

    /// <summary>A group no longer survives the loss of another member.</summary>
    RedundancyLost = 4,
    OverTemperature = 5,
    UnderTemperature = 6,

    /// <summary>Corrected memory or cache errors came faster than the threshold; the usual forerunner of an uncorrectable one.</summary>
    CorrectableErrorThreshold = 7,
    UncorrectableError = 8,

    /// <summary>Flash has used up its rated endurance or its spare blocks.</summary>
    MediaWear = 9,
    DataLoss = 10,
    LeakDetected = 11,

    /// <summary>No power arrives at a supply: a cable or a feed, not the server.</summary>
    InputPowerLost = 12,

    /// <summary>A voltage, current, speed or other reading beyond its limits.</summary>
    OutOfRange = 13,

    /// <summary>A part that was there no longer answers.</summary>
    Missing = 14,
}
