using System.Runtime.CompilerServices;
using Evacuator.NodeAgent.Memory.Injection;
using Evacuator.NodeAgent.Memory.Mappings;

namespace Evacuator.NodeAgent.Memory;

/// <summary>
/// Hands on the memory of a container's processes while they run: first everything, then in each round what was written since the one before, last what is left once they are frozen.
/// <list type="number">
/// <item><see cref="AttachAsync"/> while the container runs: every process is stopped for a fraction of a millisecond, one after the other.</item>
/// <item><see cref="RoundAsync"/> as often as it pays. Processes and mappings that appeared meanwhile are picked up.</item>
/// <item>Freeze the cgroup, then <see cref="FrozenRoundAsync"/>. After it the batches handed on are exactly the frozen memory of all <see cref="ProcessMemory.Owned"/> mappings.</item>
/// <item>On an abort: thaw and go on with 2; a frozen round takes nothing away. Dispose at the end, or die: the processes run on without protection.</item>
/// </list>
/// A round has to be enumerated to its end, else the next one begins by declaring everything void. One round at a time; batches may be disposed from any thread.
/// Extra memory: <see cref="TrackerOptions.Buffers"/> MiB, 1 MiB for scanning, and at most 0.4 % of the container for what is sent where.
/// </summary>
internal sealed class ContainerTracker : IDisposable
{
    private readonly Func<IReadOnlyCollection<int>> _list;
    private readonly SortedDictionary<int, ProcessTracker> _processes = [];
    private readonly Dictionary<int, int> _attempts = [];
    private readonly UserFaultInjector _injector;
    private readonly BatchBuffers _buffers;
    private readonly PageScanner _scanner;
    private readonly TrackerOptions _options;
    private readonly TimeProvider _time;
    private readonly ulong _features;
    private int _rounds;
    private Look? _looked;
    private SharedObjects _shared = new();

    private ContainerTracker(Func<IReadOnlyCollection<int>> list, MemoryFeatures features, TrackerOptions options, TimeProvider time)
    {
        _list = list;
        _options = options;
        _time = time;
        _features = features.UserFaultFeatures;
        _injector = new UserFaultInjector(time);
        _buffers = new BatchBuffers(options.Buffers);
        _scanner = new PageScanner(features.KnowsGuardPages);
    }

    /// <summary>What the last round found; null before the first.</summary>
    public RoundStatistics? LastRound { get; private set; }

    public IReadOnlyList<ProcessTracking> Processes =>
        [.. _processes.Values.Select(process => new ProcessTracking(process.HostPid, process.Pid, process.WhyUntracked, process.Stopped))];

    /// <summary>State after the last round, per process.</summary>
    public IReadOnlyList<ProcessMemory> Memory => [.. _processes.Values.Select(process => process.Snapshot())];

    /// <summary>Shared memory as the last round found it while the container ran.</summary>
    public IReadOnlyCollection<SharedPlace> SharedPlaces => _shared.Places;

    /// <summary>Of all processes, as of the last look.</summary>
    public IEnumerable<MemoryMapping> Mappings => _processes.Values.SelectMany(process => process.Mappings);

    /// <summary>Attaches to all processes in a cgroup and the cgroups below it.</summary>
    public static Task<ContainerTracker> AttachAsync(string cgroupPath, MemoryFeatures features, TimeProvider time, TrackerOptions? options = null) =>
        AttachAsync(() => ProcFiles.ProcessesOfCgroup(cgroupPath), features, time, options);

    /// <param name="list">The host pids of the container's processes, asked at the start of every round.</param>
    /// <exception cref="PlatformNotSupportedException">The kernel or processor cannot do it; the message says what to do.</exception>
    public static Task<ContainerTracker> AttachAsync(Func<IReadOnlyCollection<int>> list, MemoryFeatures features, TimeProvider time, TrackerOptions? options = null)
    {
        features.ThrowIfMissing();
        return Task.Run(() =>
        {
            UserFaultInjector.Prepare();
            ContainerTracker tracker = new(list, features, options ?? new TrackerOptions(), time);
            tracker.FindProcesses(attach: true, []);
            return tracker;
        });
    }

    /// <summary>One round while the container runs.</summary>
    public IAsyncEnumerable<PageBatch> RoundAsync(CancellationToken token) => EnumerateAsync(frozen: false, token);

    /// <summary>
    /// Looks at the mappings and threads of all processes, while the cgroup is frozen: what the last round goes by. Afterwards others may begin to
    /// trace them, as long as they change no mapping before the round is through.
    /// </summary>
    /// <param name="leave">
    /// post-copy: what has content is only named (<see cref="PageRangeKind.Away"/>) and stays where it is, but for pages that a thread needs for its first step
    /// </param>
    public void LookFrozen(bool leave = false)
    {
        RoundCounter counter = new(_time, ++_rounds, frozen: true, _shared);
        List<int> ended = [];
        Dictionary<ProcessTracker, RangeSet> dropped = [];
        using (counter.Scanning())
        {
            FindProcesses(attach: false, ended);
            foreach (ProcessTracker process in _processes.Values)
                if (process.BeginRound(_scanner, frozen: true, out RangeSet gone, leave))
                    dropped.Add(process, gone);
        }
        _looked = new Look(counter, ended, dropped);
    }

    /// <summary>What <see cref="LookFrozen"/> does beyond a look at a running process, without effect.</summary>
    public void RehearseLook()
    {
        foreach (ProcessTracker process in _processes.Values)
            process.RehearseLook();
    }

    /// <summary>Writes, after <see cref="LookFrozen"/>, a file for each process, by its pid, with what smaps would say of it; none for those of which only the kernel knows.</summary>
    public void WriteMappings(MappingFlags flags, string directory)
    {
        Directory.CreateDirectory(directory);
        foreach (ProcessTracker process in _processes.Values)
            process.WriteMappings(flags, directory);
    }

    /// <summary>The last round, while the cgroup is frozen. Processes that are not tracked are handed on whole.</summary>
    public IAsyncEnumerable<PageBatch> FrozenRoundAsync(CancellationToken token) => EnumerateAsync(frozen: true, token);

    public void Dispose()
    {
        foreach (ProcessTracker process in _processes.Values)
            process.Dispose();
        _processes.Clear();
        _scanner.Dispose();
        _buffers.Dispose();
    }

    /// <param name="Dropped">processes that are alive, with what was handed on of them before and is void now</param>
    private sealed record Look(RoundCounter Counter, List<int> Ended, IReadOnlyDictionary<ProcessTracker, RangeSet> Dropped);

    private async IAsyncEnumerable<PageBatch> EnumerateAsync(bool frozen, [EnumeratorCancellation] CancellationToken token)
    {
        if (frozen && _looked is null)
            LookFrozen();
        Look? look = frozen ? _looked : null;
        _looked = null;
        SharedObjects shared = look is null ? new() : _shared;
        RoundCounter counter = look?.Counter ?? new(_time, ++_rounds, frozen, shared);
        List<int> ended = look?.Ended ?? [];
        if (look is null)
            using (counter.Scanning())
                FindProcesses(attach: true, ended);
        foreach (int pid in ended)
            yield return DroppedBatch(counter, 0, pid, [new MemoryRange(0, ProcessTracker.AddressSpaceEnd)]);

        foreach (ProcessTracker process in _processes.Values)
        {
            RangeSet? dropped;
            bool alive;
            using (counter.Scanning())
                alive = look is null ? process.BeginRound(_scanner, frozen: false, out dropped) : look.Dropped.TryGetValue(process, out dropped);
            if (!alive)
                continue;
            if (dropped!.Count > 0)
                yield return DroppedBatch(counter, process.HostPid, process.Pid, dropped.Ranges.ToArray());
            PageReader reader = new(process.HostPid, process.Pid, _buffers);
            bool more = true;
            while (more || !reader.IsEmpty)
            {
                token.ThrowIfCancellationRequested();
                using (counter.Scanning())
                    while (more && !reader.IsFull)
                        more = process.Step(_scanner, reader);
                if (reader.IsEmpty)
                    break;
                byte[] buffer = await _buffers.RentAsync(token).ConfigureAwait(false);
                PageBatch batch;
                using (counter.Reading())
                    batch = reader.Read(buffer);
                process.Commit(batch);
                counter.Count(batch);
                yield return batch;
            }
            process.EndRound();
            counter.Count(process);
        }
        LastRound = counter.Finish();
        _shared = shared;
    }

    private PageBatch DroppedBatch(RoundCounter counter, int hostPid, int pid, MemoryRange[] ranges)
    {
        PageBatch batch = new(_buffers, null, 0, hostPid, pid, [.. ranges.Select(range => new PageRange(range.Start, range.Length, PageRangeKind.Dropped))]);
        counter.Count(batch);
        return batch;
    }

    /// <summary>Takes in new processes and lets go of ended ones; adds the namespace pids of those to <paramref name="ended"/>.</summary>
    private void FindProcesses(bool attach, List<int> ended)
    {
        IReadOnlyCollection<int> listed = _list();
        foreach (ProcessTracker process in _processes.Values.ToArray())
        {
            if (listed.Contains(process.HostPid) && process.IsAlive)
                continue;
            _processes.Remove(process.HostPid);
            _attempts.Remove(process.HostPid);
            ended.Add(process.Pid);
            process.Dispose();
        }
        foreach (int pid in listed)
            if (!_processes.ContainsKey(pid) && ProcessTracker.Open(pid) is { } opened)
                _processes.Add(pid, opened);
        // A number that was given to a new process at once is not void: its new owner starts from nothing anyway, and says so first.
        if (!attach)
            return;
        foreach (ProcessTracker process in _processes.Values)
        {
            int attempts = _attempts.GetValueOrDefault(process.HostPid);
            if (process.IsTracked || attempts >= _options.AttachAttempts)
                continue;
            process.Attach(_injector, _processes.Values, _features);
            _attempts[process.HostPid] = process.IsTracked ? 0 : attempts + 1;
        }
    }
}
