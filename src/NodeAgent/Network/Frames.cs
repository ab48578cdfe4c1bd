using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Evacuator.NodeAgent.Network;

/// <summary>Ethernet frames that tell or ask who has an address: ARP (RFC 826, 5227), neighbour discovery (RFC 4861), and RARP for a bare MAC.</summary>
internal static class Frames
{
    private const int EthernetLength = 14;
    private const int ArpLength = EthernetLength + 28;
    private const int Ipv6HeaderLength = 40;
    internal const ushort EtherTypeIpv6 = 0x86dd;
    internal const ushort EtherTypeArp = 0x0806;
    private const ushort EtherTypeRarp = 0x8035;
    private const ushort ArpRequest = 1;
    private const ushort ArpReply = 2;
    private const ushort RarpRequest = 3;
    private const byte IcmpV6 = 58;
    private const byte NeighbourSolicitation = 135;
    private const byte NeighbourAdvertisement = 136;
    private const byte TargetLinkAddress = 2;

    private static readonly byte[] Broadcast = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    private static readonly IPAddress AllNodes = IPAddress.Parse("ff02::1");

    /// <summary>
    /// What makes switches and neighbours send to the new place: for IPv4 an ARP request and a reply about itself (some stacks heed only one
    /// of the two), for IPv6 an unsolicited advertisement with override.
    /// </summary>
    internal static IEnumerable<byte[]> Announce(byte[] mac, IPAddress address, bool router)
    {
        if (address.AddressFamily == AddressFamily.InterNetworkV6)
        {
            yield return Advertisement(mac, address, router);
            yield break;
        }
        byte[] own = address.GetAddressBytes();
        yield return Arp(EtherTypeArp, ArpRequest, mac, own, new byte[6], own);
        yield return Arp(EtherTypeArp, ArpReply, mac, own, mac, own);
    }

    /// <summary>For an interface without addresses: only switches and bridges learn from it where the MAC lives now.</summary>
    internal static byte[] AnnounceMac(byte[] mac) => Arp(EtherTypeRarp, RarpRequest, mac, new byte[4], mac, new byte[4]);

    /// <summary>Asks who has the address without claiming it (sender 0.0.0.0, or :: as in duplicate address detection).</summary>
    internal static byte[] Probe(byte[] mac, IPAddress address) =>
        address.AddressFamily == AddressFamily.InterNetworkV6
            ? Solicitation(mac, address)
            : Arp(EtherTypeArp, ArpRequest, mac, new byte[4], new byte[6], address.GetAddressBytes());

    /// <summary>Whether the frame says that somebody has an address, and which hardware address he has.</summary>
    internal static bool TryReadClaim(ReadOnlySpan<byte> frame, out IPAddress address, out byte[] mac)
    {
        address = IPAddress.None;
        mac = [];
        if (frame.Length < ArpLength)
            return false;
        ushort etherType = BinaryPrimitives.ReadUInt16BigEndian(frame[12..]);
        if (etherType == EtherTypeArp)
        {
            ReadOnlySpan<byte> sender = frame.Slice(EthernetLength + 14, 4);
            // A sender of zero is itself a probe and claims nothing. htype 1, ptype IPv4, lengths 6 and 4.
            if (!frame.Slice(EthernetLength, 6).SequenceEqual((ReadOnlySpan<byte>)[0, 1, 8, 0, 6, 4]) || !sender.ContainsAnyExcept((byte)0))
                return false;
            address = new IPAddress(sender);
            mac = frame.Slice(EthernetLength + 8, 6).ToArray();
            return true;
        }
        const int icmp = EthernetLength + Ipv6HeaderLength;
        if (etherType != EtherTypeIpv6 || frame.Length < icmp + 24 || frame[EthernetLength + 6] != IcmpV6 || frame[icmp] != NeighbourAdvertisement)
            return false;
        address = new IPAddress(frame.Slice(icmp + 8, 16));
        bool hasOption = frame.Length >= icmp + 32 && frame[icmp + 24] == TargetLinkAddress && frame[icmp + 25] == 1;
        mac = (hasOption ? frame.Slice(icmp + 26, 6) : frame.Slice(6, 6)).ToArray();
        return true;
    }

    /// <summary>Whether an interface would want the frame: sent to it alone, or asking all for one of its addresses; and not sent by itself.</summary>
    internal static bool IsFor(ReadOnlySpan<byte> frame, ReadOnlySpan<byte> mac, IReadOnlyList<IPAddress> addresses)
    {
        if (frame.Length < EthernetLength || frame.Slice(6, 6).SequenceEqual(mac))
            return false;
        if (frame[..6].SequenceEqual(mac))
            return true;
        ushort etherType = BinaryPrimitives.ReadUInt16BigEndian(frame[12..]);
        if (etherType == EtherTypeArp && frame.Length >= ArpLength)
            return BinaryPrimitives.ReadUInt16BigEndian(frame[(EthernetLength + 6)..]) == ArpRequest && Has(addresses, frame.Slice(EthernetLength + 24, 4));
        const int icmp = EthernetLength + Ipv6HeaderLength;
        return etherType == EtherTypeIpv6 && frame.Length >= icmp + 24 && frame[EthernetLength + 6] == IcmpV6 && frame[icmp] == NeighbourSolicitation
            && Has(addresses, frame.Slice(icmp + 8, 16));
    }

    private static bool Has(IReadOnlyList<IPAddress> addresses, ReadOnlySpan<byte> bytes)
    {
        IPAddress wanted = new(bytes);
        return addresses.Any(address => address.Equals(wanted));
    }

    // Ethernet: destination 6, source 6, type 2. ARP: htype, ptype, hlen, plen, operation, then sender and target (hardware 6, protocol 4).
    private static byte[] Arp(ushort etherType, ushort operation, byte[] senderMac, byte[] sender, byte[] targetMac, byte[] target)
    {
        byte[] frame = new byte[ArpLength];
        Ethernet(frame, Broadcast, senderMac, etherType);
        Span<byte> arp = frame.AsSpan(EthernetLength);
        ((ReadOnlySpan<byte>)[0, 1, 8, 0, 6, 4]).CopyTo(arp);
        BinaryPrimitives.WriteUInt16BigEndian(arp[6..], operation);
        senderMac.CopyTo(arp[8..]);
        sender.CopyTo(arp[14..]);
        targetMac.CopyTo(arp[18..]);
        target.CopyTo(arp[24..]);
        return frame;
    }

    private static byte[] Advertisement(byte[] mac, IPAddress address, bool router)
    {
        // type, code, checksum, flags (R 0x80, S 0x40, O 0x20) and reserved, target, option: target link-layer address.
        byte[] message = new byte[32];
        message[0] = NeighbourAdvertisement;
        message[4] = (byte)(0x20 | (router ? 0x80 : 0));
        address.GetAddressBytes().CopyTo(message, 8);
        message[24] = TargetLinkAddress;
        message[25] = 1;
        mac.CopyTo(message, 26);
        return Icmp(mac, [0x33, 0x33, 0, 0, 0, 1], address.GetAddressBytes(), AllNodes.GetAddressBytes(), message);
    }

    private static byte[] Solicitation(byte[] mac, IPAddress address)
    {
        byte[] target = address.GetAddressBytes();
        byte[] message = new byte[24];
        message[0] = NeighbourSolicitation;
        target.CopyTo(message, 8);
        // Solicited-node multicast: ff02::1:ff and the last three bytes of the address.
        byte[] group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, target[13], target[14], target[15]];
        return Icmp(mac, [0x33, 0x33, 0xff, target[13], target[14], target[15]], new byte[16], group, message);
    }

    private static byte[] Icmp(byte[] mac, byte[] destinationMac, byte[] source, byte[] destination, byte[] message)
    {
        byte[] frame = new byte[EthernetLength + Ipv6HeaderLength + message.Length];
        Ethernet(frame, destinationMac, mac, EtherTypeIpv6);
        Span<byte> header = frame.AsSpan(EthernetLength);
        header[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(header[4..], (ushort)message.Length);
        header[6] = IcmpV6;
        header[7] = 255; // Receivers drop neighbour discovery that could have been routed (RFC 4861, 7.1).
        source.CopyTo(header[8..]);
        destination.CopyTo(header[24..]);
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(2), Checksum(source, destination, message));
        message.CopyTo(header[Ipv6HeaderLength..]);
        return frame;
    }

    // RFC 4443, 2.3: over source, destination, length, next header and the message with a checksum of zero.
    private static ushort Checksum(byte[] source, byte[] destination, byte[] message)
    {
        uint sum = (uint)message.Length + IcmpV6;
        foreach (byte[] part in (byte[][])[source, destination, message])
            for (int i = 0; i < part.Length; i += 2)
                sum += BinaryPrimitives.ReadUInt16BigEndian(part.AsSpan(i));
        while (sum >> 16 != 0)
            sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)~sum;
    }

    private static void Ethernet(byte[] frame, byte[] destination, byte[] source, ushort type)
    {
        destination.CopyTo(frame, 0);
        source.CopyTo(frame, 6);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), type);
    }
}
