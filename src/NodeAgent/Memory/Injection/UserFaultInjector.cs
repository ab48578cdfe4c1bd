using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Memory.Injection;

/// <summary>
/// Gets a userfaultfd that is bound to another process' memory: the one thing about dirty tracking that only the process itself can do.
/// <list type="number">
/// <item>While it runs: find code to borrow, its main stack, and descriptors that an earlier tracer left when it was killed.</item>
/// <item>Seize one thread and interrupt it: the thread waits in the kernel's signal path, where an interrupted system call has not been restarted yet.</item>
/// <item>Lay a signal frame of its state on dead stack and point it at rt_sigreturn: from here on it would find back alone (see <see cref="SyscallFrame"/>).</item>
/// <item>Block its signals, so that none is taken in between. SIGKILL and SIGSTOP cannot be blocked and are passed on.</item>
/// <item>Turn the rt_sigreturn into userfaultfd(2) at its entry, take the descriptor with pidfd_getfd(2), do the same with close(2).</item>
/// <item>Interrupt it again, which brings it back into the signal path without executing an instruction, and put back mask and registers as they were: the kernel then restarts the
/// interrupted call, or reports EINTR for a signal that came meanwhile, exactly as it would have.</item>
/// </list>
/// If we die: before 5 nothing happened; during 5 the descriptor may stay behind, without effect, and is closed by the next tracer. One gap is known: a seccomp filter that kills on userfaultfd,
/// and our death within the few microseconds between step 5's change and the filter, which our death switches on again.
/// </summary>
internal sealed class UserFaultInjector(TimeProvider time)
{
    private const int Attempts = 5;
    private static readonly TimeSpan StopLimit = TimeSpan.FromMilliseconds(50);

    /// <summary>The target runs for us and only has to get a processor; a loaded host may need this long.</summary>
    private static readonly TimeSpan StepLimit = TimeSpan.FromSeconds(2);

    /// <summary>What the main stack must have left above a frame at its far end: more than a runtime that runs elsewhere (64 KiB for Go's scheduler) keeps there.</summary>
    private const ulong FarEndDistance = 96 * 1024;

    private const uint UserFaultFlags = Interop.OpenFlag.O_CLOEXEC | Interop.OpenFlag.O_NONBLOCK | Interop.UserFault.UFFD_USER_MODE_ONLY;

    /// <summary>Compiles and binds everything that runs while a target stands still.</summary>
    public static void Prepare()
    {
        SyscallFrame.ThrowIfWrongProcessor();
        Interop.Prepare(typeof(Interop));
        Interop.Prepare(typeof(Tracee));
        Interop.Prepare(typeof(SyscallFrame));
        Interop.Prepare(typeof(BorrowedCode));
        Interop.Prepare(typeof(UserFaultInjector));
    }

    /// <summary>Must run on a <see cref="TraceThread"/>. <paramref name="leftovers"/> are descriptors found by <see cref="LeftoverDescriptors"/> some time before.</summary>
    public InjectionResult Inject(int pid, SafeFileHandle pidfd, IReadOnlyCollection<int> leftovers)
    {
        List<int> toClose = [.. leftovers];
        TimeSpan stopped = TimeSpan.Zero;
        List<MemoryMapping> mappings = [];
        byte[] text = [];
        for (int attempt = 1; ; attempt++)
        {
            // 1. What can be known while it runs.
            if (ProcessStatus.Read(pid) is not { } status)
                return End(InjectionOutcome.Gone, "the process has ended");
            if (status.TracerPid != 0)
                return End(InjectionOutcome.Traced, $"process {status.TracerPid} traces it; detach the debugger");
            if (status.ParentPid == Environment.ProcessId)
                return End(InjectionOutcome.Unsupported, "it is a child of this process, whose runtime waits for its children and would take their stops");
            if (status.ShadowStack)
                return End(InjectionOutcome.Unsupported, "it runs with a user shadow stack");
            int length = ProcFiles.ReadInto($"/proc/{pid}/maps", ref text);
            MemoryMapping.ParseAll(text.AsSpan(0, length), mappings);
            if (BorrowedCode.Find(pid, mappings) is not { } code)
                return End(mappings.Count == 0 ? InjectionOutcome.Gone : InjectionOutcome.Unsupported, "no code to borrow: no C library with a signal restorer in its memory");
            int tid = ChooseThread(pid, status);
            if (tid == 0)
                return End(InjectionOutcome.Gone, "it has no living thread");

            // 2. Stop one thread.
            long began = time.GetTimestamp();
            Tracee? tracee = Tracee.Seize(tid, status, time, out int error);
            if (tracee is null)
                return error == Interop.Errno.ESRCH
                    ? End(InjectionOutcome.Gone, "the process has ended")
                    : End(InjectionOutcome.Denied, Interop.Failure($"ptrace({tid})", error).Message + ". The agent needs CAP_SYS_PTRACE, CAP_SYS_ADMIN and no seccomp filter of its own");
            tracee.Interrupt();
            Stop stop = tracee.Wait(StopLimit);
            while (stop.Kind == StopKind.Signal)
            {
                // A signal that was already on its way stops first; it goes on to its target, untouched.
                tracee.Continue(stop.Signal);
                stop = tracee.Wait(StopLimit);
            }
            Step step = stop.Kind switch
            {
                StopKind.Event => Borrow(tracee, pid, pidfd, code, mappings, toClose),
                StopKind.Gone => new Step(InjectionOutcome.Gone, "the thread ended", Again: true),
                _ => new Step(InjectionOutcome.Busy, $"did not stop within {StopLimit.TotalMilliseconds:0} ms: uninterruptible sleep, or waiting for a vfork child"),
            };
            stopped += time.GetElapsedTime(began);
            if (step.Unclosed is { } unclosed)
                toClose.Add(unclosed);
            if (!step.Again || attempt == Attempts)
                return new InjectionResult(step.Outcome, step.UserFault, stopped, step.Detail);
        }

        InjectionResult End(InjectionOutcome outcome, string detail) => new(outcome, null, stopped, detail);
    }

    /// <summary>
    /// Descriptors that an injection left in the target when its tracer was killed: userfaultfds with exactly our flags that nobody has initialised.
    /// Sample of /proc/PID/fdinfo: "flags:\t02004000 ... API:\taa:0:..." (the second number is 0 until UFFDIO_API; older kernels open it for writing too, 02004002).
    /// </summary>
    public static List<int> LeftoverDescriptors(int pid)
    {
        List<int> found = [];
        try
        {
            foreach (string path in Directory.EnumerateFileSystemEntries($"/proc/{pid}/fd"))
                if (int.TryParse(Path.GetFileName(path), out int fd) && new FileInfo(path).LinkTarget == "anon_inode:[userfaultfd]" && IsLeftover(pid, fd))
                    found.Add(fd);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Gone, or a descriptor closed while we looked at it: a leftover is not closed by anybody but us.
        }
        return found;
    }

    private static bool IsLeftover(int pid, int fd)
    {
        ReadOnlySpan<byte> info = ProcFiles.Read($"/proc/{pid}/fdinfo/{fd}");
        return (info.IndexOf("flags:\t02004000\n"u8) >= 0 || info.IndexOf("flags:\t02004002\n"u8) >= 0) && info.IndexOf("API:\taa:0:"u8) >= 0;
    }

    /// <summary>The leader, whose stack is known by name, or any other thread once the leader has ended.</summary>
    private static int ChooseThread(int pid, ProcessStatus leader)
    {
        if (!leader.IsZombie)
            return pid;
        foreach (int tid in ProcFiles.ThreadsOf(pid))
            if (tid != pid && ProcessStatus.Parse(ProcFiles.Read($"/proc/{pid}/task/{tid}/status")) is { IsZombie: false })
                return tid;
        return 0;
    }

    /// <param name="Signal">The thread stands in the delivery of this signal, which is the signal path already; 0 where it does not.</param>
    /// <param name="Unclosed">A descriptor that is still open in the target and has to be closed by the next attempt.</param>
    private readonly record struct Step(InjectionOutcome Outcome, string Detail, SafeFileHandle? UserFault = null, bool Again = false, int Signal = 0, int? Unclosed = null);

    /// <summary>Steps 3 to 6, with the thread in an event stop. Leaves it detached and running as before.</summary>
    private static Step Borrow(Tracee tracee, int pid, SafeFileHandle pidfd, BorrowedCode code, List<MemoryMapping> mappings, IReadOnlyCollection<int> leftovers)
    {
        // 3. Its state, and a frame of it on dead stack.
        Step failure = default;
        if (!tracee.TryGetRegisters(out Interop.user_regs_struct original) || !SyscallFrame.Is64Bit(original))
            failure = new Step(InjectionOutcome.Unsupported, "it runs 32-bit code");
        else if (tracee.IsInRestartableSequence(pid, original.rip))
            failure = new Step(InjectionOutcome.Busy, "stopped in a restartable sequence", Again: true);
        else if (!code.IsIntact(pid))
            failure = new Step(InjectionOutcome.Gone, "it executed another program", Again: true);
        original = SyscallFrame.HideOurInterrupt(original);
        byte[] extended = [];
        ulong mask = 0;
        if (failure.Detail is null && ((extended = tracee.GetExtendedState()).Length == 0 || !tracee.TryGetSignalMask(out mask)))
            failure = new Step(InjectionOutcome.Unsupported, "its vector registers or signal mask cannot be read");
        SyscallFrame? frame = null;
        bool clear = false;
        if (failure.Detail is null && (frame = Place(pid, mappings, original, mask, extended, out clear)) is null)
            failure = new Step(InjectionOutcome.Unsupported, "no dead stack to lay a signal frame on");
        if (frame is null || !tracee.TrySetRegisters(frame.Returning(original, code.Syscall)))
        {
            if (original.cs != 0)
                tracee.TrySetRegisters(original);
            tracee.Detach();
            return failure.Detail is null ? new Step(InjectionOutcome.Gone, "the thread ended", Again: true) : failure;
        }

        // 4. No signal handler runs in between. The frame carries the old mask, so this too is undone if we die.
        tracee.TrySetSignalMask(ulong.MaxValue);

        // 5. The calls.
        Step step = Call(tracee, frame, original, code, pid, pidfd, leftovers);

        // 6. Back into the signal path, then exactly the old state.
        int signal = step.Signal != 0 ? step.Signal : step.Outcome == InjectionOutcome.Gone ? -1 : ReturnToSignalPath(tracee);
        if (signal >= 0)
        {
            tracee.TrySetSignalMask(mask);
            tracee.TrySetRegisters(original);
            if (clear)
                Interop.TryWriteMemory(pid, frame.Address, new byte[frame.Bytes.Length]);
            tracee.Detach(signal);
        }
        return step;
    }

    /// <summary>
    /// Lays the frame on stack that nothing uses. Below the stopped thread's own stack pointer if that is in the main stack; not on other stacks, since a language runtime may
    /// keep its coroutines' stacks (Go's goroutines) in the heap with other objects right below. Else at the far end of the main stack, if that was never used.
    /// </summary>
    private static SyscallFrame? Place(int pid, List<MemoryMapping> mappings, in Interop.user_regs_struct registers, ulong mask, byte[] extended, out bool clear)
    {
        clear = false;
        int index = mappings.FindIndex(mapping => mapping.Kind == MappingKind.Stack);
        if (index < 0)
            return null;
        MemoryMapping stack = mappings[index];
        ulong room = (ulong)SyscallFrame.MaximumBytes(extended.Length) + Interop.PageSize;
        ulong top = SyscallFrame.TopBelow(registers.rsp);
        if (registers.rsp >= stack.Start && registers.rsp < stack.End)
        {
            if (top < stack.Start + room)
                return null;
        }
        else
        {
            top = stack.Start + room;
            if (top + FarEndDistance > stack.End)
                return null;
            clear = true;
        }
        SyscallFrame frame = SyscallFrame.Build(registers, mask, extended, top);
        if (clear)
        {
            byte[] before = new byte[frame.Bytes.Length];
            if (!Interop.TryReadMemory(pid, frame.Address, before) || before.AsSpan().ContainsAnyExcept((byte)0))
                return null;
        }
        return Interop.TryWriteMemory(pid, frame.Address, frame.Bytes) ? frame : null;
    }

    private static Step Call(Tracee tracee, SyscallFrame frame, in Interop.user_regs_struct original, BorrowedCode code, int pid, SafeFileHandle pidfd, IReadOnlyCollection<int> leftovers)
    {
        Interop.user_regs_struct returning = frame.Returning(original, code.Syscall);
        foreach (int fd in leftovers)
            if (IsLeftover(pid, fd) && !TryCall(tracee, returning, code, Interop.Syscall.__NR_close, (ulong)fd, out _, out Step interrupted))
                return interrupted;
        if (!TryCall(tracee, returning, code, Interop.Syscall.__NR_userfaultfd, UserFaultFlags, out long result, out Step broken))
            return broken;
        if (result < 0)
            return new Step(InjectionOutcome.Refused, Interop.Failure("userfaultfd in the target", (int)-result).Message);
        SafeFileHandle? userFault = Interop.PidfdGetFd(pidfd, (int)result);
        int error = Interop.LastError;
        // Closed in the target even if we did not get it: CRIU refuses to dump a process that has one.
        if (!TryCall(tracee, returning, code, Interop.Syscall.__NR_close, (ulong)result, out _, out broken))
        {
            userFault?.Dispose();
            return broken with { Unclosed = (int)result };
        }
        return userFault is null
            ? new Step(InjectionOutcome.Refused, Interop.Failure("pidfd_getfd", error).Message)
            : new Step(InjectionOutcome.Injected, "tracked", userFault);
    }

    /// <summary>One system call in the target. False with the reason where the thread did not get through it.</summary>
    private static bool TryCall(Tracee tracee, in Interop.user_regs_struct returning, BorrowedCode code, uint number, ulong argument, out long result, out Step broken)
    {
        result = 0;
        broken = default;
        if (tracee.TrySetRegisters(returning) && RunToSyscallStop(tracee, out broken) && tracee.TryGetRegisters(out Interop.user_regs_struct entered))
        {
            SyscallFrame.TurnInto(ref entered, number, argument, code.Start);
            if (tracee.TrySetRegisters(entered) && RunToSyscallStop(tracee, out broken) && tracee.TryGetRegisters(out Interop.user_regs_struct left))
            {
                result = (long)left.rax;
                return true;
            }
        }
        if (broken.Detail is null)
            broken = new Step(InjectionOutcome.Gone, "the thread ended", Again: true);
        return false;
    }

    private static bool RunToSyscallStop(Tracee tracee, out Step broken)
    {
        broken = default;
        while (tracee.ContinueToSyscall())
        {
            Stop stop = tracee.Wait(StepLimit);
            switch (stop.Kind)
            {
                case StopKind.Syscall:
                    return true;
                case StopKind.Event:
                    // Job control changed (SIGCONT, another thread's stop): tells the tracer and needs nothing from it.
                    continue;
                case StopKind.Signal:
                    // Only SIGSTOP gets here. It goes on to the target with the detach.
                    broken = new Step(InjectionOutcome.Busy, $"signal {stop.Signal} came in between", Again: true, Signal: stop.Signal);
                    return false;
                case StopKind.Gone:
                    broken = new Step(InjectionOutcome.Gone, "the thread ended", Again: true);
                    return false;
                default:
                    broken = new Step(InjectionOutcome.Gone, "the thread got no processor; it finds back by itself", Again: false);
                    return false;
            }
        }
        return false;
    }

    /// <summary>Returns the signal to detach with (0 for none), or -1 where the thread is gone.</summary>
    private static int ReturnToSignalPath(Tracee tracee)
    {
        tracee.Interrupt();
        if (!tracee.Continue())
            return -1;
        Stop stop = tracee.Wait(StepLimit);
        return stop.Kind switch
        {
            StopKind.Event => 0,
            StopKind.Signal => stop.Signal,
            _ => -1,
        };
    }
}
