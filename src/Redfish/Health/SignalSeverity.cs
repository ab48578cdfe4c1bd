namespace Evacuator.Redfish.Health;

/// <summary>How grave the service says it is. The numbers are persisted: never renumber.</summary>
public enum SignalSeverity
{
    None = 0,
    Ok = 1,
    Warning = 2,
    Critical = 3,
}

internal static class SignalSeverities
{
    /// <summary>Health and Severity as sent; None for a word that is not known ("Unknown", null).</summary>
    public static SignalSeverity Parse(string? text) => text?.ToLowerInvariant() switch
    {
        "ok" or "informational" or "information" or "info" or "normal" => SignalSeverity.Ok,
        "warning" => SignalSeverity.Warning,
        "critical" or "fatal" or "nonrecoverable" => SignalSeverity.Critical,
        _ => SignalSeverity.None,
    };

    public static SignalSeverity Worse(SignalSeverity left, SignalSeverity right) => left > right ? left : right;
}
