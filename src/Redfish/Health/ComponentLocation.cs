namespace Evacuator.Redfish.Health;

/// <summary>Where a technician finds a part, and by what it is ordered and recognised.</summary>
/// <param name="Place">The label on the machine: "PROC 1 DIMM 4", "Slot=12:Port=2I:Box=1:Bay=1", "bay 2".</param>
/// <param name="PartNumber">What to order.</param>
/// <param name="SerialNumber">Null where the service sends a filler ("N/A", zeros).</param>
/// <param name="Model">The type of the part.</param>
/// <param name="Manufacturer">Who made it.</param>
public sealed record ComponentLocation(string? Place, string? PartNumber, string? SerialNumber, string? Model, string? Manufacturer)
{
    public static ComponentLocation Nowhere { get; } = new(null, null, null, null, null);

    /// <summary>One line for a person.</summary>
    public override string ToString()
    {
        List<string> parts = [];
        if (Place is not null)
            parts.Add(Place);
        string make = string.Join(' ', new[] { Manufacturer, Model }.Where(each => each is not null));
        if (make.Length > 0)
            parts.Add(make);
        if (PartNumber is not null)
            parts.Add($"part {PartNumber}");
        if (SerialNumber is not null)
            parts.Add($"serial {SerialNumber}");
        return string.Join(", ", parts);
    }

    /// <summary>This one, with what it lacks taken from the other description of the same part.</summary>
    public ComponentLocation FilledFrom(ComponentLocation other) => new(
        Place ?? other.Place, PartNumber ?? other.PartNumber, SerialNumber ?? other.SerialNumber, Model ?? other.Model, Manufacturer ?? other.Manufacturer);
}
