using System.Runtime.InteropServices;

namespace Evacuator.NodeAgent;

// Registers and the signal frame of x86-64. Another architecture needs a file like this one and a SyscallFrame of its own.
internal static unsafe partial class Interop
{
    [KernelStruct("struct user_regs_struct", "sys/user.h")]
    public struct user_regs_struct
    {
        public ulong r15;
        public ulong r14;
        public ulong r13;
        public ulong r12;
        public ulong rbp;
        public ulong rbx;
        public ulong r11;
        public ulong r10;
        public ulong r9;
        public ulong r8;
        public ulong rax;
        public ulong rcx;
        public ulong rdx;
        public ulong rsi;
        public ulong rdi;
        public ulong orig_rax;
        public ulong rip;
        public ulong cs;
        public ulong eflags;
        public ulong rsp;
        public ulong ss;
        public ulong fs_base;
        public ulong gs_base;
        public ulong ds;
        public ulong es;
        public ulong fs;
        public ulong gs;
    }

    /// <summary>What rt_sigreturn(2) loads the registers from.</summary>
    [KernelStruct("struct sigcontext", "asm/sigcontext.h")]
    public struct SigContext
    {
        public ulong r8;
        public ulong r9;
        public ulong r10;
        public ulong r11;
        public ulong r12;
        public ulong r13;
        public ulong r14;
        public ulong r15;
        public ulong rdi;
        public ulong rsi;
        public ulong rbp;
        public ulong rbx;
        public ulong rdx;
        public ulong rax;
        public ulong rcx;
        public ulong rsp;
        public ulong rip;
        public ulong eflags;
        public ushort cs;
        public ushort gs;
        public ushort fs;
        public ushort ss;
        public ulong err;
        public ulong trapno;
        public ulong oldmask;
        public ulong cr2;
        public ulong fpstate;
        public fixed ulong reserved1[8];
    }

    [KernelStruct("stack_t", "asm/signal.h")]
    public struct SigAltStack
    {
        public ulong ss_sp;
        public int ss_flags;
        public ulong ss_size;
    }

    [KernelStruct("struct ucontext", "asm/sigcontext.h asm/signal.h asm/ucontext.h")]
    public struct UContext
    {
        public ulong uc_flags;
        public ulong uc_link;
        public SigAltStack uc_stack;
        public SigContext uc_mcontext;
        public ulong uc_sigmask;
    }

    /// <summary>The software bytes of an XSAVE area at offset 464: what makes the kernel restore more than the SSE registers.</summary>
    [KernelStruct("struct _fpx_sw_bytes", "asm/sigcontext.h")]
    [StructLayout(LayoutKind.Sequential, Size = 48)]
    public struct fpx_sw_bytes
    {
        public uint magic1;
        public uint extended_size;
        public ulong xfeatures;
        public uint xstate_size;
    }

    [KernelConstants("asm/sigcontext.h")]
    public static class SignalFrame
    {
        public const uint FP_XSTATE_MAGIC1 = 0x46505853;
        public const uint FP_XSTATE_MAGIC2 = 0x46505845;
    }

    [KernelConstants("asm/sigcontext.h asm/signal.h asm/ucontext.h")]
    public static class ContextFlag
    {
        public const ulong UC_FP_XSTATE = 1;
        public const ulong UC_SIGCONTEXT_SS = 2;
        public const ulong UC_STRICT_RESTORE_SS = 4;
    }

    [KernelConstants("asm/unistd.h")]
    public static class Syscall
    {
        public const uint __NR_close = 3;
        public const uint __NR_accept = 43;
        public const uint __NR_sendto = 44;
        public const uint __NR_recvfrom = 45;
        public const uint __NR_sendmsg = 46;
        public const uint __NR_recvmsg = 47;
        public const uint __NR_semop = 65;
        public const uint __NR_rt_sigtimedwait = 128;
        public const uint __NR_io_getevents = 208;
        public const uint __NR_semtimedop = 220;
        public const uint __NR_epoll_wait = 232;
        public const uint __NR_epoll_pwait = 281;
        public const uint __NR_accept4 = 288;
        public const uint __NR_recvmmsg = 299;
        public const uint __NR_epoll_pwait2 = 441;
        public const uint __NR_rt_sigreturn = 15;
        public const uint __NR_userfaultfd = 323;
    }
}
