using System.Security.Cryptography;
using System.Text;

namespace Evacuator.Lab.BmcSimulator.Model;

/// <summary>
/// Who the simulated machine is, derived from its name alone, so that the lab can give the node's DMI the same values:
/// the UUID is the first 16 bytes of SHA-256("evacuator-lab/NAME") with version 5 and variant bits set, the serial number
/// is "LAB" and its first eight digits in upper case.
/// </summary>
public sealed record NodeIdentity(string Name, Guid Uuid, Guid BmcUuid, string Serial)
{
    public static NodeIdentity FromName(string name)
    {
        Guid uuid = Derive("evacuator-lab/" + name);
        return new NodeIdentity(name, uuid, Derive("evacuator-lab-bmc/" + name), "LAB" + Digits(uuid));
    }

    /// <summary>Eight hexadecimal digits that part serial numbers of this machine start with.</summary>
    public string SerialStem => Digits(Uuid);

    private static string Digits(Guid uuid) => uuid.ToString("N")[..8].ToUpperInvariant();

    private static Guid Derive(string text)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes(text), hash);
        hash[6] = (byte)((hash[6] & 0x0f) | 0x50);
        hash[8] = (byte)((hash[8] & 0x3f) | 0x80);
        return new Guid(hash[..16], bigEndian: true);
    }
}
