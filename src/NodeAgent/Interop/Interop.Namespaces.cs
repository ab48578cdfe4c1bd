using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent;

internal static partial class Interop
{
    /// <summary>Namespaces and mounts.</summary>
    internal static partial class Namespaces
    {
        internal const int CLONE_NEWNET = 0x40000000;

        internal const ulong MS_BIND = 4096;
        internal const ulong MS_REC = 16384;
        internal const ulong MS_SHARED = 1 << 20;
        internal const int MNT_DETACH = 2;

        [LibraryImport("libc", EntryPoint = "setns", SetLastError = true)]
        internal static partial int SetNs(SafeFileHandle namespaceFd, int type);

        [LibraryImport("libc", EntryPoint = "unshare", SetLastError = true)]
        internal static partial int Unshare(int flags);

        [LibraryImport("libc", EntryPoint = "gettid")]
        internal static partial int GetTid();

        [LibraryImport("libc", EntryPoint = "mount", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
        internal static partial int Mount(string source, string target, string type, ulong flags, nint data);

        [LibraryImport("libc", EntryPoint = "umount2", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
        internal static partial int Unmount(string target, int flags);
    }
}
