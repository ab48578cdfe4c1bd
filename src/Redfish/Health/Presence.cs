using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Health;

/// <summary>Whether what a part says about itself counts.</summary>
internal enum Presence
{
    /// <summary>It does not say whether it is there; what it says about its health is not believed.</summary>
    Unknown,

    /// <summary>It is there and running.</summary>
    Present,

    /// <summary>It starts or is being updated: Critical is normal for some minutes.</summary>
    Transient,

    /// <summary>Absent, disabled, standing by or offline: services report Critical for these for ever.</summary>
    NotCounted,
}

internal static class Presences
{
    /// <summary>
    /// Judges Status.State. Without a state only a serial number proves that the part is there: an empty PSU bay of a Dell is Critical, and only its state says Absent.
    /// </summary>
    public static Presence Of(RedfishResource part, string? serial) => StatusWords.State(part)?.ToLowerInvariant() switch
    {
        "absent" or "disabled" or "standbyoffline" or "unavailableoffline" or "deferring" => Presence.NotCounted,
        // Not of the schema, but what services write where they mean Absent.
        "notpresent" or "not present" or "notinstalled" or "not installed" or "empty" or "unpopulated" or "removed" => Presence.NotCounted,
        "starting" or "updating" => Presence.Transient,
        null => serial is null ? Presence.Unknown : Presence.Present,
        _ => Presence.Present,
    };
}

/// <summary>The words of a Status: an object by the schema, here and there a bare word that is either a health or a state.</summary>
internal static class StatusWords
{
    public static string? State(RedfishResource resource) =>
        resource.Text("Status", "State") ?? (resource.Text("Status") is { } word && SignalSeverities.Parse(word) == SignalSeverity.None ? word : null);

    public static string? Health(RedfishResource resource) =>
        resource.Text("Status", "Health") ?? (resource.Text("Status") is { } word && SignalSeverities.Parse(word) != SignalSeverity.None ? word : null);
}
