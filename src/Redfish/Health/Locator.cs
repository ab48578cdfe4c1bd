using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Health;

/// <summary>Finds the place of a part among the many properties in which services put it.</summary>
internal static class Locator
{
    public static ComponentLocation Of(RedfishResource part) => new(
        PlaceOf(part),
        Meaningful(part.Text("PartNumber")) ?? Meaningful(part.Text("SparePartNumber")) ?? Meaningful(part.Text("Oem", "Hpe", "PartNumber")),
        SerialOf(part),
        Meaningful(part.Text("Model")),
        Meaningful(part.Text("Manufacturer")));

    public static string? SerialOf(RedfishResource part) => Meaningful(part.Text("SerialNumber")) is { } serial && !IsRepeated(serial) ? serial : null;

    /// <summary>The text, or null for what vendors put where they have none.</summary>
    public static string? Meaningful(string? text)
    {
        string? trimmed = text?.Trim();
        if (string.IsNullOrEmpty(trimmed))
            return null;
        return trimmed.ToLowerInvariant() switch
        {
            "n/a" or "na" or "nil" or "none" or "null" or "unknown" or "not specified" or "not available" or "not applicable" or "no dimm" or "empty" or "absent"
                or "to be filled by o.e.m." or "default string" or "undefined" or "tbd" or "-" => null,
            _ => trimmed,
        };
    }

    // "00000000", "FFFFFFFF", "........": fillers of empty slots.
    private static bool IsRepeated(string serial) => serial.All(each => each == serial[0]) && !char.IsAsciiDigit(serial[0]) || serial.All(each => each is '0' or ' ');

    private static string? PlaceOf(RedfishResource part) =>
        Meaningful(part.Text("PhysicalLocation", "PartLocation", "ServiceLabel"))
        ?? Meaningful(part.Text("Location", "PartLocation", "ServiceLabel"))
        ?? Meaningful(part.Text("DeviceLocator"))
        ?? Meaningful(part.Items("Location").Select(each => each.Text("Info")).FirstOrDefault(info => info is not null))
        ?? Meaningful(part.Items("PhysicalLocation").Select(each => each.Text("Info")).FirstOrDefault(info => info is not null))
        ?? Meaningful(part.Text("Location"))
        ?? Ordinal(part.Child("PhysicalLocation", "PartLocation") ?? part.Child("Location", "PartLocation"))
        ?? Numbered("bay", part.Number("Oem", "Hpe", "BayNumber") ?? part.Number("Oem", "Hp", "BayNumber"))
        ?? Meaningful(part.Text("Oem", "Dell", "DellPowerSupplyView", "DeviceDescription"))
        ?? MemoryPlace(part.Child("MemoryLocation"))
        ?? Meaningful(part.Text("Socket"))
        ?? Ordinal(part.Child("Slot", "Location", "PartLocation"));

    private static string? Ordinal(RedfishResource? location)
    {
        if (location?.Number("LocationOrdinalValue") is not { } ordinal)
            return null;
        return $"{location.Text("LocationType")?.ToLowerInvariant() ?? "position"} {ordinal}";
    }

    private static string? MemoryPlace(RedfishResource? location)
    {
        if (location is null)
            return null;
        string[] parts = [.. new[] { "Socket", "MemoryController", "Channel", "Slot" }
            .Where(name => location.Number(name) is not null)
            .Select(name => $"{name} {location.Number(name)}")];
        return parts.Length == 0 ? null : string.Join(", ", parts);
    }

    private static string? Numbered(string what, double? number) => number is null ? null : $"{what} {number}";
}
