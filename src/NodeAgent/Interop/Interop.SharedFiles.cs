using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent;

internal static unsafe partial class Interop
{
    /// <summary>Files of shared memory: opened without the advisory lock that .NET takes, which the container could notice, and walked by what is in them.</summary>
    [KernelConstants("fcntl.h unistd.h")]
    public static class SharedFiles
    {
        public const int O_RDONLY = 0;
        public const int O_NONBLOCK = 0x800;
        public const int O_CLOEXEC = 0x80000;
        public const int SEEK_DATA = 3;
        public const int SEEK_HOLE = 4;
    }

    [LibraryImport(LibC, EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial SafeFileHandle OpenFile(string path, int flags);

    [LibraryImport(LibC, EntryPoint = "lseek", SetLastError = true)]
    public static partial long Seek(SafeFileHandle file, long offset, int whence);
}
