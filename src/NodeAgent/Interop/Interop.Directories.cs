using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent;

/// <summary>A directory held by a descriptor, so that nobody can put a link in the way between a look and the act.</summary>
internal static unsafe partial class Interop
{
    [KernelConstants("linux/openat2.h")]
    public static class OpenResolve
    {
        public const ulong RESOLVE_NO_MAGICLINKS = 0x02;
        public const ulong RESOLVE_NO_SYMLINKS = 0x04;
    }

    [KernelStruct("struct open_how", "linux/openat2.h")]
    public struct open_how
    {
        public ulong flags;
        public ulong mode;
        public ulong resolve;
    }

    private const nint NumberOfOpenat2 = 437;
    private const ulong DirectoryByPath = 0x200000 | 0x10000 | 0x80000; // O_PATH | O_DIRECTORY | O_CLOEXEC

    /// <summary>Opens a directory by a path that goes through no symbolic link.</summary>
    /// <exception cref="IOException">it does, or there is no such directory</exception>
    public static SafeFileHandle OpenDirectoryWithoutLinks(string path)
    {
        open_how how = new() { flags = DirectoryByPath, resolve = OpenResolve.RESOLVE_NO_SYMLINKS | OpenResolve.RESOLVE_NO_MAGICLINKS };
        byte[] name = [.. Encoding.UTF8.GetBytes(path), 0];
        fixed (byte* start = name)
        {
            nint opened = OpenAt2(NumberOfOpenat2, FileCalls.AT_FDCWD, start, &how, (nuint)sizeof(open_how));
            return opened >= 0 ? new SafeFileHandle(opened, ownsHandle: true)
                : throw Failure($"opening {path}, which may go through no symbolic link", LastError);
        }
    }

    [LibraryImport(LibC, EntryPoint = "syscall", SetLastError = true)]
    private static partial nint OpenAt2(nint number, nint directory, byte* path, open_how* how, nuint size);
}
