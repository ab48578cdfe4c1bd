using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent;

internal static unsafe partial class Interop
{
    [LibraryImport(LibC, EntryPoint = "pidfd_open", SetLastError = true)]
    private static partial int PidfdOpenRaw(int pid, uint flags);

    [LibraryImport(LibC, EntryPoint = "pidfd_getfd", SetLastError = true)]
    private static partial int PidfdGetFdRaw(SafeFileHandle pidfd, int fd, uint flags);

    /// <summary>A handle on the process that a later owner of the same pid does not inherit; null with errno where it does not exist.</summary>
    public static SafeFileHandle? PidfdOpen(int pid)
    {
        int fd = PidfdOpenRaw(pid, 0);
        return fd < 0 ? null : new SafeFileHandle(fd, ownsHandle: true);
    }

    /// <summary>Our own copy of file descriptor <paramref name="fd"/> of another process (close-on-exec); null with errno.</summary>
    public static SafeFileHandle? PidfdGetFd(SafeFileHandle pidfd, int fd)
    {
        int ours = PidfdGetFdRaw(pidfd, fd, 0);
        return ours < 0 ? null : new SafeFileHandle(ours, ownsHandle: true);
    }
}
