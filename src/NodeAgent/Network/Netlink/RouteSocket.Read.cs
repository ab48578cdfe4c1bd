using System.Net;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using static Evacuator.NodeAgent.Interop;

namespace Evacuator.NodeAgent.Network.Netlink;

internal sealed partial class RouteSocket
{
    // Set again by the kernel or by us when the address is made: TENTATIVE, PERMANENT, SECONDARY, DADFAILED, OPTIMISTIC, DEPRECATED, NODAD.
    private const uint DerivedAddressFlags = 0x40 | 0x80 | 0x01 | 0x08 | 0x04 | 0x20 | 0x02;

    // RTNH_F_ONLINK; the others (DEAD, LINKDOWN, OFFLOAD, TRAP) are states of the moment.
    private const uint KeptRouteFlags = 0x4;

    internal IReadOnlyList<LinkInfo> Links()
    {
        List<LinkInfo> links = [];
        _socket.Dump(() => DumpRequest(RTM_GETLINK, new IfInfoMessage()), links.Clear, message =>
        {
            if (message.Type == RTM_NEWLINK && TryReadLink(message, out LinkInfo? link))
                links.Add(link!);
        }, "list network interfaces");
        return links;
    }

    /// <summary>Null if there is no such interface.</summary>
    internal LinkInfo? Link(string name)
    {
        // An answer to a question for one link: the link itself, or ENODEV. Asked by way of a dump it would cost a walk of all.
        NetlinkWriter request = new NetlinkWriter(RTM_GETLINK, NetlinkSocket.NLM_F_REQUEST | NetlinkSocket.NLM_F_ACK)
            .Header(new IfInfoMessage()).Attribute(IFLA_IFNAME, name);
        LinkInfo? found = null;
        int errno = _socket.TryAsk(request, message =>
        {
            if (message.Type == RTM_NEWLINK && TryReadLink(message, out LinkInfo? link))
                found = link;
        }, out string explanation);
        return errno is 0 or ENODEV ? found : throw NetlinkSocket.Refused($"look at interface {name}", errno, explanation);
    }

    /// <summary>Addresses of all interfaces, by interface index.</summary>
    internal ILookup<int, AddressDescription> Addresses()
    {
        List<(int Index, AddressDescription Address)> addresses = [];
        _socket.Dump(() => DumpRequest(RTM_GETADDR, new IfAddressMessage()), addresses.Clear, message =>
        {
            if (message.Type == RTM_NEWADDR && TryReadAddress(message, out int index, out AddressDescription? address))
                addresses.Add((index, address!));
        }, "list addresses");
        return addresses.ToLookup(a => a.Index, a => a.Address);
    }

    /// <summary>
    /// Routes that somebody set, by interface index (0 for those without an interface); those that the kernel makes itself with addresses are
    /// left out. What cannot be expressed is named in <paramref name="strange"/>.
    /// </summary>
    internal ILookup<int, RouteDescription> Routes(List<string> strange)
    {
        List<(int Index, RouteDescription Route)> routes = [];
        void Restart()
        {
            routes.Clear();
            strange.Clear();
        }
        _socket.Dump(() => DumpRequest(RTM_GETROUTE, new RouteMessage()), Restart, message =>
        {
            if (message.Type == RTM_NEWROUTE && TryReadRoute(message, strange, out int index, out RouteDescription? route))
                routes.Add((index, route!));
        }, "list routes");
        return routes.ToLookup(r => r.Index, r => r.Route);
    }

    /// <summary>Neighbours with a known hardware address, by interface index.</summary>
    internal ILookup<int, NeighbourDescription> Neighbours()
    {
        List<(int Index, NeighbourDescription Neighbour)> neighbours = [];
        _socket.Dump(() => DumpRequest(RTM_GETNEIGH, new NeighbourMessage()), neighbours.Clear, message =>
        {
            if (message.Type == RTM_NEWNEIGH && TryReadNeighbour(message, out int index, out NeighbourDescription? neighbour))
                neighbours.Add((index, neighbour!));
        }, "list neighbours");
        return neighbours.ToLookup(n => n.Index, n => n.Neighbour);
    }

    /// <summary>How many policy rules there are beyond the three that every namespace has (and their two of IPv6).</summary>
    internal int CustomRules()
    {
        const ushort FRA_PRIORITY = 6;
        int custom = 0;
        _socket.Dump(() => DumpRequest(RTM_GETRULE, new RuleMessage()), () => custom = 0, message =>
        {
            if (!message.TrySplit(out RuleMessage rule, out AttributeReader attributes) || rule.Family is not (Sockets.AF_INET or Sockets.AF_INET6))
                return;
            uint priority = 0;
            while (attributes.TryNext(out NetlinkAttribute attribute))
                if (attribute.Type == FRA_PRIORITY)
                    priority = attribute.UInt32;
            if (priority is not (0 or 32766 or 32767))
                custom++;
        }, "list routing rules");
        return custom;
    }

    /// <summary>The number by which this namespace knows another one; null if it has none for it.</summary>
    internal int? NamespaceId(SafeFileHandle other)
    {
        NetlinkWriter request = new NetlinkWriter(RTM_GETNSID, NetlinkSocket.NLM_F_REQUEST | NetlinkSocket.NLM_F_ACK)
            .Header(new GenericMessage()).Attribute(NETNSA_FD, (uint)other.DangerousGetHandle());
        int? id = null;
        int errno = _socket.TryAsk(request, message =>
        {
            if (message.Type != RTM_NEWNSID || !message.TrySplit(out GenericMessage _, out AttributeReader attributes))
                return;
            while (attributes.TryNext(out NetlinkAttribute attribute))
                if (attribute.Type == NETNSA_NSID && attribute.Int32 >= 0)
                    id = attribute.Int32;
        }, out string explanation);
        GC.KeepAlive(other);
        return errno == 0 ? id : throw NetlinkSocket.Refused("identify a network namespace", errno, explanation);
    }

    internal static bool TryReadLink(NetlinkMessage message, out LinkInfo? link)
    {
        link = null;
        if (!message.TrySplit(out IfInfoMessage header, out AttributeReader attributes))
            return false;
        string name = "", kind = "", slaveKind = "";
        string? mac = null;
        int mtu = 0, master = 0, peer = 0;
        int? peerNamespace = null;
        byte? portState = null;
        BridgePortDescription? port = null;
        BridgeInfo? bridge = null;
        while (attributes.TryNext(out NetlinkAttribute attribute))
            switch (attribute.Type)
            {
                case IFLA_IFNAME: name = attribute.Text; break;
                case IFLA_ADDRESS when attribute.Payload.Length == 6: mac = FormatMac(attribute.Payload); break;
                case IFLA_MTU: mtu = attribute.Int32; break;
                case IFLA_MASTER: master = attribute.Int32; break;
                case IFLA_LINK: peer = attribute.Int32; break;
                case IFLA_LINK_NETNSID: peerNamespace = attribute.Int32; break;
                case IFLA_LINKINFO:
                    AttributeReader info = attribute.Nested;
                    while (info.TryNext(out NetlinkAttribute part))
                        switch (part.Type)
                        {
                            case IFLA_INFO_KIND: kind = part.Text; break;
                            case IFLA_INFO_DATA when kind == "bridge": bridge = ReadBridge(part.Nested); break;
                            case IFLA_INFO_SLAVE_KIND: slaveKind = part.Text; break;
                            case IFLA_INFO_SLAVE_DATA when slaveKind == "bridge": (portState, port) = ReadPort(part.Nested); break;
                        }
                    break;
            }
        link = new LinkInfo(header.Index, name, kind, header.Flags, mac, mtu, master, peer, peerNamespace, portState, port, bridge);
        return name.Length > 0;
    }

    private static BridgeInfo ReadBridge(AttributeReader attributes)
    {
        BridgeInfo bridge = new(KernelStp: false, VlanFiltering: false);
        while (attributes.TryNext(out NetlinkAttribute attribute))
            switch (attribute.Type)
            {
                case IFLA_BR_STP_STATE: bridge = bridge with { KernelStp = attribute.UInt32 == 1 }; break;
                case IFLA_BR_VLAN_FILTERING: bridge = bridge with { VlanFiltering = attribute.Byte != 0 }; break;
            }
        return bridge;
    }

    private static (byte? State, BridgePortDescription Port) ReadPort(AttributeReader attributes)
    {
        byte? state = null;
        BridgePortDescription port = new(Isolated: false, Hairpin: false, Guard: false, Learning: true, UnicastFlood: true, MulticastFlood: true);
        while (attributes.TryNext(out NetlinkAttribute attribute))
        {
            bool on = attribute.Byte != 0;
            switch (attribute.Type)
            {
                case IFLA_BRPORT_STATE: state = attribute.Byte; break;
                case IFLA_BRPORT_MODE: port = port with { Hairpin = on }; break;
                case IFLA_BRPORT_GUARD: port = port with { Guard = on }; break;
                case IFLA_BRPORT_LEARNING: port = port with { Learning = on }; break;
                case IFLA_BRPORT_UNICAST_FLOOD: port = port with { UnicastFlood = on }; break;
                case IFLA_BRPORT_MCAST_FLOOD: port = port with { MulticastFlood = on }; break;
                case IFLA_BRPORT_ISOLATED: port = port with { Isolated = on }; break;
            }
        }
        return (state, port);
    }

    internal static bool TryReadAddress(NetlinkMessage message, out int index, out AddressDescription? address)
    {
        index = 0;
        address = null;
        if (!message.TrySplit(out IfAddressMessage header, out AttributeReader attributes) || header.Family is not (Sockets.AF_INET or Sockets.AF_INET6))
            return false;
        string? local = null, remote = null, broadcast = null, label = null;
        uint flags = header.Flags;
        uint? valid = null, preferred = null;
        while (attributes.TryNext(out NetlinkAttribute attribute))
            switch (attribute.Type)
            {
                case IFA_ADDRESS: remote = FormatAddress(attribute.Payload); break;
                case IFA_LOCAL: local = FormatAddress(attribute.Payload); break;
                case IFA_BROADCAST: broadcast = FormatAddress(attribute.Payload); break;
                case IFA_LABEL: label = attribute.Text; break;
                case IFA_FLAGS: flags = attribute.UInt32; break;
                case IFA_CACHEINFO when attribute.Payload.Length >= 8:
                    preferred = Lifetime(MemoryMarshal.Read<uint>(attribute.Payload));
                    valid = Lifetime(MemoryMarshal.Read<uint>(attribute.Payload[4..]));
                    break;
            }
        // IPv4 tells its own address as LOCAL and the peer (or the same) as ADDRESS; IPv6 tells ADDRESS alone unless there is a peer.
        string? own = local ?? remote;
        if (own is null)
            return false;
        index = header.Index;
        address = new AddressDescription(
            own, header.PrefixLength, header.Scope, flags & ~DerivedAddressFlags, broadcast, label,
            remote is not null && remote != own ? remote : null, valid, preferred);
        return true;
    }

    internal static bool TryReadRoute(NetlinkMessage message, List<string> strange, out int index, out RouteDescription? route)
    {
        index = 0;
        route = null;
        if (!message.TrySplit(out RouteMessage header, out AttributeReader attributes) || header.Family is not (Sockets.AF_INET or Sockets.AF_INET6))
            return false;
        uint table = header.Table;
        string destination = header.Family == Sockets.AF_INET ? "0.0.0.0" : "::";
        string? gateway = null, source = null, odd = header.SourceLength > 0 ? "a source prefix" : null;
        uint? priority = null;
        Dictionary<int, uint>? metrics = null;
        while (attributes.TryNext(out NetlinkAttribute attribute))
            switch (attribute.Type)
            {
                case RTA_TABLE: table = attribute.UInt32; break;
                case RTA_DST: destination = FormatAddress(attribute.Payload) ?? destination; break;
                case RTA_OIF: index = attribute.Int32; break;
                case RTA_GATEWAY: gateway = FormatAddress(attribute.Payload); break;
                case RTA_PREFSRC: source = FormatAddress(attribute.Payload); break;
                case RTA_PRIORITY: priority = attribute.UInt32; break;
                case RTA_METRICS: metrics = ReadMetrics(attribute.Nested); break;
                case RTA_MULTIPATH: odd = "several next hops"; break;
                case RTA_VIA: odd = "a gateway of another family"; break;
                case RTA_ENCAP: odd = "an encapsulation"; break;
                case RTA_NH_ID: odd = "a next hop object"; break;
            }
        if (table == RT_TABLE_LOCAL || header.Protocol == RTPROT_KERNEL || (header.Flags & RTM_F_CLONED) != 0)
            return false;
        if (odd is not null)
        {
            strange.Add($"the route to {destination}/{header.DestinationLength} has {odd}");
            return false;
        }
        route = new RouteDescription(
            $"{destination}/{header.DestinationLength}", table, header.Protocol, header.Scope, header.Type, gateway, source, priority,
            header.Flags & KeptRouteFlags, header.Tos, metrics is { Count: > 0 } ? metrics : null);
        return true;
    }

    private static bool TryReadNeighbour(NetlinkMessage message, out int index, out NeighbourDescription? neighbour)
    {
        const ushort useful = (ushort)(NeighbourState.Reachable | NeighbourState.Stale | NeighbourState.Delay | NeighbourState.Probe | NeighbourState.Permanent);
        index = 0;
        neighbour = null;
        if (!message.TrySplit(out NeighbourMessage header, out AttributeReader attributes) || header.Family is not (Sockets.AF_INET or Sockets.AF_INET6)
            || (header.State & useful) == 0 || (header.Flags & NTF_PROXY) != 0)
            return false;
        string? address = null, mac = null;
        while (attributes.TryNext(out NetlinkAttribute attribute))
            switch (attribute.Type)
            {
                case NDA_DST: address = FormatAddress(attribute.Payload); break;
                case NDA_LLADDR when attribute.Payload.Length == 6: mac = FormatMac(attribute.Payload); break;
            }
        if (address is null || mac is null)
            return false;
        index = header.Index;
        neighbour = new NeighbourDescription(address, mac, (NeighbourState)header.State, (header.Flags & NTF_ROUTER) != 0);
        return true;
    }

    private static Dictionary<int, uint> ReadMetrics(AttributeReader attributes)
    {
        Dictionary<int, uint> metrics = [];
        while (attributes.TryNext(out NetlinkAttribute attribute))
            if (attribute.Payload.Length == 4)
                metrics[attribute.Type] = attribute.UInt32;
        return metrics;
    }

    private static string? FormatAddress(ReadOnlySpan<byte> bytes) => bytes.Length is 4 or 16 ? new IPAddress(bytes).ToString() : null;

    private static uint? Lifetime(uint seconds) => seconds == uint.MaxValue ? null : seconds;
}
