namespace Evacuator.NodeAgent.Memory.Injection;

/// <summary>Why a tracee stands still, or that it does not.</summary>
internal enum StopKind
{
    Event,
    Syscall,
    Signal,
    Gone,
    Timeout,
}

internal readonly record struct Stop(StopKind Kind, int Signal);

/// <summary>One seized thread. All calls from the thread that made it; see <see cref="TraceThread"/> for what happens if it is simply dropped.</summary>
internal sealed unsafe class Tracee
{
    private const int SyscallStopBit = 0x80;
    private const int YieldsBeforeSleeping = 200;
    private const long PollNanoseconds = 20_000;
    private const int MaximumExtendedState = 32 * 1024;

    private readonly TimeProvider _time;
    private readonly int _tid;

    private Tracee(int tid, TimeProvider time)
    {
        _tid = tid;
        _time = time;
    }

    /// <summary>Attaches without stopping. Null with the errno where the kernel refuses.</summary>
    public static Tracee? Seize(int tid, ProcessStatus status, TimeProvider time, out int error)
    {
        // Suspending seccomp needs CAP_SYS_ADMIN and that we are not under a filter ourselves. Where the target has none it is not needed.
        nuint options = Interop.Ptrace.PTRACE_O_TRACESYSGOOD | Interop.Ptrace.PTRACE_O_SUSPEND_SECCOMP;
        long result = Interop.PTrace(Interop.Ptrace.PTRACE_SEIZE, tid, 0, options);
        if (result < 0 && Interop.LastError == Interop.Errno.EPERM && status.SeccompMode == 0)
            result = Interop.PTrace(Interop.Ptrace.PTRACE_SEIZE, tid, 0, Interop.Ptrace.PTRACE_O_TRACESYSGOOD);
        error = result < 0 ? Interop.LastError : 0;
        return result < 0 ? null : new Tracee(tid, time);
    }

    public bool Interrupt() => Request(Interop.Ptrace.PTRACE_INTERRUPT);

    public bool Continue(int signal = 0) => Request(Interop.Ptrace.PTRACE_CONT, data: (nuint)signal);

    public bool ContinueToSyscall() => Request(Interop.Ptrace.PTRACE_SYSCALL);

    public bool Detach(int signal = 0) => Request(Interop.Ptrace.PTRACE_DETACH, data: (nuint)signal);

    /// <summary>The general registers; false too for a 32-bit task, whose set is smaller.</summary>
    public bool TryGetRegisters(out Interop.user_regs_struct registers)
    {
        fixed (Interop.user_regs_struct* p = &registers)
        {
            Interop.IoVector iov = new() { iov_base = p, iov_len = (nuint)sizeof(Interop.user_regs_struct) };
            return Request(Interop.Ptrace.PTRACE_GETREGSET, Interop.Elf.NT_PRSTATUS, (nuint)(&iov)) && iov.iov_len == (nuint)sizeof(Interop.user_regs_struct);
        }
    }

    public bool TrySetRegisters(Interop.user_regs_struct registers)
    {
        Interop.IoVector iov = new() { iov_base = &registers, iov_len = (nuint)sizeof(Interop.user_regs_struct) };
        return Request(Interop.Ptrace.PTRACE_SETREGSET, Interop.Elf.NT_PRSTATUS, (nuint)(&iov));
    }

    /// <summary>The XSAVE area of the thread; empty where it cannot be read.</summary>
    public byte[] GetExtendedState()
    {
        byte[] buffer = new byte[MaximumExtendedState];
        fixed (byte* p = buffer)
        {
            Interop.IoVector iov = new() { iov_base = p, iov_len = MaximumExtendedState };
            return Request(Interop.Ptrace.PTRACE_GETREGSET, Interop.Elf.NT_X86_XSTATE, (nuint)(&iov)) ? buffer[..(int)iov.iov_len] : [];
        }
    }

    public bool TryGetSignalMask(out ulong mask)
    {
        fixed (ulong* p = &mask)
            return Request(Interop.Ptrace.PTRACE_GETSIGMASK, sizeof(ulong), (nuint)p);
    }

    public bool TrySetSignalMask(ulong mask) => Request(Interop.Ptrace.PTRACE_SETSIGMASK, sizeof(ulong), (nuint)(&mask));

    /// <summary>
    /// The thread was interrupted inside a restartable sequence. The kernel would send it to the sequence's abort handler when it next runs; while it runs our calls
    /// the kernel forgets that, so such a thread is left alone and tried again a moment later. These sequences are some ten nanoseconds long.
    /// </summary>
    public bool IsInRestartableSequence(int pid, ulong instruction)
    {
        Interop.ptrace_rseq_configuration configuration;
        if (Interop.PTrace(Interop.Ptrace.PTRACE_GET_RSEQ_CONFIGURATION, _tid, (nuint)sizeof(Interop.ptrace_rseq_configuration), (nuint)(&configuration)) < 0
            || configuration.rseq_abi_pointer == 0)
            return false;
        const int RseqCsOffset = 8;
        ulong pointer;
        Interop.rseq_cs sequence;
        return Interop.TryReadMemory(pid, configuration.rseq_abi_pointer + RseqCsOffset, new Span<byte>(&pointer, sizeof(ulong)))
            && pointer != 0
            && Interop.TryReadMemory(pid, pointer, new Span<byte>(&sequence, sizeof(Interop.rseq_cs)))
            && instruction - sequence.start_ip < sequence.post_commit_offset;
    }

    /// <summary>
    /// Waits for the next stop. The kernel has no timed wait for ptrace stops and blocking without a limit would hang us on a task in uninterruptible sleep,
    /// so this asks, gives way to whoever else wants this processor, and later sleeps in steps of some microseconds.
    /// </summary>
    public Stop Wait(TimeSpan limit)
    {
        long began = _time.GetTimestamp();
        for (int attempt = 0; ; attempt++)
        {
            Interop.siginfo_chld info = default;
            const int Any = Interop.Wait.WSTOPPED | Interop.Wait.WEXITED | Interop.Wait.__WALL | Interop.Wait.WNOHANG;
            if (Interop.WaitId(Interop.Wait.P_PID, _tid, &info, Any) < 0 && Interop.LastError != Interop.Errno.EINTR)
                return new Stop(StopKind.Gone, 0);
            // Taking the end of a traced stranger is what lets its real parent see it.
            if (info.si_pid == _tid)
                return info.si_code == Interop.Wait.CLD_TRAPPED ? Classify(info.si_status) : new Stop(StopKind.Gone, 0);
            if (_time.GetElapsedTime(began) > limit)
                return new Stop(StopKind.Timeout, 0);
            if (attempt < YieldsBeforeSleeping)
            {
                Interop.SchedYield();
                continue;
            }
            Interop.TimeSpec pause = new() { tv_nsec = PollNanoseconds };
            Interop.NanoSleep(&pause, null);
        }
    }

    private static Stop Classify(int code)
    {
        if (code >> 8 == Interop.Ptrace.PTRACE_EVENT_STOP)
            return new Stop(StopKind.Event, 0);
        return code == (Interop.Signal.SIGTRAP | SyscallStopBit) ? new Stop(StopKind.Syscall, 0) : new Stop(StopKind.Signal, code & 0x7F);
    }

    private bool Request(int request, nuint address = 0, nuint data = 0) => Interop.PTrace(request, _tid, address, data) >= 0;
}
