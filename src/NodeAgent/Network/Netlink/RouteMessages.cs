using System.Runtime.InteropServices;

namespace Evacuator.NodeAgent.Network.Netlink;

/// <summary>struct ifinfomsg, 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IfInfoMessage
{
    internal byte Family;
    internal byte Pad;
    internal ushort Type;
    internal int Index;
    internal uint Flags;
    internal uint Change;
}

/// <summary>struct ifaddrmsg, 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IfAddressMessage
{
    internal byte Family;
    internal byte PrefixLength;
    internal byte Flags;
    internal byte Scope;
    internal int Index;
}

/// <summary>struct rtmsg, 12 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RouteMessage
{
    internal byte Family;
    internal byte DestinationLength;
    internal byte SourceLength;
    internal byte Tos;
    internal byte Table;
    internal byte Protocol;
    internal byte Scope;
    internal byte Type;
    internal uint Flags;
}

/// <summary>struct ndmsg, 12 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NeighbourMessage
{
    internal byte Family;
    internal byte Pad1;
    internal ushort Pad2;
    internal int Index;
    internal ushort State;
    internal byte Flags;
    internal byte Type;
}

/// <summary>struct fib_rule_hdr, 12 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RuleMessage
{
    internal byte Family;
    internal byte DestinationLength;
    internal byte SourceLength;
    internal byte Tos;
    internal byte Table;
    internal byte Reserved1;
    internal byte Reserved2;
    internal byte Action;
    internal uint Flags;
}

/// <summary>struct rtgenmsg, padded to 4 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct GenericMessage
{
    internal byte Family;
    internal byte Pad1;
    internal ushort Pad2;
}

/// <summary>A link as RTM_NEWLINK describes it.</summary>
/// <param name="Kind">veth, bridge, …; empty for a physical one</param>
/// <param name="PeerIndex">IFLA_LINK: index of a veth's other end, in that end's namespace; 0 if none</param>
/// <param name="PeerNamespace">IFLA_LINK_NETNSID: that namespace as this one numbers it; null if it is this one</param>
/// <param name="PortState">BR_STATE_* if it is a bridge port</param>
/// <param name="Bridge">set if it is a bridge</param>
internal sealed record LinkInfo(
    int Index, string Name, string Kind, uint Flags, string? Mac, int Mtu, int MasterIndex, int PeerIndex, int? PeerNamespace,
    byte? PortState, BridgePortDescription? Port, BridgeInfo? Bridge)
{
    internal const uint IFF_UP = 1;
    internal const uint IFF_LOOPBACK = 8;

    internal bool Up => (Flags & IFF_UP) != 0;

    internal bool Loopback => (Flags & IFF_LOOPBACK) != 0;
}

/// <summary>What of a bridge decides whether a container can live on it.</summary>
/// <param name="KernelStp">the kernel's own spanning tree runs: a new port is silent for twice the forward delay</param>
/// <param name="VlanFiltering">ports belong to VLANs</param>
internal sealed record BridgeInfo(bool KernelStp, bool VlanFiltering);
