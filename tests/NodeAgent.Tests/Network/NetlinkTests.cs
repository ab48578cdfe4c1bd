using System.Net;
using System.Runtime.InteropServices;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.Network.Netlink;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Network;

public sealed class NetlinkTests
{
    [Fact]
    public void Writer_LinkDown_HasTheBytesThatTheKernelExpects()
    {
        NetlinkWriter writer = new NetlinkWriter(16, 5)
            .Header(new IfInfoMessage { Index = 7, Change = 1 })
            .Attribute(3, "eth0")
            .Nested(18, nested => nested.Attribute(1, (byte)9));

        Assert.Equal(
            "38000000" + "1000" + "0500" + "2A000000" + "00000000"      // length 56, RTM_NEWLINK, REQUEST|ACK, sequence 42, port 0
            + "00" + "00" + "0000" + "07000000" + "00000000" + "01000000" // ifinfomsg
            + "0900" + "0300" + "65746830" + "00000000"                  // IFLA_IFNAME "eth0\0", padded
            + "0C00" + "1280" + "0500" + "0100" + "09000000",            // nested 18, in it attribute 1
            Convert.ToHexString(writer.Finish(42)));
    }

    [Fact]
    public void Reader_MessagesAndAttributes_AreReadBack()
    {
        byte[] datagram =
        [
            .. new NetlinkWriter(24, 0).Header(new RouteMessage { Family = 2, Table = 254 }).Attribute(4, 17).Attribute(1, [10, 0, 0, 1]).Finish(1),
            .. new NetlinkWriter(3, 0).Attribute(1, (byte)1).Finish(1),
        ];
        NetlinkReader reader = new(datagram);

        Assert.True(reader.TryNext(out NetlinkMessage first));
        Assert.True(first.TrySplit(out RouteMessage route, out AttributeReader attributes));
        Assert.Equal((24, 254), (first.Type, route.Table));
        Assert.True(attributes.TryNext(out NetlinkAttribute index));
        Assert.Equal((4, 17), (index.Type, index.Int32));
        Assert.True(attributes.TryNext(out NetlinkAttribute address));
        Assert.Equal([10, 0, 0, 1], address.Payload.ToArray());
        Assert.False(attributes.TryNext(out _));
        Assert.True(reader.TryNext(out NetlinkMessage second));
        Assert.Equal(3, second.Type);
        Assert.False(reader.TryNext(out _));
    }

    [Theory]
    [InlineData("")]
    [InlineData("10000000")]                                 // shorter than a header
    [InlineData("00000000100005002A00000000000000")]         // length 0
    [InlineData("FFFFFF7F100005002A00000000000000")]         // longer than what came
    [InlineData("0F000000100005002A00000000000000")]         // shorter than its own header
    public void Reader_LengthsThatDoNotFit_EndTheWalk(string hex)
    {
        NetlinkReader reader = new(Convert.FromHexString(hex));

        Assert.False(reader.TryNext(out _));
    }

    [Theory]
    [InlineData("0300")]
    [InlineData("00000100")]
    [InlineData("FF000100AA")]
    public void Attributes_LengthsThatDoNotFit_EndTheWalk(string hex)
    {
        AttributeReader reader = new(Convert.FromHexString(hex));

        Assert.False(reader.TryNext(out _));
    }

    [Theory]
    [InlineData("02:00:00:00:07:ff", true)]
    [InlineData("02:00:00:00:07", false)]
    [InlineData("02:00:00:00:07:fg", false)]
    [InlineData("02:00:00:00:07:0ff", false)]
    public void Mac_Text_IsReadStrictly(string text, bool valid)
    {
        Assert.Equal(valid, RouteSocket.TryParseMac(text, out byte[] mac));
        if (valid)
            Assert.Equal(text, RouteSocket.FormatMac(mac));
    }

    [Fact]
    public void Structs_OfTheKernel_HaveItsSizes()
    {
        Assert.Equal((16, 8, 12, 12, 12, 4), (Marshal.SizeOf<IfInfoMessage>(), Marshal.SizeOf<IfAddressMessage>(), Marshal.SizeOf<RouteMessage>(),
            Marshal.SizeOf<NeighbourMessage>(), Marshal.SizeOf<RuleMessage>(), Marshal.SizeOf<GenericMessage>()));
        Assert.Equal((12, 20, 16), (Marshal.SizeOf<Interop.Sockets.SockaddrNl>(), Marshal.SizeOf<Interop.Sockets.SockaddrLl>(), Marshal.SizeOf<Interop.Sockets.PacketMreq>()));
        Assert.Equal((8, 16, 8), (Marshal.SizeOf<Interop.PacketFilter.SockFilter>(), Marshal.SizeOf<Interop.PacketFilter.SockFprog>(), Marshal.SizeOf<Interop.PacketFilter.TpacketStats>()));
        Assert.Equal(256, Marshal.SizeOf<Interop.FileCalls.Statx>());
    }

    [Fact]
    public void Frames_Ipv4Announcement_IsARequestAndAReplyAboutItself()
    {
        byte[][] frames = [.. Frames.Announce([2, 0, 0, 0, 0, 7], IPAddress.Parse("10.0.0.7"), router: false)];

        Assert.Equal("FFFFFFFFFFFF0200000000070806" + "0001080006040001" + "0200000000070A000007" + "0000000000000A000007", Convert.ToHexString(frames[0]));
        Assert.Equal("FFFFFFFFFFFF0200000000070806" + "0001080006040002" + "0200000000070A000007" + "0200000000070A000007", Convert.ToHexString(frames[1]));
        Assert.Equal(2, frames.Length);
    }

    [Fact]
    public void Frames_Ipv6Announcement_IsAnAdvertisementWithAValidChecksum()
    {
        byte[] frame = Assert.Single(Frames.Announce([2, 0, 0, 0, 0, 7], IPAddress.Parse("fd77::7"), router: true));

        Assert.Equal("333300000001" + "020000000007" + "86DD" + "60000000" + "0020" + "3A" + "FF", Convert.ToHexString(frame.AsSpan(0, 22)));
        Assert.Equal("FF020000000000000000000000000001", Convert.ToHexString(frame.AsSpan(38, 16)));
        Assert.Equal((136, 0xA0), (frame[54], frame[58]));
        // One's complement over pseudo header and message, checksum included, is all ones (RFC 1071).
        uint sum = 32 + 58;
        for (int i = 22; i < frame.Length; i += 2)
            sum += (uint)(frame[i] << 8 | frame[i + 1]);
        Assert.Equal(0xffffu, (sum & 0xffff) + (sum >> 16));
    }

    [Theory]
    [InlineData("10.0.0.7")]
    [InlineData("fd77::7")]
    public void Frames_Announcement_IsReadAsAClaimAndAProbeIsNot(string text)
    {
        IPAddress address = IPAddress.Parse(text);

        Assert.True(Frames.TryReadClaim(Frames.Announce([2, 0, 0, 0, 0, 7], address, router: false).First(), out IPAddress claimed, out byte[] mac));
        Assert.Equal((address, "02:00:00:00:00:07"), (claimed, RouteSocket.FormatMac(mac)));
        Assert.False(Frames.TryReadClaim(Frames.Probe([2, 0, 0, 0, 0, 7], address), out _, out _));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(41)]
    [InlineData(60)]
    public void Frames_ShortOrStrange_ClaimNothing(int length) => Assert.False(Frames.TryReadClaim(new byte[length], out _, out _));

    [RootFact]
    public void Namespace_WorkInside_LeavesTheCallerWhereItWas()
    {
        string before = File.ReadAllText("/proc/thread-self/net/dev");
        using NetworkNamespace space = NetworkNamespace.CreateUnnamed();

        string inside = space.Run(() => File.ReadAllText("/proc/thread-self/net/dev"));

        Assert.DoesNotContain("eth0", inside);
        Assert.Equal(before.Split('\n').Length, File.ReadAllText("/proc/thread-self/net/dev").Split('\n').Length);
        Assert.Throws<InvalidOperationException>(() => space.Run<int>(() => throw new InvalidOperationException("passed on")));
    }
}
