using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent;

internal static partial class Interop
{
    /// <summary>What a packet socket needs to hold the frames of one hardware address: a filter in the kernel, room, and headers that keep offloads.</summary>
    internal static unsafe partial class PacketFilter
    {
        internal const int SO_ATTACH_FILTER = 26;
        internal const int SO_RCVBUFFORCE = 33;
        internal const int PACKET_STATISTICS = 6;
        internal const int PACKET_VNET_HDR = 15;
        internal const int PACKET_IGNORE_OUTGOING = 23;
        internal const int PACKET_MR_PROMISC = 1;

        /// <summary>struct sock_filter, 8 bytes: one instruction of classic BPF.</summary>
        [StructLayout(LayoutKind.Sequential)]
        internal readonly struct SockFilter(ushort code, byte jumpTrue, byte jumpFalse, uint value)
        {
            internal readonly ushort Code = code;
            internal readonly byte JumpTrue = jumpTrue;
            internal readonly byte JumpFalse = jumpFalse;
            internal readonly uint Value = value;
        }

        /// <summary>struct sock_fprog, 16 bytes.</summary>
        [StructLayout(LayoutKind.Sequential)]
        internal struct SockFprog
        {
            internal ushort Length;
            internal SockFilter* Filter;
        }

        /// <summary>struct tpacket_stats, 8 bytes. Reading it sets both to zero.</summary>
        [StructLayout(LayoutKind.Sequential)]
        internal struct TpacketStats
        {
            internal uint Packets;
            internal uint Drops;
        }

        [LibraryImport("libc", EntryPoint = "getsockopt", SetLastError = true)]
        internal static partial int GetOption(SafeFileHandle socket, int level, int name, void* value, uint* length);
    }
}
