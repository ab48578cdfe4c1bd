using System.Globalization;
using System.Text;
using Evacuator.NodeAgent.Memory.Injection;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Memory;

/// <summary>
/// Follows the memory of one process. Which mappings are protected is the kernel's knowledge, asked anew every round: a mapping that is new, moved or replaced has lost its protection, and
/// everything in it is taken for written. The only state here is what has been handed on (<see cref="Sent"/>) and whether the last round ended properly.
/// </summary>
/// <remarks>Owns the userfaultfd. Closing it, or dying, unregisters everything and lets the process write freely.</remarks>
internal sealed partial class ProcessTracker : IDisposable
{
    /// <summary>What one failed call can lose: the kernel forgets to report what it protected before it met an untracked mapping, so all of the call's range counts as written.</summary>
    private const ulong WindowBytes = 1UL << 30;

    public const ulong AddressSpaceEnd = 0x7FFF_FFFF_F000;
    private const int RegisterAttempts = 3;

    private readonly SafeFileHandle _pidfd;
    private readonly ulong _startTime;
    private SafeFileHandle? _userFault;
    private bool _sharesMemory;
    private List<int> _leftovers = [];

    private ProcessTracker(int hostPid, int pid, ulong startTime, SafeFileHandle pidfd)
    {
        HostPid = hostPid;
        Pid = pid;
        _startTime = startTime;
        _pidfd = pidfd;
    }

    public int HostPid { get; }

    public int Pid { get; }

    /// <summary>Pages that were handed on with their bytes and not declared void since.</summary>
    public RangeSet Sent { get; } = new();

    public string? WhyUntracked { get; private set; } = "not attached yet";

    public TimeSpan Stopped { get; private set; }

    public bool IsTracked => _userFault is not null;

    /// <summary>Null where the process has ended already.</summary>
    public static ProcessTracker? Open(int hostPid)
    {
        SafeFileHandle? pidfd = Interop.PidfdOpen(hostPid);
        if (pidfd is null || ProcessStatus.Read(hostPid) is not { IsZombie: false, NamespacePid: > 0 } status || StartTimeOf(hostPid) is not { } startTime)
        {
            pidfd?.Dispose();
            return null;
        }
        return new ProcessTracker(hostPid, status.NamespacePid, startTime, pidfd) { _leftovers = UserFaultInjector.LeftoverDescriptors(hostPid) };
    }

    /// <summary>Still the process that was opened, not another one with its number.</summary>
    public bool IsAlive => StartTimeOf(HostPid) == _startTime && ProcessStatus.Read(HostPid) is { IsZombie: false };

    /// <summary>Gets the userfaultfd. <paramref name="others"/> are the processes tracked so far: one memory must not have two trackers, each would eat the other's findings.</summary>
    public void Attach(UserFaultInjector injector, IEnumerable<ProcessTracker> others, ulong features)
    {
        foreach (ProcessTracker other in others)
        {
            if (other != this && other.IsTracked && Interop.ShareMemory(HostPid, other.HostPid))
            {
                WhyUntracked = $"shares its memory with process {other.HostPid}";
                _sharesMemory = true;
                return;
            }
        }
        _sharesMemory = false;
        InjectionResult result = TraceThread.Run(() => injector.Inject(HostPid, _pidfd, _leftovers));
        Stopped += result.Stopped;
        WhyUntracked = result.Outcome == InjectionOutcome.Injected ? null : result.Detail;
        _userFault = result.UserFault;
        _leftovers = [];
        _isNew = true;
        if (_userFault is not null && !TryEnable(features, out int error))
            Lose(Interop.Failure("UFFDIO_API", error).Message);
    }

    public void Dispose()
    {
        _userFault?.Dispose();
        _pidfd.Dispose();
        _pagemap?.Dispose();
    }

    private unsafe bool TryEnable(ulong features, out int error)
    {
        Interop.uffdio_api api = new() { api = Interop.UserFault.UFFD_API, features = features };
        error = Interop.IoControl(_userFault!, Interop.UserFault.UFFDIO_API, &api) < 0 ? Interop.LastError : 0;
        return error == 0;
    }

    private void Lose(string why)
    {
        _userFault?.Dispose();
        _userFault = null;
        WhyUntracked = why;
    }

    private unsafe int Register(MemoryRange range)
    {
        Interop.uffdio_register argument = new()
        {
            range = new Interop.uffdio_range { start = range.Start, len = range.Length },
            mode = Interop.UserFault.UFFDIO_REGISTER_MODE_WP,
        };
        return Interop.IoControl(_userFault!, Interop.UserFault.UFFDIO_REGISTER, &argument) < 0 ? Interop.LastError : 0;
    }

    /// <summary>Field 22 of /proc/PID/stat, "5345 (cat) R 5298 …": clock ticks since boot. The name in parentheses may itself hold spaces and parentheses.</summary>
    private static ulong? StartTimeOf(int pid)
    {
        byte[] text = ProcFiles.Read($"/proc/{pid}/stat");
        int close = Array.LastIndexOf(text, (byte)')');
        if (close < 0)
            return null;
        string[] fields = Encoding.ASCII.GetString(text.AsSpan(close + 1)).Split(' ', StringSplitOptions.RemoveEmptyEntries);
        const int StartTimeAfterName = 19;
        return fields.Length > StartTimeAfterName && ulong.TryParse(fields[StartTimeAfterName], CultureInfo.InvariantCulture, out ulong ticks) ? ticks : null;
    }
}
