using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent;

/// <summary>Calls for keeping pages (memfd, mmap) and for handing them to a process that waits for them (userfaultfd, missing mode).</summary>
internal static unsafe partial class Interop
{
    [KernelConstants("linux/userfaultfd.h")]
    public static class PageFill
    {
        public const ulong UFFDIO_WAKE = 0x8010AA02;
        public const ulong UFFDIO_COPY = 0xC028AA03;
        public const ulong UFFDIO_ZEROPAGE = 0xC020AA04;
        public const byte UFFD_EVENT_PAGEFAULT = 0x12;
        public const byte UFFD_EVENT_FORK = 0x13;
        public const byte UFFD_EVENT_REMAP = 0x14;
        public const byte UFFD_EVENT_REMOVE = 0x15;
        public const byte UFFD_EVENT_UNMAP = 0x16;
    }

    [KernelStruct("struct uffdio_copy", "linux/userfaultfd.h")]
    public struct uffdio_copy
    {
        public ulong dst;
        public ulong src;
        public ulong len;
        public ulong mode;
        public long copy;
    }

    [KernelStruct("struct uffdio_zeropage", "linux/userfaultfd.h")]
    public struct uffdio_zeropage
    {
        public uffdio_range range;
        public ulong mode;
        public long zeropage;
    }

    /// <summary>
    /// What a userfaultfd says. Only the head is named as in the header; what follows is a union, read through <see cref="arg0"/> to
    /// <see cref="arg2"/>: pagefault {flags, address}, fork {u32 ufd}, remap {from, to, len}, remove {start, end}.
    /// </summary>
    [StructLayout(LayoutKind.Sequential, Pack = 1)]
    public struct UserFaultMessage
    {
        public byte Event;
        public byte Reserved1;
        public ushort Reserved2;
        public uint Reserved3;
        public ulong arg0;
        public ulong arg1;
        public ulong arg2;
    }

    [KernelConstants("sys/mman.h fcntl.h")]
    public static class FileMemory
    {
        public const uint MFD_CLOEXEC = 1;
        public const int PROT_READ = 1;
        public const int PROT_WRITE = 2;
        public const int MAP_SHARED = 1;
        public const int MAP_FIXED = 0x10;
        public const int MAP_NORESERVE = 0x4000;
        public const int FALLOC_FL_KEEP_SIZE = 1;
        public const int FALLOC_FL_PUNCH_HOLE = 2;

        [Since("5.14")]
        public const int MADV_POPULATE_WRITE = 23;

        [Since("6.1")]
        public const int MADV_COLLAPSE = 25;
    }

    [LibraryImport(LibC, EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial SafeFileHandle CreateMemoryFile(string name, uint flags);

    [LibraryImport(LibC, EntryPoint = "ftruncate", SetLastError = true)]
    public static partial int SetFileSize(SafeFileHandle file, long length);

    [LibraryImport(LibC, EntryPoint = "mmap", SetLastError = true)]
    public static partial void* MapFile(void* address, nuint length, int protection, int flags, SafeFileHandle file, long offset);

    [LibraryImport(LibC, EntryPoint = "munmap", SetLastError = true)]
    public static partial int UnmapFile(void* address, nuint length);

    /// <summary>Makes all pages of a stretch of mapped memory at once. Only quicker: a page that is not there is made when it is written.</summary>
    public static void Populate(nint start, int length) => _ = Advise((void*)start, (nuint)length, FileMemory.MADV_POPULATE_WRITE);

    [LibraryImport(LibC, EntryPoint = "madvise", SetLastError = true)]
    public static partial int Advise(void* start, nuint length, int advice);

    [KernelConstants("sys/mman.h")]
    public static class Mapping
    {
        public const int MAP_SHARED = 1;
        public const int MAP_PRIVATE = 2;
        public const int MAP_ANONYMOUS = 0x20;
        public const int MAP_GROWSDOWN = 0x100;
        public const int MAP_LOCKED = 0x2000;
        public const int MAP_NORESERVE = 0x4000;
        public const int MADV_RANDOM = 1;
        public const int MADV_SEQUENTIAL = 2;
        public const int MADV_DONTFORK = 10;
        public const int MADV_MERGEABLE = 12;
        public const int MADV_HUGEPAGE = 14;
        public const int MADV_NOHUGEPAGE = 15;
        public const int MADV_DONTDUMP = 16;
        public const int MADV_WIPEONFORK = 18;
    }

    /// <summary>Memory of our own that no file stands behind, where the kernel likes it.</summary>
    /// <returns>0 if it is refused</returns>
    public static nint MapAnonymous(nuint length, int protection, int flags)
    {
        nint place = MapAnything(null, length, protection, flags | Mapping.MAP_ANONYMOUS, -1, 0);
        return place == -1 ? 0 : place;
    }

    [LibraryImport(LibC, EntryPoint = "mmap", SetLastError = true)]
    private static partial nint MapAnything(void* address, nuint length, int protection, int flags, int file, long offset);

    [LibraryImport(LibC, EntryPoint = "fallocate", SetLastError = true)]
    public static partial int AllocateFile(SafeFileHandle file, int mode, long offset, long length);

    [LibraryImport(LibC, EntryPoint = "read", SetLastError = true)]
    public static partial nint ReadFile(SafeFileHandle file, void* buffer, nuint length);

    [StructLayout(LayoutKind.Sequential)]
    public struct PollEntry
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }

    [LibraryImport(LibC, EntryPoint = "poll", SetLastError = true)]
    public static partial int Poll(PollEntry* entries, ulong count, int timeoutMilliseconds);

    /// <summary>Sets the niceness of the calling thread: -20 goes first, 19 last. A refusal changes nothing.</summary>
    /// <returns>0, or -1</returns>
    public static int SetOwnNiceness(int niceness) => SetPriority(0, 0, niceness);

    /// <inheritdoc cref="SetOwnNiceness"/>
    /// <param name="thread">of this or another process</param>
    public static int SetNiceness(int thread, int niceness) => SetPriority(0, (uint)thread, niceness);

    /// <returns>-1 also for a thread that is gone</returns>
    public static int GetNiceness(int thread) => GetPriority(0, (uint)thread);

    /// <summary>PRIO_PROCESS, which is 0: on Linux one thread alone, with id 0 the calling one.</summary>
    [LibraryImport(LibC, EntryPoint = "setpriority", SetLastError = true)]
    private static partial int SetPriority(int which, uint who, int priority);

    [LibraryImport(LibC, EntryPoint = "getpriority", SetLastError = true)]
    private static partial int GetPriority(int which, uint who);

    /// <summary>Receives one byte and, with it, one file descriptor. Blocks.</summary>
    /// <returns>the descriptor, close-on-exec, owned by the caller; null if the other side sent none or closed</returns>
    public static SafeFileHandle? ReceiveDescriptor(SafeHandle socket)
    {
        byte one;
        IoVector vector = new() { iov_base = &one, iov_len = 1 };
        ulong* control = stackalloc ulong[3]; // CMSG_SPACE(sizeof(int)) = 24
        MessageHeader message = new() { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = 24 };
        nint got;
        do
            got = ReceiveMessage(socket, &message, MSG_CMSG_CLOEXEC);
        while (got < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR);
        // struct cmsghdr { size_t len; int level; int type; } then the descriptor.
        int* fields = (int*)(control + 1);
        return got == 1 && message.ControlLength >= 20 && control[0] >= 20 && fields[0] == SOL_SOCKET && fields[1] == SCM_RIGHTS
            ? new SafeFileHandle(*(int*)(control + 2), ownsHandle: true)
            : null;
    }

    private const int MSG_CMSG_CLOEXEC = 0x40000000;
    private const int SOL_SOCKET = 1;
    private const int SCM_RIGHTS = 1;

    [StructLayout(LayoutKind.Sequential)]
    private struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public IoVector* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }

    [LibraryImport(LibC, EntryPoint = "recvmsg", SetLastError = true)]
    private static partial nint ReceiveMessage(SafeHandle socket, MessageHeader* message, int flags);
}
