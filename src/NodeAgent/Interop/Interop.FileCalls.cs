using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent;

internal static partial class Interop
{
    /// <summary>Calls on files and their metadata that .NET does not offer.</summary>
    internal static unsafe partial class FileCalls
    {
        internal const int AT_FDCWD = -100;
        internal const int AT_SYMLINK_NOFOLLOW = 0x100;
        internal const uint STATX_BASIC_STATS = 0x7ff;

        internal const ushort S_IFMT = 0xF000;
        internal const ushort S_IFSOCK = 0xC000;
        internal const ushort S_IFLNK = 0xA000;
        internal const ushort S_IFREG = 0x8000;
        internal const ushort S_IFBLK = 0x6000;
        internal const ushort S_IFDIR = 0x4000;
        internal const ushort S_IFCHR = 0x2000;
        internal const ushort S_IFIFO = 0x1000;

        internal const short POLLIN = 1;
        internal const short POLLPRI = 2;
        internal const short POLLERR = 8;

        /// <summary>struct statx, 256 bytes; the part that is used here is named.</summary>
        [StructLayout(LayoutKind.Explicit, Size = 256)]
        internal struct Statx
        {
            [FieldOffset(0)] internal uint Mask;
            [FieldOffset(16)] internal uint Links;
            [FieldOffset(28)] internal ushort Mode;
            [FieldOffset(32)] internal ulong Inode;
            [FieldOffset(40)] internal ulong Size;
            [FieldOffset(48)] internal ulong Blocks512;
            [FieldOffset(96)] internal long ChangeSeconds;
            [FieldOffset(104)] internal uint ChangeNanoseconds;
            [FieldOffset(128)] internal uint RdevMajor;
            [FieldOffset(132)] internal uint RdevMinor;
            [FieldOffset(136)] internal uint DevMajor;
            [FieldOffset(140)] internal uint DevMinor;

            internal readonly ushort Type => (ushort)(Mode & S_IFMT);

            internal readonly (uint Major, uint Minor, ulong Inode) Identity => (DevMajor, DevMinor, Inode);
        }

        /// <summary>struct pollfd.</summary>
        [StructLayout(LayoutKind.Sequential)]
        internal struct PollFd
        {
            internal int Fd;
            internal short Events;
            internal short Returned;
        }

        [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
        private static partial int StatxRaw(int directory, string path, int flags, uint mask, Statx* result);

        [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
        internal static partial int Poll(PollFd* fds, ulong count, int timeoutMilliseconds);

        [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
        internal static partial int Ioctl(SafeFileHandle fd, nuint request, void* argument);

        [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
        internal static partial nint Syscall(nint number, nint first);

        [LibraryImport("libc", EntryPoint = "getxattr", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
        internal static partial nint GetXattr(string path, string name, byte* value, nuint size);

        /// <summary>statx(2) of a path; false with errno in <see cref="Marshal.GetLastPInvokeError"/>.</summary>
        internal static bool TryStat(string path, out Statx result, bool follow = true)
        {
            Statx buffer = default;
            bool found = StatxRaw(AT_FDCWD, path, follow ? 0 : AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &buffer) == 0;
            result = buffer;
            return found;
        }
    }
}
