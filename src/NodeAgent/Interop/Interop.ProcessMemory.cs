using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent;

internal static unsafe partial class Interop
{
    /// <summary>Bytes read, up to the first remote byte that cannot be, or -1. Needs PTRACE_MODE_ATTACH; respects the target's page protections.</summary>
    [LibraryImport(LibC, EntryPoint = "process_vm_readv", SetLastError = true)]
    public static partial nint ProcessVmRead(int pid, IoVector* local, nuint localCount, IoVector* remote, nuint remoteCount, nuint flags);

    [LibraryImport(LibC, EntryPoint = "process_vm_writev", SetLastError = true)]
    public static partial nint ProcessVmWrite(int pid, IoVector* local, nuint localCount, IoVector* remote, nuint remoteCount, nuint flags);

    /// <summary>On /proc/PID/mem: like <see cref="ProcessVmRead"/>, but slower, and reads pages that the target itself may not (PROT_NONE).</summary>
    [LibraryImport(LibC, EntryPoint = "pread", SetLastError = true)]
    public static partial nint PRead(SafeFileHandle file, void* buffer, nuint count, long offset);

    [LibraryImport(LibC, EntryPoint = "syscall", SetLastError = true)]
    private static partial long SystemCall(long number, long a, long b, long c, long d, long e);

    /// <summary>kcmp(2): whether two processes are two names for the same memory (clone with CLONE_VM, a vfork child before its exec).</summary>
    public static bool ShareMemory(int pid, int otherPid) => SystemCall(Kcmp.__NR_kcmp, pid, otherPid, Kcmp.KCMP_VM, 0, 0) == 0;

    [KernelConstants("asm/unistd.h linux/kcmp.h")]
    public static class Kcmp
    {
        public const int __NR_kcmp = 312;
        public const int KCMP_VM = 1;
    }

    [KernelConstants("limits.h")]
    public static class Limit
    {
        public const int IOV_MAX = 1024;
    }

    /// <summary>Reads a piece of another process' memory; false where any byte of it cannot be read.</summary>
    public static bool TryReadMemory(int pid, ulong address, Span<byte> buffer)
    {
        fixed (byte* p = buffer)
        {
            IoVector local = new() { iov_base = p, iov_len = (nuint)buffer.Length };
            IoVector remote = new() { iov_base = (void*)address, iov_len = (nuint)buffer.Length };
            return ProcessVmRead(pid, &local, 1, &remote, 1, 0) == buffer.Length;
        }
    }

    /// <summary>Writes a piece of another process' memory; false where any byte of it cannot be written.</summary>
    public static bool TryWriteMemory(int pid, ulong address, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* p = bytes)
        {
            IoVector local = new() { iov_base = p, iov_len = (nuint)bytes.Length };
            IoVector remote = new() { iov_base = (void*)address, iov_len = (nuint)bytes.Length };
            return ProcessVmWrite(pid, &local, 1, &remote, 1, 0) == bytes.Length;
        }
    }
}
