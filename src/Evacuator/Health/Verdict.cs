using System.Text.Json.Serialization;
using Evacuator.Common.AgentApi;

namespace Evacuator.Health;

/// <summary>What the signals of a host mean for it, the graver the higher.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<Verdict>))]
internal enum Verdict
{
    /// <summary>Everything that matters was read, and nothing is wrong.</summary>
    Ok = 0,

    /// <summary>Nothing is known to be wrong, but not everything that matters could be read. Never health.</summary>
    Unknown = 1,

    /// <summary>A person should look; the containers can stay.</summary>
    Notify = 2,

    /// <summary>The containers should leave.</summary>
    Evacuate = 3,

    /// <summary>The containers should leave, and the host should go off for the repair.</summary>
    EvacuateAndPowerOff = 4,

    /// <summary>The host may go down any minute: the containers should leave at once.</summary>
    Urgent = 5,
}

/// <summary>What a rule says about the signals that it matches.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<RuleAction>))]
internal enum RuleAction
{
    Ignore = 0,
    Notify = 1,
    Evacuate = 2,
    EvacuateAndPowerOff = 3,
    Urgent = 4,
}

/// <summary>How far a signal is known.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<SignalStage>))]
internal enum SignalStage
{
    /// <summary>A message says so and no read shows it: not a ground to act.</summary>
    Announced = 0,

    /// <summary>Read, but not often enough to be no nuisance.</summary>
    Unconfirmed = 1,

    /// <summary>Two reads apart, or a read and an event.</summary>
    Confirmed = 2,

    /// <summary>The controller took it back, or the last read did not show it; not over yet.</summary>
    Fading = 3,
}
