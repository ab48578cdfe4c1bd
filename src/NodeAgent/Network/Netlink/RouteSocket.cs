using System.Globalization;
using System.Net;
using static Evacuator.NodeAgent.Interop;

namespace Evacuator.NodeAgent.Network.Netlink;

/// <summary>Links, addresses, routes and neighbours of one network namespace (rtnetlink). Not thread-safe.</summary>
internal sealed partial class RouteSocket : IDisposable
{
    private const ushort RTM_NEWLINK = 16;
    private const ushort RTM_DELLINK = 17;
    private const ushort RTM_GETLINK = 18;
    private const ushort RTM_SETLINK = 19;
    private const ushort RTM_NEWADDR = 20;
    private const ushort RTM_GETADDR = 22;
    private const ushort RTM_NEWROUTE = 24;
    private const ushort RTM_GETROUTE = 26;
    private const ushort RTM_NEWNEIGH = 28;
    private const ushort RTM_DELNEIGH = 29;
    private const ushort RTM_GETNEIGH = 30;
    private const ushort RTM_GETRULE = 34;
    private const ushort RTM_NEWNSID = 88;
    private const ushort RTM_GETNSID = 90;

    private const ushort IFLA_ADDRESS = 1;
    private const ushort IFLA_IFNAME = 3;
    private const ushort IFLA_MTU = 4;
    private const ushort IFLA_LINK = 5;
    private const ushort IFLA_MASTER = 10;
    private const ushort IFLA_PROTINFO = 12;
    private const ushort IFLA_LINKINFO = 18;
    private const ushort IFLA_AF_SPEC = 26;
    private const ushort IFLA_NET_NS_FD = 28;
    private const ushort IFLA_LINK_NETNSID = 37;
    private const ushort IFLA_INFO_KIND = 1;
    private const ushort IFLA_INFO_DATA = 2;
    private const ushort IFLA_INFO_SLAVE_KIND = 4;
    private const ushort IFLA_INFO_SLAVE_DATA = 5;
    private const ushort VETH_INFO_PEER = 1;
    private const ushort IFLA_INET6_ADDR_GEN_MODE = 8;

    private const ushort IFLA_BR_STP_STATE = 5;
    private const ushort IFLA_BR_VLAN_FILTERING = 7;
    private const ushort IFLA_BRPORT_STATE = 1;
    private const ushort IFLA_BRPORT_MODE = 4;
    private const ushort IFLA_BRPORT_GUARD = 5;
    private const ushort IFLA_BRPORT_LEARNING = 8;
    private const ushort IFLA_BRPORT_UNICAST_FLOOD = 9;
    private const ushort IFLA_BRPORT_MCAST_FLOOD = 27;
    private const ushort IFLA_BRPORT_ISOLATED = 33;

    private const ushort IFA_ADDRESS = 1;
    private const ushort IFA_LOCAL = 2;
    private const ushort IFA_LABEL = 3;
    private const ushort IFA_BROADCAST = 4;
    private const ushort IFA_CACHEINFO = 6;
    private const ushort IFA_FLAGS = 8;

    private const ushort RTA_DST = 1;
    private const ushort RTA_OIF = 4;
    private const ushort RTA_GATEWAY = 5;
    private const ushort RTA_PRIORITY = 6;
    private const ushort RTA_PREFSRC = 7;
    private const ushort RTA_METRICS = 8;
    private const ushort RTA_MULTIPATH = 9;
    private const ushort RTA_TABLE = 15;
    private const ushort RTA_VIA = 18;
    private const ushort RTA_ENCAP = 22;
    private const ushort RTA_NH_ID = 30;

    private const ushort NDA_DST = 1;
    private const ushort NDA_LLADDR = 2;

    private const ushort NETNSA_NSID = 1;
    private const ushort NETNSA_FD = 3;

    internal const uint IFA_F_TENTATIVE = 0x40;
    internal const uint IFA_F_NODAD = 0x02;

    internal const byte BR_STATE_DISABLED = 0;
    internal const byte BR_STATE_FORWARDING = 3;

    private const byte NTF_PROXY = 0x08;
    private const byte NTF_ROUTER = 0x80;
    private const byte RT_TABLE_COMPAT = 252;
    private const uint RT_TABLE_LOCAL = 255;
    private const byte RTPROT_KERNEL = 2;
    private const uint RTM_F_CLONED = 0x200;

    private const int ENOENT = 2;
    private const int EEXIST = 17;
    private const int ENODEV = 19;

    private readonly NetlinkSocket _socket;

    private RouteSocket(NetlinkSocket socket) => _socket = socket;

    /// <summary>For the network namespace of the calling thread.</summary>
    internal static RouteSocket Open() => new(NetlinkSocket.Open());

    public void Dispose() => _socket.Dispose();

    internal static string FormatMac(ReadOnlySpan<byte> mac) =>
        string.Create(CultureInfo.InvariantCulture, $"{mac[0]:x2}:{mac[1]:x2}:{mac[2]:x2}:{mac[3]:x2}:{mac[4]:x2}:{mac[5]:x2}");

    /// <summary>Six bytes from aa:bb:cc:dd:ee:ff.</summary>
    /// <exception cref="NetworkException">it is not of that form</exception>
    internal static byte[] ParseMac(string mac) =>
        TryParseMac(mac, out byte[] bytes) ? bytes : throw new NetworkException($"'{mac}' is not a hardware address");

    internal static bool TryParseMac(string text, out byte[] mac)
    {
        mac = new byte[6];
        string[] parts = text.Split(':');
        if (parts.Length != mac.Length)
            return false;
        for (int i = 0; i < mac.Length; i++)
            if (parts[i].Length != 2 || !byte.TryParse(parts[i], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out mac[i]))
                return false;
        return true;
    }

    private static byte FamilyOf(IPAddress address) =>
        (byte)(address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? Sockets.AF_INET6 : Sockets.AF_INET);

    private static NetlinkWriter DumpRequest<T>(ushort type, T header) where T : unmanaged =>
        new NetlinkWriter(type, NetlinkSocket.NLM_F_REQUEST | NetlinkSocket.NLM_F_DUMP).Header(header);

    private static NetlinkWriter ChangeRequest<T>(ushort type, T header, ushort flags = 0) where T : unmanaged =>
        new NetlinkWriter(type, (ushort)(NetlinkSocket.NLM_F_REQUEST | NetlinkSocket.NLM_F_ACK | flags)).Header(header);
}
