using Evacuator.Redfish.Health;

namespace Evacuator.Health;

/// <summary>
/// The first, simple rule of when a finding is a reason to leave: the part has failed or says that it will, and it is a part that containers depend on. Lost
/// redundancy, a pulled power cable or a reading out of range are for a person to look at.
/// </summary>
internal static class SignalRule
{
    public static bool IsCritical(Signal signal) => signal.Severity == SignalSeverity.Critical || signal.Predicted;

    public static bool IsReasonToLeave(Signal signal) => IsCritical(signal) && signal.Kind is
        SignalKind.PredictedFailure or SignalKind.Failed or SignalKind.CorrectableErrorThreshold or SignalKind.UncorrectableError
        or SignalKind.MediaWear or SignalKind.DataLoss or SignalKind.OverTemperature or SignalKind.LeakDetected
        // The controller itself, a fan or a supply of several can be serviced under load.
        && signal.Component is not (ComponentKind.Manager or ComponentKind.Fan or ComponentKind.PowerSupply or ComponentKind.Battery);

    /// <summary>"predicted-failure of memory DIMM A1 (socket 3): …"</summary>
    public static string Describe(Signal signal)
    {
        string place = signal.Location.Place is { Length: > 0 } known && known != signal.Name ? $" ({known})" : "";
        return $"{Evacuation.Words.Of(signal.Kind)} of {Evacuation.Words.Of(signal.Component)} {signal.Name}{place}: {signal.Text}";
    }
}
