using System.Runtime.InteropServices;

namespace Evacuator.NodeAgent;

internal static unsafe partial class Interop
{
    /// <summary>ptrace(2) belongs to a thread, not to a process: every call about a tracee has to come from the thread that seized it.</summary>
    [LibraryImport(LibC, EntryPoint = "ptrace", SetLastError = true)]
    public static partial long PTrace(int request, int pid, nuint address, nuint data);

    [LibraryImport(LibC, EntryPoint = "waitid", SetLastError = true)]
    public static partial int WaitId(int kind, int id, siginfo_chld* info, int options);

    [LibraryImport(LibC, EntryPoint = "sched_yield")]
    public static partial int SchedYield();

    [LibraryImport(LibC, EntryPoint = "prctl", SetLastError = true)]
    public static partial int Prctl(int option, nuint arg2, nuint arg3, nuint arg4, nuint arg5);

    [LibraryImport(LibC, EntryPoint = "nanosleep", SetLastError = true)]
    public static partial int NanoSleep(TimeSpec* duration, TimeSpec* remaining);

    [KernelConstants("linux/ptrace.h")]
    public static class Ptrace
    {
        public const int PTRACE_DETACH = 17;
        public const int PTRACE_CONT = 7;
        public const int PTRACE_SYSCALL = 24;
        public const int PTRACE_GETREGSET = 0x4204;
        public const int PTRACE_SETREGSET = 0x4205;
        public const int PTRACE_SEIZE = 0x4206;
        public const int PTRACE_INTERRUPT = 0x4207;
        public const int PTRACE_GETSIGMASK = 0x420A;
        public const int PTRACE_SETSIGMASK = 0x420B;
        public const int PTRACE_GET_RSEQ_CONFIGURATION = 0x420F;
        public const int PTRACE_EVENT_STOP = 128;
        public const int PTRACE_O_TRACESYSGOOD = 1;
        public const int PTRACE_O_SUSPEND_SECCOMP = 1 << 21;
    }

    [KernelConstants("linux/elf.h")]
    public static class Elf
    {
        public const int NT_PRSTATUS = 1;
        public const int NT_X86_XSTATE = 0x202;
    }

    [KernelConstants("sys/wait.h")]
    public static class Wait
    {
        public const int P_PID = 1;
        public const int WNOHANG = 1;
        public const int WSTOPPED = 2;
        public const int WEXITED = 4;
        public const int __WALL = 0x40000000;
        public const int CLD_TRAPPED = 4;
    }

    [KernelConstants("signal.h")]
    public static class Signal
    {
        public const int SIGKILL = 9;
        public const int SIGTRAP = 5;
    }

    [KernelConstants("sys/prctl.h")]
    public static class PrctlOption
    {
        public const int PR_SET_TIMERSLACK = 29;
    }

    /// <summary>Return values that never leave the kernel, except to a tracer that looks at an interrupted system call. From linux/errno.h, which is not exported.</summary>
    [KernelConstants("errno.h")]
    public static class Restart
    {
        [KernelInternal("include/linux/errno.h; proven by the tests of blocked calls")] public const long ERESTARTSYS = 512;
        [KernelInternal("include/linux/errno.h; proven by the tests of blocked calls")] public const long ERESTARTNOINTR = 513;
        [KernelInternal("include/linux/errno.h; proven by the tests of blocked calls")] public const long ERESTARTNOHAND = 514;
        [KernelInternal("include/linux/errno.h; proven by the tests of blocked calls")] public const long ERESTART_RESTARTBLOCK = 516;
    }

    [KernelStruct("struct iovec", "sys/uio.h")]
    public struct IoVector
    {
        public void* iov_base;
        public nuint iov_len;
    }

    [KernelStruct("struct timespec", "time.h")]
    public struct TimeSpec
    {
        public long tv_sec;
        public long tv_nsec;
    }

    /// <summary>siginfo_t as waitid(2) fills it. si_status of a ptrace stop holds the whole exit code: signal, or event &lt;&lt; 8 | signal.</summary>
    [KernelStruct("siginfo_t", "signal.h")]
    [StructLayout(LayoutKind.Explicit, Size = 128)]
    public struct siginfo_chld
    {
        [FieldOffset(0)] public int si_signo;
        [FieldOffset(4)] public int si_errno;
        [FieldOffset(8)] public int si_code;
        [FieldOffset(16)] public int si_pid;
        [FieldOffset(20)] public uint si_uid;
        [FieldOffset(24)] public int si_status;
    }

    [KernelStruct("struct ptrace_rseq_configuration", "linux/ptrace.h")]
    public struct ptrace_rseq_configuration
    {
        public ulong rseq_abi_pointer;
        public uint rseq_abi_size;
        public uint signature;
        public uint flags;
        public uint pad;
    }

    [KernelStruct("struct rseq_cs", "linux/rseq.h")]
    public struct rseq_cs
    {
        public uint version;
        public uint flags;
        public ulong start_ip;
        public ulong post_commit_offset;
        public ulong abort_ip;
    }
}
