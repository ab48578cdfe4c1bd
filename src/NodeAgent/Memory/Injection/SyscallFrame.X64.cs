using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Evacuator.NodeAgent.Memory.Injection;

/// <summary>
/// The part of the injection that knows the processor: x86-64.
/// <para>
/// A tracer that dies leaves its tracee with whatever registers it had set last. So at no instant may the registers be such that going on from them does harm. The way out is a
/// complete signal frame of the original state, laid on dead stack below the red zone just as the kernel does for every signal, and rt_sigreturn(2), which loads everything from it:
/// </para>
/// <code>
///   red zone (128 bytes below rsp, may be in use)
///   ---- top
///   XSAVE area: SSE, AVX, AVX-512 registers of the thread, 64-byte aligned
///   struct ucontext: general registers, signal mask
///   return address (unused)                                &lt;- Address; rsp = Address + 8 while borrowed
/// </code>
/// <para>
/// Every C library has the code <c>mov $15, %eax; syscall</c>: the restorer of its signal handlers. While borrowed the thread is either about to execute exactly that, or in a system call that
/// returns to it. Nothing of the target's code is written.
/// </para>
/// </summary>
internal sealed unsafe class SyscallFrame
{
    private const int RedZone = 128;
    private const int XsaveAlignment = 64;
    private const int SoftwareBytesOffset = 464;
    private const int XsaveHeaderOffset = 512;
    private const int XsaveHeaderEnd = 576;
    private const ulong TileFeatures = 3UL << 17;
    private const ulong UserCodeSegment64 = 0x33;

    /// <summary>No valid mode: rt_sigreturn ignores the error and leaves the alternate signal stack, which a tracer cannot ask for, as it is.</summary>
    private const int InvalidStackMode = 0x7FFF;

    /// <summary>The longest form of the borrowed code, "mov $15, %rax; syscall".</summary>
    public const int CodeBytes = 9;

    private readonly byte[] _bytes;

    private SyscallFrame(byte[] bytes, ulong address)
    {
        _bytes = bytes;
        Address = address;
    }

    /// <summary>Where <see cref="Bytes"/> go in the target.</summary>
    public ulong Address { get; }

    public ReadOnlySpan<byte> Bytes => _bytes;

    public static void ThrowIfWrongProcessor()
    {
        if (RuntimeInformation.ProcessArchitecture != Architecture.X64)
            throw new PlatformNotSupportedException($"Memory tracking is written for x86-64; this is {RuntimeInformation.ProcessArchitecture}. Containers move with plain CRIU here.");
    }

    public static bool Is64Bit(in Interop.user_regs_struct registers) => registers.cs == UserCodeSegment64;

    /// <summary>Finds "mov $15, %eax (or %rax); syscall". Offsets of its first byte and of its syscall instruction, or false.</summary>
    public static bool TryFindReturnCode(ReadOnlySpan<byte> code, out int start, out int syscall)
    {
        ReadOnlySpan<byte> tail = [0x0F, 0, 0, 0, 0x0F, 0x05];
        for (int from = 0; ;)
        {
            int at = code[from..].IndexOf(tail);
            start = syscall = -1;
            if (at < 0)
                return false;
            at += from;
            syscall = at + 4;
            if (at >= 1 && code[at - 1] == 0xB8)
                start = at - 1;
            else if (at >= 3 && code.Slice(at - 3, 3).SequenceEqual((ReadOnlySpan<byte>)[0x48, 0xC7, 0xC0]))
                start = at - 3;
            if (start >= 0)
                return true;
            from = at + 1;
        }
    }

    /// <summary>
    /// Some calls answer EINTR to any stop, without a signal and without the kernel restarting them (signal(7), "Interruption of system calls by stop signals"). Their result becomes what the others
    /// give: restart, unless a handler runs. A timeout then begins anew. connect(2) is left out: it cannot be made twice.
    /// </summary>
    public static Interop.user_regs_struct HideOurInterrupt(Interop.user_regs_struct registers)
    {
        bool restartable = registers.orig_rax is Interop.Syscall.__NR_accept or Interop.Syscall.__NR_accept4
            or Interop.Syscall.__NR_sendto or Interop.Syscall.__NR_recvfrom or Interop.Syscall.__NR_sendmsg or Interop.Syscall.__NR_recvmsg or Interop.Syscall.__NR_recvmmsg
            or Interop.Syscall.__NR_semop or Interop.Syscall.__NR_semtimedop or Interop.Syscall.__NR_rt_sigtimedwait or Interop.Syscall.__NR_io_getevents
            or Interop.Syscall.__NR_epoll_wait or Interop.Syscall.__NR_epoll_pwait or Interop.Syscall.__NR_epoll_pwait2;
        if (restartable && (long)registers.rax == -Interop.Errno.EINTR)
            registers.rax = unchecked((ulong)-Interop.Restart.ERESTARTNOHAND);
        return registers;
    }

    /// <summary>The highest address a frame may reach for a thread with this stack pointer.</summary>
    public static ulong TopBelow(ulong stackPointer) => stackPointer - RedZone;

    /// <summary>The most a frame takes: for callers that look for a place.</summary>
    public static int MaximumBytes(int extendedStateBytes) => extendedStateBytes + sizeof(uint) + XsaveAlignment + sizeof(Interop.UContext) + 32;

    /// <summary>Builds the frame that brings back <paramref name="registers"/>, the signal mask and the extended registers, ending at or below <paramref name="top"/>.</summary>
    /// <param name="extended">What PTRACE_GETREGSET gives for NT_X86_XSTATE.</param>
    public static SyscallFrame Build(in Interop.user_regs_struct registers, ulong signalMask, ReadOnlySpan<byte> extended, ulong top)
    {
        int stateBytes = UsedStateBytes(extended, out ulong features);
        ulong state = (top - (ulong)(stateBytes + sizeof(uint))) & ~(ulong)(XsaveAlignment - 1);
        ulong address = ((state - (ulong)sizeof(Interop.UContext)) & ~15UL) - sizeof(ulong);
        byte[] bytes = new byte[state - address + (ulong)stateBytes + sizeof(uint)];

        Interop.user_regs_struct resumed = registers;
        RestartInterruptedCall(ref resumed);
        Interop.UContext context = new()
        {
            uc_flags = Interop.ContextFlag.UC_FP_XSTATE | Interop.ContextFlag.UC_SIGCONTEXT_SS | Interop.ContextFlag.UC_STRICT_RESTORE_SS,
            uc_stack = new Interop.SigAltStack { ss_flags = InvalidStackMode },
            uc_sigmask = signalMask,
            uc_mcontext = new Interop.SigContext
            {
                r8 = resumed.r8, r9 = resumed.r9, r10 = resumed.r10, r11 = resumed.r11, r12 = resumed.r12, r13 = resumed.r13, r14 = resumed.r14, r15 = resumed.r15,
                rdi = resumed.rdi, rsi = resumed.rsi, rbp = resumed.rbp, rbx = resumed.rbx, rdx = resumed.rdx, rax = resumed.rax, rcx = resumed.rcx,
                rsp = resumed.rsp, rip = resumed.rip, eflags = resumed.eflags,
                cs = (ushort)resumed.cs, gs = (ushort)resumed.gs, fs = (ushort)resumed.fs, ss = (ushort)resumed.ss,
                fpstate = state,
            },
        };
        MemoryMarshal.Write(bytes.AsSpan(sizeof(ulong)), context);

        Span<byte> area = bytes.AsSpan((int)(state - address));
        extended[..stateBytes].CopyTo(area);
        area.Slice(SoftwareBytesOffset, sizeof(Interop.fpx_sw_bytes)).Clear();
        MemoryMarshal.Write(area[SoftwareBytesOffset..], new Interop.fpx_sw_bytes
        {
            magic1 = Interop.SignalFrame.FP_XSTATE_MAGIC1,
            extended_size = (uint)stateBytes + sizeof(uint),
            xfeatures = features,
            xstate_size = (uint)stateBytes,
        });
        MemoryMarshal.Write(area[stateBytes..], Interop.SignalFrame.FP_XSTATE_MAGIC2);
        return new SyscallFrame(bytes, address);
    }

    /// <summary>Registers from which the thread, left alone, returns to where it was: about to execute the borrowed syscall instruction as rt_sigreturn.</summary>
    public Interop.user_regs_struct Returning(in Interop.user_regs_struct original, ulong syscallAddress)
    {
        Interop.user_regs_struct registers = original;
        registers.rip = syscallAddress;
        registers.rax = Interop.Syscall.__NR_rt_sigreturn;
        registers.orig_rax = ulong.MaxValue;
        registers.rsp = Address + sizeof(ulong);
        return registers;
    }

    /// <summary>
    /// At the entry of that system call: makes it another one, which afterwards returns to the whole of the borrowed code and so to rt_sigreturn.
    /// The kernel takes number and arguments from here, after its tracing and seccomp hooks.
    /// </summary>
    public static void TurnInto(ref Interop.user_regs_struct registers, uint number, ulong argument, ulong returnCode)
    {
        registers.orig_rax = number;
        registers.rdi = argument;
        registers.rip = returnCode;
    }

    /// <summary>
    /// What the kernel does on its way out of a signal that has no handler: steps back onto the syscall instruction. For calls with a restart block (nanosleep, poll) it would
    /// instead continue with restart_syscall, but rt_sigreturn forgets that block; so the whole call is made again, which sleeps longer.
    /// Only a tracer that died while it held the thread makes this path run. And one case is left in which such a death shows: a thread that had been interrupted before in the
    /// same sleep (by an earlier look, a freeze, a debugger) is in restart_syscall already, the kernel does not say of which call, and that without its block answers EINTR
    /// (rt_sigreturn sets do_no_restart_syscall). It has the right time left in nanosleep's second argument, as after a signal whose handler has run. Some others answer EINTR to the stop itself,
    /// whoever makes it (see <see cref="HideOurInterrupt"/>): for these it shows if the death falls between stop and frame.
    /// </summary>
    private static void RestartInterruptedCall(ref Interop.user_regs_struct registers)
    {
        if ((long)registers.orig_rax < 0)
            return;
        if (-(long)registers.rax is Interop.Restart.ERESTARTSYS or Interop.Restart.ERESTARTNOINTR or Interop.Restart.ERESTARTNOHAND or Interop.Restart.ERESTART_RESTARTBLOCK)
        {
            registers.rax = registers.orig_rax;
            registers.rip -= 2;
        }
    }

    /// <summary>
    /// How much of the extended state the task may have: a frame larger than that is restored without its AVX part. The tracer's view is as large as the processor allows anybody,
    /// which with AMX (two tile features, 8 KiB, by permission only) is more than an ordinary task's.
    /// </summary>
    private static int UsedStateBytes(ReadOnlySpan<byte> extended, out ulong features)
    {
        features = MemoryMarshal.Read<ulong>(extended[SoftwareBytesOffset..]);
        ulong inUse = MemoryMarshal.Read<ulong>(extended[XsaveHeaderOffset..]);
        if ((inUse & TileFeatures) == 0)
            features &= ~TileFeatures;
        int size = XsaveHeaderEnd;
        for (int feature = 2; feature < 63; feature++)
        {
            if ((features >> feature & 1) == 0)
                continue;
            (int bytes, int offset, _, _) = X86Base.CpuId(0xD, feature);
            size = Math.Max(size, offset + bytes);
        }
        return Math.Min(size, extended.Length);
    }
}
