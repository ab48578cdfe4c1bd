using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent;

internal static partial class Interop
{
    /// <summary>Sockets of families that .NET has no name for: netlink and packet. Every wrapper answers -1 with errno set, as libc does.</summary>
    internal static unsafe partial class Sockets
    {
        internal const int AF_UNSPEC = 0;
        internal const int AF_INET = 2;
        internal const int AF_BRIDGE = 7;
        internal const int AF_INET6 = 10;
        internal const int AF_NETLINK = 16;
        internal const int AF_PACKET = 17;

        internal const int SOCK_RAW = 3;
        internal const int SOCK_CLOEXEC = 0x80000;
        internal const int SOCK_NONBLOCK = 0x800;

        internal const int NETLINK_ROUTE = 0;
        internal const int NETLINK_NETFILTER = 12;

        internal const int SOL_SOCKET = 1;
        internal const int SO_RCVBUF = 8;
        internal const int SO_RCVTIMEO = 20;
        internal const int SOL_NETLINK = 270;
        internal const int NETLINK_EXT_ACK = 11;
        internal const int SOL_PACKET = 263;
        internal const int PACKET_ADD_MEMBERSHIP = 1;
        internal const int PACKET_MR_ALLMULTI = 2;
        internal const int PACKET_QDISC_BYPASS = 20;

        /// <summary>struct sockaddr_nl, 12 bytes.</summary>
        [StructLayout(LayoutKind.Sequential)]
        internal struct SockaddrNl
        {
            internal ushort Family;
            internal ushort Pad;
            internal uint PortId;
            internal uint Groups;
        }

        /// <summary>struct sockaddr_ll, 20 bytes; Protocol in network order.</summary>
        [StructLayout(LayoutKind.Sequential)]
        internal struct SockaddrLl
        {
            internal ushort Family;
            internal ushort Protocol;
            internal int Index;
            internal ushort HardwareType;
            internal byte PacketType;
            internal byte AddressLength;
            internal fixed byte Address[8];
        }

        /// <summary>struct packet_mreq, 16 bytes.</summary>
        [StructLayout(LayoutKind.Sequential)]
        internal struct PacketMreq
        {
            internal int Index;
            internal ushort Type;
            internal ushort AddressLength;
            internal fixed byte Address[8];
        }

        /// <summary>struct timeval on 64-bit Linux.</summary>
        [StructLayout(LayoutKind.Sequential)]
        internal struct Timeval
        {
            internal long Seconds;
            internal long Microseconds;
        }

        [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
        internal static partial SafeFileHandle Socket(int domain, int type, int protocol);

        [LibraryImport("libc", EntryPoint = "bind", SetLastError = true)]
        internal static partial int Bind(SafeFileHandle socket, void* address, uint length);

        [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
        internal static partial int SetOption(SafeFileHandle socket, int level, int name, void* value, uint length);

        [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
        internal static partial nint Send(SafeFileHandle socket, byte* data, nuint length, int flags);

        [LibraryImport("libc", EntryPoint = "sendto", SetLastError = true)]
        internal static partial nint SendTo(SafeFileHandle socket, byte* data, nuint length, int flags, void* address, uint addressLength);

        [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
        internal static partial nint Receive(SafeFileHandle socket, byte* data, nuint length, int flags);
    }
}
