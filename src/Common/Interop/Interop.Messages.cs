using System.Runtime.InteropServices;

namespace Evacuator.Common;

internal static unsafe partial class Interop
{
    internal const int SOL_SOCKET = 1;
    internal const int SCM_RIGHTS = 1;
    internal const int SO_PEERCRED = 17;
    internal const int MSG_NOSIGNAL = 0x4000;
    internal const int EINTR = 4;

    /// <summary>sys/socket.h struct iovec.</summary>
    internal struct IoVector
    {
        public void* Base;
        public nuint Length;
    }

    /// <summary>sys/socket.h struct msghdr.</summary>
    internal struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public IoVector* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }

    /// <summary>sys/socket.h struct cmsghdr with one file descriptor as its data.</summary>
    internal struct DescriptorMessage
    {
        public nuint Length;
        public int Level;
        public int Type;
        public int Descriptor;
    }

    /// <summary>sys/socket.h struct ucred.</summary>
    internal struct Credentials
    {
        public int Pid;
        public uint Uid;
        public uint Gid;
    }

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    internal static partial nint SendMessage(SafeHandle socket, MessageHeader* message, int flags);

    /// <summary>poll.h struct pollfd.</summary>
    internal struct PollEntry
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    internal static partial int Poll(PollEntry* entries, ulong count, int timeoutMilliseconds);
}
