namespace Evacuator.Redfish.Power;

/// <summary>Compares a UUID of a BMC with one of DMI. Some BMCs swap the bytes of the first three fields (SMBIOS before 2.6), so that order counts as the same machine.</summary>
internal static class MachineUuid
{
    public static bool Same(string left, string right)
    {
        if (!Guid.TryParse(left, out Guid a) || !Guid.TryParse(right, out Guid b))
            return string.Equals(left.Trim(), right.Trim(), StringComparison.OrdinalIgnoreCase);
        return a == b || new Guid(a.ToByteArray(bigEndian: true), bigEndian: false) == b;
    }
}
