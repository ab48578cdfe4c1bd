using System.Runtime.InteropServices;
using Evacuator.NodeAgent.Memory.Injection;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Memory;

/// <summary>Something that this host lacks: what, and what to do about it.</summary>
internal sealed record MissingFeature(string Name, string Reason, string Remedy);

/// <summary>What this kernel lets us do with other processes' memory. Found out once, at start.</summary>
/// <param name="Missing">Empty where dirty tracking works.</param>
/// <param name="KnowsGuardPages">PAGE_IS_GUARD, kernel 6.15.</param>
internal sealed record MemoryFeatures(IReadOnlyList<MissingFeature> Missing, bool KnowsGuardPages, ulong UserFaultFeatures)
{
    private const ulong Needed = Interop.UserFault.UFFD_FEATURE_PAGEFAULT_FLAG_WP | Interop.UserFault.UFFD_FEATURE_WP_UNPOPULATED | Interop.UserFault.UFFD_FEATURE_WP_ASYNC;

    public bool CanTrack => Missing.Count == 0;

    /// <summary>Empty where dirty tracking works.</summary>
    public string WhyNot => string.Join("; ", Missing.Select(feature => $"{feature.Name}: {feature.Reason}. {feature.Remedy}"));

    public void ThrowIfMissing()
    {
        if (!CanTrack)
            throw new PlatformNotSupportedException(WhyNot);
    }

    public static MemoryFeatures Probe()
    {
        List<MissingFeature> missing = [];
        if (RuntimeInformation.ProcessArchitecture != Architecture.X64)
        {
            missing.Add(new MissingFeature("processor", $"{RuntimeInformation.ProcessArchitecture} is not supported", "Containers of this host move with plain CRIU"));
            return new MemoryFeatures(missing, false, 0);
        }
        bool guard = ProbePagemap(missing);
        ulong features = ProbeUserFault(missing);
        ProbeReading(missing);
        ProbeTracing(missing);
        return new MemoryFeatures(missing, guard, features);
    }

    /// <summary>Asks for every flag and category on our own memory: the kernel refuses what it does not know with EINVAL, and an older one does not know the call (ENOTTY).</summary>
    private static bool ProbePagemap(List<MissingFeature> missing)
    {
        using SafeFileHandle? pagemap = Open("/proc/self/pagemap");
        int plain = pagemap is null ? Interop.Errno.EPERM : Scan(pagemap, Interop.Pagemap.PM_SCAN_WP_MATCHING | Interop.Pagemap.PM_SCAN_CHECK_WPASYNC, 0);
        // Our own memory is not tracked, so a kernel that understands all of it answers EPERM.
        if (pagemap is null)
            missing.Add(new MissingFeature("pagemap", "/proc/self/pagemap cannot be opened", "Mount /proc without hidepid for the agent"));
        else if (plain is not (0 or Interop.Errno.EPERM))
            missing.Add(new MissingFeature("PAGEMAP_SCAN", Interop.Failure("write-protecting scan", plain).Message, "Run kernel 6.7 or later with CONFIG_PTE_MARKER_UFFD_WP=y (Debian 13 has it)"));
        return pagemap is not null && Scan(pagemap, 0, Interop.Pagemap.PAGE_IS_GUARD) == 0;
    }

    private static unsafe int Scan(SafeFileHandle pagemap, ulong flags, ulong category)
    {
        byte onStack;
        ulong page = (ulong)&onStack & ~(Interop.PageSize - 1);
        Interop.page_region region;
        Interop.pm_scan_arg argument = new()
        {
            size = (ulong)sizeof(Interop.pm_scan_arg),
            flags = flags,
            start = page,
            end = page + Interop.PageSize,
            vec = (ulong)&region,
            vec_len = 1,
            category_anyof_mask = Interop.Pagemap.PAGE_IS_WRITTEN | category,
            return_mask = Interop.Pagemap.PAGE_IS_WRITTEN | category,
        };
        return Interop.IoControl(pagemap, Interop.Pagemap.PAGEMAP_SCAN, &argument) < 0 ? Interop.LastError : 0;
    }

    private static unsafe ulong ProbeUserFault(List<MissingFeature> missing)
    {
        using SafeFileHandle? userFault = Interop.UserFaultOpen(Interop.OpenFlag.O_CLOEXEC | Interop.OpenFlag.O_NONBLOCK | Interop.UserFault.UFFD_USER_MODE_ONLY);
        if (userFault is null)
        {
            missing.Add(new MissingFeature("userfaultfd", Interop.Failure("userfaultfd", Interop.LastError).Message, "Needs CONFIG_USERFAULTFD=y and no seccomp filter on the agent that blocks it"));
            return 0;
        }
        Interop.uffdio_api api = new() { api = Interop.UserFault.UFFD_API, features = Needed };
        if (Interop.IoControl(userFault, Interop.UserFault.UFFDIO_API, &api) >= 0)
            return Needed;
        missing.Add(new MissingFeature("userfaultfd WP_ASYNC", Interop.Failure("UFFDIO_API", Interop.LastError).Message, "Run kernel 6.7 or later (Debian 13 has 6.12)"));
        return 0;
    }

    private static unsafe void ProbeReading(List<MissingFeature> missing)
    {
        long here = 42;
        Span<byte> there = stackalloc byte[sizeof(long)];
        if (!Interop.TryReadMemory(Environment.ProcessId, (ulong)&here, there))
            missing.Add(new MissingFeature("process_vm_readv", Interop.Failure("reading memory", Interop.LastError).Message, "Needs CONFIG_CROSS_MEMORY_ATTACH=y and no seccomp filter on the agent that blocks it"));
    }

    /// <summary>Sample: "CapEff:\t000001ffffffffff", bits as in linux/capability.h.</summary>
    private static void ProbeTracing(List<MissingFeature> missing)
    {
        const int SysPtrace = 19, SysAdmin = 21;
        ReadOnlySpan<byte> status = ProcFiles.Read("/proc/self/status");
        int at = status.IndexOf("CapEff:\t"u8);
        if (at < 0 || !System.Buffers.Text.Utf8Parser.TryParse(status[(at + 8)..], out ulong capabilities, out _, 'x'))
            return;
        if ((capabilities >> SysPtrace & 1) == 0)
            missing.Add(new MissingFeature("CAP_SYS_PTRACE", "the agent may not trace other users' processes", "Run the agent with its own unit file, as root with CAP_SYS_PTRACE"));
        if ((capabilities >> SysAdmin & 1) == 0)
            missing.Add(new MissingFeature("CAP_SYS_ADMIN", "the agent may not suspend seccomp filters", "Run the agent with its own unit file, as root with CAP_SYS_ADMIN"));
        byte[] scope = ProcFiles.Read("/proc/sys/kernel/yama/ptrace_scope");
        if (scope.Length > 0 && scope[0] == '3')
            missing.Add(new MissingFeature("ptrace", "kernel.yama.ptrace_scope is 3: nobody may trace", "Set it to 2 or less; that takes a reboot"));
    }

    private static SafeFileHandle? Open(string path)
    {
        try
        {
            return File.OpenHandle(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
