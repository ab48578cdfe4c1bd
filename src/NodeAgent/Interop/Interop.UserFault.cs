using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent;

internal static unsafe partial class Interop
{
    [LibraryImport(LibC, EntryPoint = "ioctl", SetLastError = true)]
    public static partial int IoControl(SafeFileHandle file, ulong request, void* argument);

    /// <summary>A userfaultfd on our own memory; null with errno. libc has no wrapper for it.</summary>
    public static SafeFileHandle? UserFaultOpen(uint flags)
    {
        long fd = SystemCall(Syscall.__NR_userfaultfd, flags, 0, 0, 0, 0);
        return fd < 0 ? null : new SafeFileHandle((nint)fd, ownsHandle: true);
    }

    [KernelConstants("linux/userfaultfd.h")]
    public static class UserFault
    {
        public const ulong UFFD_API = 0xAA;
        public const uint UFFD_USER_MODE_ONLY = 1;
        public const ulong UFFDIO_API = 0xC018AA3F;
        public const ulong UFFDIO_REGISTER = 0xC020AA00;
        public const ulong UFFDIO_UNREGISTER = 0x8010AA01;
        public const ulong UFFDIO_REGISTER_MODE_WP = 2;
        public const ulong UFFD_FEATURE_PAGEFAULT_FLAG_WP = 1 << 0;
        public const ulong UFFD_FEATURE_WP_HUGETLBFS_SHMEM = 1 << 12;
        [Since("6.4")] public const ulong UFFD_FEATURE_WP_UNPOPULATED = 1 << 13;
        [Since("6.7")] public const ulong UFFD_FEATURE_WP_ASYNC = 1 << 15;
    }

    [KernelConstants("fcntl.h")]
    public static class OpenFlag
    {
        public const uint O_CLOEXEC = 0x80000;
        public const uint O_NONBLOCK = 0x800;
    }

    [KernelStruct("struct uffdio_api", "linux/userfaultfd.h")]
    public struct uffdio_api
    {
        public ulong api;
        public ulong features;
        public ulong ioctls;
    }

    [KernelStruct("struct uffdio_range", "linux/userfaultfd.h")]
    public struct uffdio_range
    {
        public ulong start;
        public ulong len;
    }

    [KernelStruct("struct uffdio_register", "linux/userfaultfd.h")]
    public struct uffdio_register
    {
        public uffdio_range range;
        public ulong mode;
        public ulong ioctls;
    }
}
