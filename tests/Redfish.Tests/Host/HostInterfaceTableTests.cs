using System.Buffers.Binary;
using System.Net;
using System.Text;
using Evacuator.Redfish.Host;
using Evacuator.Testing;

namespace Evacuator.Redfish.Tests.Host;

public sealed class HostInterfaceTableTests
{
    [Fact]
    public void Parse_NetworkInterfaceOnUsb_IsFoundBehindOtherRecords()
    {
        byte[] table = [.. Structure(0, [1, 2, 0, 0], "vendor", "1.0"), .. Kcs(), .. Network(4, Redfish("16.1.15.2", "16.1.15.1", 443, "bmc")), .. Structure(127, [])];
        HostInterface found = Assert.Single(HostInterfaceTable.Parse(table));
        Assert.Equal(("USB", IPAddress.Parse("16.1.15.2"), IPAddress.Parse("16.1.15.1"), 443, "bmc"), (found.Device, found.HostAddress, found.ServiceAddress, found.Port, found.ServiceName));
        Assert.Equal(new Uri("https://16.1.15.1/"), found.Url);
    }

    [Fact]
    public void Parse_AddressNotGiven_LeavesTheName()
    {
        HostInterface found = Assert.Single(HostInterfaceTable.Parse(Network(2, Redfish("0.0.0.0", "0.0.0.0", 0, "bmc.local"))));
        Assert.Null(found.HostAddress);
        Assert.Null(found.ServiceAddress);
        Assert.Equal(new Uri("https://bmc.local/"), found.Url);
    }

    [Fact]
    public void Parse_NeitherAddressNorName_HasNoUrl() =>
        Assert.Null(Assert.Single(HostInterfaceTable.Parse(Network(3, Redfish("0.0.0.0", "0.0.0.0", 443, "")))).Url);

    [Fact]
    public void Parse_SixthVersionOfTheProtocol_IsReadWithItsPort() =>
        Assert.Equal(new Uri("https://[fd00::1]:8443/"), Assert.Single(HostInterfaceTable.Parse(Network(5, Redfish("fd00::2", "fd00::1", 8443, "")))).Url);

    [Fact]
    public void Parse_TwoRecordsOfTheSame_AreOne() =>
        Assert.Single(HostInterfaceTable.Parse([.. Network(4, Redfish("169.254.0.18", "169.254.0.17", 443, "")), .. Network(4, Redfish("169.254.0.18", "169.254.0.17", 443, ""))]));

    [Fact]
    public void Parse_InterfaceWithoutRedfish_IsNone()
    {
        Assert.Empty(HostInterfaceTable.Parse(Kcs()));
        Assert.Empty(HostInterfaceTable.Parse(Structure(42, [0x40, 1, 2, 1, 2, 4, 1, 2, 3, 4])));
        Assert.Empty(HostInterfaceTable.Parse([]));
    }

    [Fact]
    public void Parse_AfterTheEndMark_NothingIsRead() =>
        Assert.Empty(HostInterfaceTable.Parse([.. Structure(127, []), .. Network(4, Redfish("16.1.15.2", "16.1.15.1", 443, ""))]));

    /// <summary>Every length, also within the record, may be a lie.</summary>
    [Fact]
    public void Parse_CutOrDamaged_NeverThrows()
    {
        byte[] whole = [.. Structure(0, [1, 2, 0, 0], "vendor"), .. Network(4, Redfish("16.1.15.2", "16.1.15.1", 443, "bmc")), .. Structure(127, [])];
        for (int length = 0; length < whole.Length; length++)
            _ = HostInterfaceTable.Parse(whole.AsSpan(0, length)).Select(each => each.Url).Count();
        Random random = new(20260304);
        for (int mutant = 0; mutant < 20_000; mutant++)
        {
            byte[] damaged = [.. whole];
            for (int flips = random.Next(1, 6); flips > 0; flips--)
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            Assert.All(HostInterfaceTable.Parse(damaged), each => Assert.InRange(each.Port, 1, 65535));
        }
    }

    [Fact]
    public void Read_NoTableThere_SaysSo()
    {
        using TemporaryFolder folder = new();
        (IReadOnlyList<HostInterface> found, string problem) = HostInterfaceTable.Read(Path.Combine(folder.Path, "DMI"));
        Assert.Empty(found);
        Assert.Contains("does not exist", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_ATable_IsParsed()
    {
        using TemporaryFolder folder = new();
        string path = Path.Combine(folder.Path, "DMI");
        File.WriteAllBytes(path, Network(4, Redfish("16.1.15.2", "16.1.15.1", 443, "")));
        (IReadOnlyList<HostInterface> found, string problem) = HostInterfaceTable.Read(path);
        Assert.Single(found);
        Assert.Empty(problem);
    }

    private static byte[] Structure(byte type, byte[] data, params string[] strings)
    {
        byte[] text = strings.Length == 0 ? [0, 0] : [.. strings.SelectMany(each => Encoding.ASCII.GetBytes(each + "\0")), 0];
        return [type, (byte)(4 + data.Length), 0x2a, 0, .. data, .. text];
    }

    // An IPMI interface over KCS: no data, and one protocol that is none of ours.
    private static byte[] Kcs() => Structure(42, [2, 0, 1, 2, 0]);

    private static byte[] Network(byte device, byte[] protocol) => Structure(42, [0x40, 5, device, 0xf0, 0x03, 0x29, 0x24, 1, 4, (byte)protocol.Length, .. protocol]);

    private static byte[] Redfish(string host, string service, ushort port, string name)
    {
        byte[] data = new byte[91 + name.Length];
        data[16] = 1;
        data[17] = Put(host, data.AsSpan(18, 16));
        data[50] = 1;
        data[51] = Put(service, data.AsSpan(52, 16));
        BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(84), port);
        data[90] = (byte)name.Length;
        Encoding.ASCII.GetBytes(name, data.AsSpan(91));
        return data;
    }

    private static byte Put(string address, Span<byte> at)
    {
        IPAddress parsed = IPAddress.Parse(address);
        parsed.TryWriteBytes(at, out int written);
        return written == 4 ? (byte)1 : (byte)2;
    }
}
