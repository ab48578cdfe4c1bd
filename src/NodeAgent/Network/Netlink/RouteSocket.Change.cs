using System.Net;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using static Evacuator.NodeAgent.Interop;

namespace Evacuator.NodeAgent.Network.Netlink;

internal sealed partial class RouteSocket
{
    internal void SetUp(int index, bool up, string name)
    {
        IfInfoMessage link = new() { Index = index, Flags = up ? LinkInfo.IFF_UP : 0, Change = LinkInfo.IFF_UP };
        _socket.Change(ChangeRequest(RTM_NEWLINK, link), $"set interface {name} {(up ? "up" : "down")}");
    }

    internal void SetMaster(int index, int masterIndex, string name, string masterName) =>
        _socket.Change(
            ChangeRequest(RTM_NEWLINK, new IfInfoMessage { Index = index }).Attribute(IFLA_MASTER, masterIndex), $"put interface {name} on bridge {masterName}");

    /// <summary>IN6_ADDR_GEN_MODE_*: 1 keeps the kernel from making a link-local address by itself.</summary>
    internal void SetAddressGeneration(int index, byte mode, string name) =>
        _socket.Change(
            ChangeRequest(RTM_NEWLINK, new IfInfoMessage { Index = index }).Nested(IFLA_AF_SPEC, families =>
                families.Nested(Sockets.AF_INET6, inet6 => inet6.Attribute(IFLA_INET6_ADDR_GEN_MODE, mode))),
            $"set the IPv6 address mode of interface {name}");

    /// <summary>Lets a bridge port pass frames or not; errno of the kernel (EBUSY while its STP owns the state), 0 when done.</summary>
    internal int TrySetPortState(int index, byte state)
    {
        IfInfoMessage link = new() { Family = Sockets.AF_BRIDGE, Index = index };
        return _socket.TryChange(ChangeRequest(RTM_SETLINK, link).Nested(IFLA_PROTINFO, port => port.Attribute(IFLA_BRPORT_STATE, state)), out _);
    }

    internal void SetPort(int index, BridgePortDescription settings, string name)
    {
        static byte Byte(bool on) => on ? (byte)1 : (byte)0;
        IfInfoMessage link = new() { Family = Sockets.AF_BRIDGE, Index = index };
        _socket.Change(ChangeRequest(RTM_SETLINK, link).Nested(IFLA_PROTINFO, port => port
            .Attribute(IFLA_BRPORT_MODE, Byte(settings.Hairpin))
            .Attribute(IFLA_BRPORT_GUARD, Byte(settings.Guard))
            .Attribute(IFLA_BRPORT_LEARNING, Byte(settings.Learning))
            .Attribute(IFLA_BRPORT_UNICAST_FLOOD, Byte(settings.UnicastFlood))
            .Attribute(IFLA_BRPORT_MCAST_FLOOD, Byte(settings.MulticastFlood))
            .Attribute(IFLA_BRPORT_ISOLATED, Byte(settings.Isolated))), $"set the bridge port {name}");
    }

    /// <summary>
    /// Makes a veth pair, both ends down. This socket's namespace gets the one described; the other end goes to <paramref name="peerNamespace"/>.
    /// Asked from here and not from the other side, because only the asking side may choose its index (the kernel looks a given index up in
    /// the asker's namespace before 6.15).
    /// </summary>
    internal void AddVeth(InterfaceDescription own, string peerName, string peerMac, SafeFileHandle peerNamespace) =>
        _socket.Change(
            ChangeRequest(RTM_NEWLINK, new IfInfoMessage { Index = own.Index }, NetlinkSocket.NLM_F_CREATE | NetlinkSocket.NLM_F_EXCL)
                .Attribute(IFLA_IFNAME, own.Name)
                .Attribute(IFLA_ADDRESS, ParseMac(own.Mac))
                .Attribute(IFLA_MTU, own.Mtu)
                .Nested(IFLA_LINKINFO, info => info
                    .Attribute(IFLA_INFO_KIND, "veth")
                    .Nested(IFLA_INFO_DATA, data => data
                        .Nested(VETH_INFO_PEER, peer => peer
                            .Header(new IfInfoMessage())
                            .Attribute(IFLA_IFNAME, peerName)
                            .Attribute(IFLA_ADDRESS, ParseMac(peerMac))
                            .Attribute(IFLA_MTU, own.Mtu)
                            .Attribute(IFLA_NET_NS_FD, (uint)peerNamespace.DangerousGetHandle())))),
            $"make veth {own.Name} with the host's end {peerName}");

    /// <summary>For tests and for hosts that have none: a bridge without STP.</summary>
    internal void AddBridge(string name) =>
        _socket.Change(
            ChangeRequest(RTM_NEWLINK, new IfInfoMessage(), NetlinkSocket.NLM_F_CREATE | NetlinkSocket.NLM_F_EXCL)
                .Attribute(IFLA_IFNAME, name)
                .Nested(IFLA_LINKINFO, info => info.Attribute(IFLA_INFO_KIND, "bridge")),
            $"make bridge {name}");

    /// <summary>True if it was there.</summary>
    internal bool RemoveLink(int index, string name)
    {
        int errno = _socket.TryChange(ChangeRequest(RTM_DELLINK, new IfInfoMessage { Index = index }), out string explanation);
        return errno is 0 or ENODEV ? errno == 0 : throw NetlinkSocket.Refused($"remove interface {name}", errno, explanation);
    }

    /// <summary>Adds an address without duplicate address detection: it is known to be ours, and DAD would keep it silent for a second.</summary>
    internal void AddAddress(int index, AddressDescription address)
    {
        IPAddress own = IPAddress.Parse(address.Address);
        byte family = FamilyOf(own);
        uint flags = address.Flags | (family == Sockets.AF_INET6 ? IFA_F_NODAD : 0);
        IfAddressMessage header = new()
        {
            Family = family, PrefixLength = (byte)address.PrefixLength, Flags = (byte)flags, Scope = address.Scope, Index = index,
        };
        NetlinkWriter request = ChangeRequest(RTM_NEWADDR, header, NetlinkSocket.NLM_F_CREATE | NetlinkSocket.NLM_F_REPLACE)
            .Attribute(IFA_LOCAL, own.GetAddressBytes())
            .Attribute(IFA_ADDRESS, address.Peer is { } peer ? IPAddress.Parse(peer).GetAddressBytes() : own.GetAddressBytes())
            .Attribute(IFA_FLAGS, flags);
        if (address.Broadcast is { } broadcast)
            request.Attribute(IFA_BROADCAST, IPAddress.Parse(broadcast).GetAddressBytes());
        if (address.Label is { } label)
            request.Attribute(IFA_LABEL, label);
        if (address.ValidSeconds is not null || address.PreferredSeconds is not null)
        {
            // struct ifa_cacheinfo: preferred, valid, created, updated.
            Span<uint> lifetimes = [address.PreferredSeconds ?? uint.MaxValue, address.ValidSeconds ?? uint.MaxValue, 0, 0];
            request.Attribute(IFA_CACHEINFO, MemoryMarshal.AsBytes(lifetimes));
        }
        _socket.Change(request, $"add address {address.Address}/{address.PrefixLength}");
    }

    /// <summary>Adds a route; one that is there already is left as it is.</summary>
    /// <param name="index">interface, 0 for a route without one</param>
    internal void AddRoute(int index, RouteDescription route)
    {
        IPNetwork destination = IPNetwork.Parse(route.Destination);
        RouteMessage header = new()
        {
            Family = FamilyOf(destination.BaseAddress), DestinationLength = (byte)destination.PrefixLength, Tos = route.Tos,
            Table = route.Table <= byte.MaxValue ? (byte)route.Table : RT_TABLE_COMPAT,
            Protocol = route.Protocol, Scope = route.Scope, Type = route.Type, Flags = route.Flags,
        };
        NetlinkWriter request = ChangeRequest(RTM_NEWROUTE, header, NetlinkSocket.NLM_F_CREATE | NetlinkSocket.NLM_F_EXCL)
            .Attribute(RTA_TABLE, route.Table);
        if (destination.PrefixLength > 0)
            request.Attribute(RTA_DST, destination.BaseAddress.GetAddressBytes());
        if (index != 0)
            request.Attribute(RTA_OIF, index);
        if (route.Gateway is { } gateway)
            request.Attribute(RTA_GATEWAY, IPAddress.Parse(gateway).GetAddressBytes());
        if (route.Source is { } source)
            request.Attribute(RTA_PREFSRC, IPAddress.Parse(source).GetAddressBytes());
        if (route.Priority is { } priority)
            request.Attribute(RTA_PRIORITY, priority);
        if (route.Metrics is { Count: > 0 } metrics)
            request.Nested(RTA_METRICS, nested =>
            {
                foreach ((int type, uint value) in metrics)
                    nested.Attribute((ushort)type, value);
            });
        int errno = _socket.TryChange(request, out string explanation);
        if (errno is not (0 or EEXIST))
            throw NetlinkSocket.Refused($"add route to {route.Destination}{(route.Gateway is null ? "" : $" by {route.Gateway}")}", errno, explanation);
    }

    /// <summary>Sets a neighbour, whatever was known of it before.</summary>
    internal void SetNeighbour(int index, NeighbourDescription neighbour, NeighbourState state)
    {
        IPAddress address = IPAddress.Parse(neighbour.Address);
        NeighbourMessage header = new()
        {
            Family = FamilyOf(address), Index = index, State = (ushort)state, Flags = neighbour.Router ? NTF_ROUTER : (byte)0,
        };
        _socket.Change(
            ChangeRequest(RTM_NEWNEIGH, header, NetlinkSocket.NLM_F_CREATE | NetlinkSocket.NLM_F_REPLACE)
                .Attribute(NDA_DST, address.GetAddressBytes())
                .Attribute(NDA_LLADDR, ParseMac(neighbour.Mac)),
            $"set neighbour {neighbour.Address}");
    }

    internal void RemoveNeighbour(int index, NeighbourDescription neighbour)
    {
        IPAddress address = IPAddress.Parse(neighbour.Address);
        int errno = _socket.TryChange(
            ChangeRequest(RTM_DELNEIGH, new NeighbourMessage { Family = FamilyOf(address), Index = index }).Attribute(NDA_DST, address.GetAddressBytes()),
            out string explanation);
        if (errno is not (0 or ENOENT))
            throw NetlinkSocket.Refused($"remove neighbour {neighbour.Address}", errno, explanation);
    }
}
