using System.Buffers.Binary;
using System.Net;
using System.Text;

namespace Evacuator.Redfish.Host;

/// <summary>
/// Finds the in-band Redfish interfaces in this host's SMBIOS table. Firmware writes more than one record of type 42 (KCS first, then the network) and wrong lengths;
/// what does not fit is left out, and nothing throws.
/// </summary>
public static class HostInterfaceTable
{
    /// <summary>The table as the kernel gives it to root.</summary>
    public const string KernelFile = "/sys/firmware/dmi/tables/DMI";

    private const int MaxBytes = 1024 * 1024;
    private const int MaxFound = 16;

    private const byte ManagementControllerHostInterface = 42;
    private const byte EndOfTable = 127;
    private const byte NetworkInterface = 0x40;
    private const byte RedfishOverIp = 4;

    /// <summary>Reads and parses the kernel's copy; a message where it cannot be read.</summary>
    public static (IReadOnlyList<HostInterface> Interfaces, string Problem) Read(string path = KernelFile)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read);
            byte[] table = new byte[MaxBytes];
            return (Parse(table.AsSpan(0, file.ReadAtLeast(table, MaxBytes, throwOnEndOfStream: false))), "");
        }
        catch (FileNotFoundException)
        {
            return ([], $"{path} does not exist: this is no host with SMBIOS");
        }
        catch (DirectoryNotFoundException)
        {
            return ([], $"{path} does not exist: this is no host with SMBIOS");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return ([], $"{path}: {e.Message} (only root may read it)");
        }
    }

    /// <summary>
    /// A structure is its formatted part, whose length the second byte gives, and its strings, each ended by a NUL and all of them by another.
    /// <code>
    /// 0 type | 1 length | 2-3 handle | 4.. formatted part | strings NUL NUL
    /// </code>
    /// </summary>
    public static IReadOnlyList<HostInterface> Parse(ReadOnlySpan<byte> table)
    {
        List<HostInterface> found = [];
        while (table.Length >= 4 && found.Count < MaxFound)
        {
            int length = table[1];
            if (length < 4 || length > table.Length || table[0] == EndOfTable)
                break;
            if (table[0] == ManagementControllerHostInterface)
                AddFrom(table[..length], found);
            int strings = table[length..].IndexOf("\0\0"u8);
            if (strings < 0)
                break;
            table = table[(length + strings + 2)..];
        }

        return found;
    }

    // Type 42:  4 interface type | 5 n | 6..5+n its data, the device type first | 6+n number of protocols | each: type, p, p bytes
    private static void AddFrom(ReadOnlySpan<byte> record, List<HostInterface> found)
    {
        if (record.Length < 7 || record[4] != NetworkInterface)
            return;
        int data = record[5];
        if (6 + data >= record.Length)
            return;
        byte device = data > 0 ? record[6] : (byte)0;
        int protocols = record[6 + data];
        ReadOnlySpan<byte> rest = record[(7 + data)..];
        for (int protocol = 0; protocol < protocols && rest.Length >= 2; protocol++)
        {
            int length = rest[1];
            if (2 + length > rest.Length)
                return;
            if (rest[0] == RedfishOverIp && FromProtocol(device, rest.Slice(2, length)) is { } each && !found.Contains(each))
                found.Add(each);
            rest = rest[(2 + length)..];
        }
    }

    // 0 service UUID (16) | 16 assignment | 17 format, 18 address (16), 34 mask (16) of the host | 50 discovery | 51 format, 52 address (16), 68 mask (16),
    // 84 port (2), 86 VLAN (4) of the service | 90 length of its name | 91 name
    private static HostInterface? FromProtocol(byte device, ReadOnlySpan<byte> data)
    {
        if (data.Length < 90)
            return null;
        int port = BinaryPrimitives.ReadUInt16LittleEndian(data[84..]);
        return new HostInterface(device, Address(data[17], data.Slice(18, 16)), Address(data[51], data.Slice(52, 16)), port == 0 ? 443 : port, Name(data[90..]));
    }

    // 0.0.0.0 stands for "not known (yet)": DHCP, or to be chosen by the host.
    private static IPAddress? Address(byte format, ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<byte> own = format switch { 1 => bytes[..4], 2 => bytes, _ => [] };
        return own.IndexOfAnyExcept((byte)0) < 0 ? null : new IPAddress(own);
    }

    private static string? Name(ReadOnlySpan<byte> data)
    {
        if (data.Length < 2 || data[0] == 0 || data[0] > data.Length - 1)
            return null;
        string name = Encoding.ASCII.GetString(data.Slice(1, data[0])).TrimEnd('\0', ' ');
        return name.Length > 0 && Uri.CheckHostName(name) != UriHostNameType.Unknown ? name : null;
    }
}
