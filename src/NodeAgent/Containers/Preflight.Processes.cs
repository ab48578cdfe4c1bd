using System.Globalization;
using Evacuator.Common.AgentApi;

namespace Evacuator.NodeAgent.Containers;

internal sealed partial class Preflight
{
    // CRIU dumps one set of these for the container; a second one inside of it, only for mount (in part).
    private static readonly string[] SharedNamespaces = ["pid", "net", "mnt", "uts", "ipc", "user", "time"];

    // Kinds of anonymous inodes that CRIU knows; the others it refuses.
    private static readonly HashSet<string> KnownAnonymous =
        ["eventfd", "eventpoll", "inotify", "fanotify", "signalfd", "timerfd", "pidfd", "mnt_ns_fd"];

    private void CheckProcess(int pid, ContainerDescription container, List<Blocker> blockers)
    {
        if (ProcFiles.ReadText($"{_proc.Root}/{pid}/status") is not { } status)
            return;
        if (ProcFiles.Field(status, "TracerPid") is { } tracer && tracer != "0")
            blockers.Add(new Blocker(BlockerCode.Traced, $"its process {Name(pid)} is traced by process {tracer}; end the debugger"));
        if (_proc.Stat(pid) is { IsZombie: true, Threads: > 1 })
            blockers.Add(new Blocker(BlockerCode.FeatureMissing, $"the main thread of its process {Name(pid)} has ended while others run, which CRIU cannot dump"));
        if (pid == container.InitPid)
            return;
        foreach (string kind in SharedNamespaces)
            if (_proc.Link(pid, $"ns/{kind}") is { } own && _proc.Link(container.InitPid, $"ns/{kind}") is { } first && own != first)
                blockers.Add(new Blocker(
                    BlockerCode.NestedNamespace, $"its process {Name(pid)} has a {kind} namespace of its own inside of the container (a sandbox or container in it), which CRIU cannot dump"));
    }

    private void CheckFiles(int pid, IReadOnlySet<int> mounts, List<Blocker> blockers, HashSet<ulong> sockets)
    {
        string directory = $"{_proc.Root}/{pid}/fd";
        int found = 0;
        foreach (string path in Entries(directory))
        {
            if (TargetOf(path) is not { } target)
                continue;
            if (OpenFile.TryParseSocket(target, out ulong inode))
                sockets.Add(inode);
            if ((Judge(path, target) ?? JudgePlace(pid, path, target, mounts)) is { } blocker && found++ < PerProcess)
                blockers.Add(new Blocker(blocker.Code, $"its process {Name(pid)} has file descriptor {Path.GetFileName(path)} open on {blocker.Text}"));
        }
    }

    /// <summary>Null if CRIU can dump it; else what it is and what to do, to follow "has file descriptor N open on".</summary>
    private static Blocker? Judge(string path, string target)
    {
        if (OpenFile.TryParseAnonymous(target, out string kind))
            return kind switch
            {
                "io_uring" => new Blocker(BlockerCode.IoUring, "an io_uring, which CRIU cannot dump; configure the program to do without (e.g. libuv: UV_USE_IO_URING=0)"),
                "userfaultfd" => new Blocker(BlockerCode.FeatureMissing, "a userfaultfd: it handles its own page faults, and that cannot be moved"),
                _ when KnownAnonymous.Contains(kind) => null,
                _ => new Blocker(BlockerCode.FeatureMissing, $"a kernel object of the kind '{kind}', which CRIU cannot dump"),
            };
        if (target.StartsWith("socket:", StringComparison.Ordinal))
            return OpenFile.ProtocolOf(path) is { } protocol && OpenFile.WhyNotMovable(protocol) is { } why
                ? new Blocker(BlockerCode.ExternalSocket, $"a {protocol} socket: {why}")
                : null;
        if (!target.StartsWith('/'))
            return null;
        if (!Interop.FileCalls.TryStat(path, out Interop.FileCalls.Statx stat))
            return null;
        if (stat.Type == Interop.FileCalls.S_IFBLK || (stat.Type == Interop.FileCalls.S_IFCHR && !OpenFile.IsMovableDevice(stat.RdevMajor, stat.RdevMinor)))
            return new Blocker(BlockerCode.UnsupportedDevice, $"the device {target} ({stat.RdevMajor}:{stat.RdevMinor}), which belongs to this host; close it or keep the container here");
        if (stat is { Type: Interop.FileCalls.S_IFREG, Links: 0 } && (long)stat.Size > GhostLimit && OpenFile.IsDeletedFile(target))
            return new Blocker(
                BlockerCode.FeatureMissing, $"{target} of {stat.Size} bytes: CRIU carries deleted files only up to {GhostLimit} bytes; let the program reopen its file");
        return null;
    }

    /// <summary>A file opened before the container entered its own mounts (a log of the host as its output) has no place in them.</summary>
    private Blocker? JudgePlace(int pid, string path, string target, IReadOnlySet<int> mounts)
    {
        if (!target.StartsWith('/') || target.StartsWith("/memfd:", StringComparison.Ordinal) || target.StartsWith("/SYSV", StringComparison.Ordinal)
            || target.StartsWith("/dev/zero", StringComparison.Ordinal) || mounts.Count == 0
            || !Interop.FileCalls.TryStat(path, out Interop.FileCalls.Statx stat) || stat.Type == Interop.FileCalls.S_IFCHR)
            return null;
        return ProcFiles.ReadText($"{_proc.Root}/{pid}/fdinfo/{Path.GetFileName(path)}") is { } info && ProcFiles.Field(info, "mnt_id") is { } text
            && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int mount) && !mounts.Contains(mount)
            ? new Blocker(BlockerCode.UnsupportedMount, $"{target}, a file outside of the container's own mounts; start it with its output to /dev/null or a pipe")
            : null;
    }

    private void CheckMaps(int pid, List<Blocker> blockers)
    {
        if (ProcFiles.ReadText($"{_proc.Root}/{pid}/maps") is not { } text)
            return;
        HashSet<string> seen = [];
        foreach (string line in text.Split('\n'))
        {
            if (!OpenFile.TryParseMap(line, out string range, out string target) || !seen.Add(target))
                continue;
            if (OpenFile.TryParseAnonymous(target, out string kind) && kind == "io_uring")
                blockers.Add(new Blocker(BlockerCode.IoUring, $"its process {Name(pid)} uses io_uring, which CRIU cannot dump; configure the program to do without"));
            else if (target == "[uprobes]")
                blockers.Add(new Blocker(BlockerCode.Traced, $"its process {Name(pid)} is probed (uprobes); end the tracing tool"));
            else if (target.StartsWith("/dev/", StringComparison.Ordinal) && !target.StartsWith("/dev/shm/", StringComparison.Ordinal) && !target.StartsWith("/dev/zero", StringComparison.Ordinal))
                blockers.Add(new Blocker(BlockerCode.UnsupportedDevice, $"its process {Name(pid)} has memory of the device {target} mapped, which belongs to this host"));
            else if (OpenFile.IsDeletedFile(target) && Interop.FileCalls.TryStat($"{_proc.Root}/{pid}/map_files/{range}", out Interop.FileCalls.Statx stat)
                && stat is { Type: Interop.FileCalls.S_IFREG, Links: 0 } && (long)stat.Size > GhostLimit)
                blockers.Add(new Blocker(
                    BlockerCode.FeatureMissing, $"its process {Name(pid)} runs with {target} of {stat.Size} bytes, replaced since the start; CRIU carries deleted files only up to {GhostLimit} bytes: restart the program"));
        }
    }

    private static string? TargetOf(string path)
    {
        try
        {
            return new FileInfo(path).LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static IReadOnlyList<string> Entries(string directory)
    {
        try
        {
            return Directory.GetFileSystemEntries(directory);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}

/// <summary>What links of /proc/PID/fd and lines of /proc/PID/maps say.</summary>
internal static class OpenFile
{
    /// <summary>"anon_inode:[eventfd]", "anon_inode:inotify", "anon_inode:[io_uring]"; the brackets depend on the kernel's version.</summary>
    internal static bool TryParseAnonymous(string target, out string kind)
    {
        const string prefix = "anon_inode:";
        kind = target.StartsWith(prefix, StringComparison.Ordinal) ? target[prefix.Length..].Trim('[', ']') : "";
        return kind.Length > 0;
    }

    /// <summary>"socket:[123456]"</summary>
    internal static bool TryParseSocket(string target, out ulong inode)
    {
        const string prefix = "socket:[";
        inode = 0;
        return target.StartsWith(prefix, StringComparison.Ordinal)
            && ulong.TryParse(target.AsSpan(prefix.Length).TrimEnd(']'), NumberStyles.None, CultureInfo.InvariantCulture, out inode);
    }

    /// <summary>"7f5e-7f60 rw-s 00000000 00:0e 1041   anon_inode:[io_uring]": address range and, after five more fields, the name.</summary>
    internal static bool TryParseMap(string line, out string range, out string target)
    {
        range = target = "";
        string[] fields = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
        if (fields.Length < 6)
            return false;
        (range, target) = (fields[0], fields[5].Trim());
        return true;
    }

    /// <summary>Deleted files that CRIU carries as ghosts. What has a name of its own kind is memory, and dumped as such.</summary>
    internal static bool IsDeletedFile(string target) =>
        target.EndsWith(" (deleted)", StringComparison.Ordinal) && target.StartsWith('/') && !target.StartsWith("/memfd:", StringComparison.Ordinal)
        && !target.StartsWith("/SYSV", StringComparison.Ordinal) && !target.StartsWith("/dev/zero", StringComparison.Ordinal) && !target.StartsWith("/[aio]", StringComparison.Ordinal)
        && !target.StartsWith("/anon_hugepage", StringComparison.Ordinal);

    /// <summary>Character devices that are the same everywhere: null, zero, full, random, urandom; terminals of the container; tun.</summary>
    internal static bool IsMovableDevice(uint major, uint minor) => (major, minor) switch
    {
        (1, 3 or 5 or 7 or 8 or 9) => true,
        (5, _) => true,
        (>= 136 and <= 143, _) => true,
        (10, 200) => true,
        _ => false,
    };

    /// <summary>The kernel's name of a socket's protocol (TCP, UNIX, MPTCP, …), from sockfs by way of /proc/PID/fd; null if it is gone.</summary>
    internal static unsafe string? ProtocolOf(string path)
    {
        byte* buffer = stackalloc byte[64];
        nint length = Interop.FileCalls.GetXattr(path, "system.sockprotoname", buffer, 64);
        return length > 0 ? System.Text.Encoding.ASCII.GetString(buffer, (int)length).TrimEnd('\0') : null;
    }

    /// <summary>Null if CRIU can dump sockets of the protocol.</summary>
    internal static string? WhyNotMovable(string protocol) => protocol switch
    {
        "TCP" or "TCPv6" or "UDP" or "UDPv6" or "UDP-Lite" or "UDPLITEv6" or "UNIX" or "UNIX-STREAM" or "RAW" or "RAWv6" or "PING" or "PINGv6" or "NETLINK" or "PACKET" => null,
        "MPTCP" or "MPTCPv6" => "CRIU cannot dump multipath TCP; turn it off in the program (Go: GODEBUG=multipathtcp=0) or with sysctl net.mptcp.enabled=0",
        _ => "CRIU cannot dump this protocol",
    };
}
