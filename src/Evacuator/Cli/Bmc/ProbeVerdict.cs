using Evacuator.Evacuation;
using Evacuator.Health;
using Evacuator.Redfish.Health;

namespace Evacuator.Cli.Bmc;

/// <summary>What would be done about one look at a machine by the built-in rules, if what it shows persisted.</summary>
internal static class ProbeVerdict
{
    /// <param name="health">null when the machine could not be told apart</param>
    public static string Of(HealthReading? health) => Words.Of(health is null
        ? Verdict.Unknown
        : HealthJudge.OfOneRead(health.Signals, health.Components, health.KnowsEssentials, "not everything that matters could be read", SignalRules.Default).Verdict);
}
