using Evacuator.Health;
using Evacuator.Redfish.Health;

namespace Evacuator.Cli.Bmc;

/// <summary>What would be done about one look at a machine, if what it shows persisted.</summary>
internal static class ProbeVerdict
{
    /// <param name="health">null when the machine could not be told apart</param>
    public static string Of(HealthReading? health) => health switch
    {
        null => "unknown",
        _ when health.Signals.Any(SignalRule.IsReasonToLeave) => "evacuate",
        { Signals.Count: > 0 } => "notify",
        // Silence is health only where everything that matters was read.
        { KnowsEssentials: false } => "unknown",
        _ => "ok",
    };
}
