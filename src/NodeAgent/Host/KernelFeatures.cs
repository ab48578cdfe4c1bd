using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Host;

/// <summary>Asks the kernel for what dirty-page tracking rests on, by using it once on ourselves.</summary>
internal static unsafe class KernelFeatures
{
    private const nuint PAGEMAP_SCAN = 0xC0606610;
    private const ulong PAGE_IS_WRITTEN = 2;
    private const nint SYS_userfaultfd = 323;
    private const nint O_CLOEXEC = 0x80000;
    private const nint O_NONBLOCK = 0x800;
    private const nint UFFD_USER_MODE_ONLY = 1;
    private const nuint UFFDIO_API = 0xC018AA3F;
    private const ulong UFFD_API = 0xAA;
    private const ulong UFFD_FEATURE_WP_ASYNC = 1 << 15;

    /// <summary>struct pm_scan_arg: 12 times u64, size first.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct ScanArgument
    {
        internal ulong Size, Flags, Start, End, WalkEnd, Vector, VectorLength, MaxPages, Inverted, Mask, AnyOf, Return;
    }

    /// <summary>struct uffdio_api.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct UffdApi
    {
        internal ulong Api, Features, Ioctls;
    }

    /// <summary>Null if there; else why not.</summary>
    internal static string? PagemapScan()
    {
        try
        {
            using SafeFileHandle pagemap = File.OpenHandle("/proc/self/pagemap");
            ulong page = 0;
            ulong start = (ulong)&page & ~4095UL;
            ScanArgument scan = new()
            {
                Size = (ulong)sizeof(ScanArgument), Start = start, End = start + 4096, Mask = PAGE_IS_WRITTEN, Return = PAGE_IS_WRITTEN,
            };
            // With no room for results the kernel still checks every argument before it answers.
            return Interop.FileCalls.Ioctl(pagemap, PAGEMAP_SCAN, &scan) >= 0 ? null : Marshal.GetLastPInvokeErrorMessage();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }

    /// <summary>Null if userfaultfd with asynchronous write protection is there; else why not.</summary>
    internal static string? UserfaultWriteProtect()
    {
        nint fd = Interop.FileCalls.Syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
        if (fd < 0)
            return Marshal.GetLastPInvokeErrorMessage();
        using SafeFileHandle handle = new(fd, ownsHandle: true);
        UffdApi api = new() { Api = UFFD_API, Features = UFFD_FEATURE_WP_ASYNC };
        return Interop.FileCalls.Ioctl(handle, UFFDIO_API, &api) == 0 ? null : "no asynchronous write protection";
    }
}
