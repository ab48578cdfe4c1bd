using System.Runtime.InteropServices;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.Network.Netlink;

namespace Evacuator.NodeAgent.Containers;

internal sealed partial class Preflight
{
    private const ushort SOCK_DIAG_BY_FAMILY = 20;
    private const byte AF_UNIX = 1;
    private const byte SOCK_DGRAM = 2;
    private const uint UDIAG_SHOW_NAME = 1;
    private const uint UDIAG_SHOW_PEER = 4;
    private const ushort UNIX_DIAG_PEER = 2;
    private const int NETLINK_SOCK_DIAG = 4;

    /// <summary>
    /// A unix connection has two ends; if the other one is of the host (a log daemon's socket bound into the container, D-Bus), it cannot be cut
    /// and made again elsewhere. Datagram sockets connected to a name can: CRIU connects them anew.
    /// </summary>
    private void CheckUnixPeers(ContainerDescription container, HashSet<ulong> own, List<Blocker> blockers)
    {
        if (own.Count == 0)
            return;
        List<(ulong Inode, ulong Peer)> pairs;
        try
        {
            using NetworkNamespace space = NetworkNamespace.Open($"{_paths.Proc}/{container.InitPid}/ns/net");
            using NetlinkSocket diag = space.Run(() => NetlinkSocket.Open(NETLINK_SOCK_DIAG));
            pairs = UnixPairs(diag);
        }
        catch (NetworkException e)
        {
            blockers.Add(new Blocker(BlockerCode.Unreadable, $"its unix sockets cannot be looked at: {e.Message}"));
            return;
        }
        foreach ((ulong inode, ulong peer) in pairs.Where(pair => own.Contains(pair.Inode) && pair.Peer != 0 && !own.Contains(pair.Peer)).Take(PerProcess))
            blockers.Add(new Blocker(
                BlockerCode.ExternalSocket, $"its unix socket {inode} is connected to socket {peer} outside of the container; ss -xp names both ends: close it, or do not bind the host's socket into the container"));
    }

    private static List<(ulong Inode, ulong Peer)> UnixPairs(NetlinkSocket diag)
    {
        List<(ulong, ulong)> pairs = [];
        diag.Dump(
            () => new NetlinkWriter(SOCK_DIAG_BY_FAMILY, NetlinkSocket.NLM_F_REQUEST | NetlinkSocket.NLM_F_DUMP)
                .Header(new UnixDiagRequest { Family = AF_UNIX, States = uint.MaxValue, Show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER }),
            pairs.Clear,
            message =>
            {
                if (!message.TrySplit(out UnixDiagMessage socket, out AttributeReader attributes) || socket.Type == SOCK_DGRAM)
                    return;
                while (attributes.TryNext(out NetlinkAttribute attribute))
                    if (attribute.Type == UNIX_DIAG_PEER)
                        pairs.Add((socket.Inode, attribute.UInt32));
            },
            "list unix sockets");
        return pairs;
    }

    /// <summary>struct unix_diag_req, 24 bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct UnixDiagRequest
    {
        internal byte Family;
        internal byte Protocol;
        internal ushort Pad;
        internal uint States;
        internal uint Inode;
        internal uint Show;
        internal uint Cookie0;
        internal uint Cookie1;
    }

    /// <summary>struct unix_diag_msg, 16 bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct UnixDiagMessage
    {
        internal byte Family;
        internal byte Type;
        internal byte State;
        internal byte Pad;
        internal uint Inode;
        internal uint Cookie0;
        internal uint Cookie1;
    }
}
