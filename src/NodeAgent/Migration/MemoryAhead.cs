using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.Memory.Convergence;
using Evacuator.NodeAgent.Memory.Mappings;
using Evacuator.NodeAgent.Processes;
using Evacuator.NodeAgent.Transfer;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Migration;

/// <summary>
/// The source's half of the engine: sends a container's memory while it runs, in rounds, and what is left once it is frozen. Ends with a list
/// of the memory that CRIU must not look at.
/// </summary>
internal sealed partial class MemoryAhead : IAsyncDisposable
{
    /// <summary>A round with less than this says more about the time it takes to begin and end one than about the wire.</summary>
    private const ulong LeastMeasured = 1 << 20;

    /// <summary>Rounds without an end in sight: what a container writes faster than the wire takes, no further round will catch.</summary>
    private const int MaxRounds = 12;

    /// <summary>Nobody else can be frozen meanwhile.</summary>
    private static readonly TimeSpan LongestAlone = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan MaxAge = TimeSpan.FromMilliseconds(100);

    /// <summary>What a stretch of pages takes that is only named.</summary>
    private const ulong ListedRangeBytes = 16;

    private readonly ContainerTracker _tracker;
    private readonly PageSender _sender;
    private readonly string _container;
    private readonly ILogger _log;
    private readonly Urgency _urgent;
    private readonly Bandwidth _bandwidth;
    private readonly List<DamagedPages> _damaged = [];
    private readonly List<RoundResult> _rounds = [];
    private readonly FreezeExperience _experience;
    private readonly MappingFlags? _mappingFlags;
    private readonly CgroupThrottle _throttle;
    private readonly double _leastSpeed;
    private readonly bool _canLeave, _mayLeave;
    private readonly TimeProvider _time;
    private long _roundEnded;

    private readonly Wire _wire;
    private TimeSpan _waited;

    /// <summary>From the beginning of the last round until the destination had it.</summary>
    private TimeSpan _took;
    private long? _firstEnded;
    private DumpRung _rung = DumpRung.Shim;
    private bool _closed;

    private MemoryAhead(ContainerTracker tracker, PageSender sender, ContainerDescription container, bool canLeave, MoveTools tools, ILogger log)
    {
        (_tracker, _sender, _container, _canLeave, _mayLeave, _log) = (tracker, sender, container.Name, canLeave, PermitsPostCopy(container.Annotations), log);
        _throttle = new CgroupThrottle(container.CgroupPath, tools.Paths.Throttled, tools.Time);
        _leastSpeed = LeastSpeed(container.Annotations, tools.LeastSpeedPercent) / 100.0;
        (_urgent, _bandwidth, _wire, _experience, _time) = (tools.Urgent, tools.Bandwidth, tools.Wire, tools.Experience, tools.Time);
        _mappingFlags = tools.MappingFlags;
    }

    public long BytesSent => _sender.BytesSent;

    /// <summary>That were begun.</summary>
    public int Rounds { get; private set; }

    /// <summary>Part of its speed that the container runs at meanwhile: 1 unless it writes faster than its memory can be sent.</summary>
    public double Speed => WhySlowed.Length > 0 ? _throttle.Share : 1;

    /// <summary>The last round is long over: what was written since takes more than the little that was left by it.</summary>
    public bool HasAged => _time.GetElapsedTime(_roundEnded) > MaxAge;

    /// <summary>What is left of its memory when it is frozen stays here, and why; null: everything travels before it is resumed.</summary>
    public string? WhyLeft { get; private set; }

    /// <summary>Its rounds ended because it shared the wire, and not because it may be frozen: that is decided once it has the wire to itself.</summary>
    public bool IsUndecided { get; private set; }

    /// <summary>Why it was slowed down; empty if it was not.</summary>
    public string WhySlowed { get; private set; } = "";

    /// <param name="canLeave">the destination can run a container before all of its memory is there, and CRIU's dump leaves it alone in the meantime</param>
    /// <param name="compress">the destination takes compressed batches, and they are permitted</param>
    /// <param name="shared">the destination takes shared memory ahead, and CRIU's dump leaves it alone</param>
    public static async Task<MemoryAhead> StartAsync(
        ContainerDescription container, PeerClient peer, bool canLeave, bool shared, bool compress, MoveTools tools, DumpRung rung, ILogger log, CancellationToken cancel)
    {
        PageSender sender = new(await peer.OpenPagesAsync(tools.MemoryStreams, cancel), tools.Time, compress);
        try
        {
            ContainerTracker tracker = await ContainerTracker.AttachAsync(KernelPaths.Default.CgroupDirectory(container.CgroupPath), tools.Memory, tools.Time);
            foreach (ProcessTracking process in tracker.Processes.Where(process => process.WhyUntracked is not null))
                LogUntracked(log, container.Name, process.HostPid, process.WhyUntracked!);
            return new MemoryAhead(tracker, sender, container, canLeave, tools, log) { _rung = rung, _shared = shared ? new SharedTracker(tools.Time) : null };
        }
        catch
        {
            await sender.DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// Rounds while the container runs, until what is left is small or does not become less, and until the freeze is predicted to fit its budget.
    /// </summary>
    /// <param name="freezeBudget">a container whose freeze would take longer is not frozen at all</param>
    /// <param name="goAhead">makes the others hold, which lasts for a while only; what is decided then is final. Null: they do not</param>
    /// <exception cref="ContainerException">its freeze would take too long, also without what it writes too fast, or that may not be left here</exception>
    public async Task PreCopyAsync(TimeSpan freezeBudget, CancellationToken cancel, Action? goAhead = null)
    {
        bool alone = goAhead is not null;
        SetAlone(alone);
        IsUndecided = false;
        ConvergenceBudget budget = ConvergenceBudget.Default with { Freeze = freezeBudget, LowestThrottle = _leastSpeed };
        if (alone)
            budget = budget with { Deadline = LongestAlone };
        double before = double.PositiveInfinity;
        while (true)
        {
            goAhead?.Invoke();
            Rounds++;
            await RoundAsync(cancel);
            RoundStatistics round = WithShared(_tracker.LastRound!);
            // What was written while a round was sent is what the next finds: its length is the best guess of the rest.
            if (Measure(round) is > 0 and var measured)
                _measured = measured;
            double speed = BytesPerSecond;
            double residue = Math.Max(round.Duration.TotalSeconds, round.DataBytes / speed);
            LogRound(_log, _container, Rounds, (long)(round.DataBytes >> 10), round.Duration.TotalMilliseconds, (long)(round.TrackedBytes >> 10));
            _rounds.Add(new RoundResult(round, _throttle.Share));
            Decision decision = ConvergencePolicy.Next(
                new RoundHistory(_rounds, Elapsed), new Measurements(speed, _experience.Model, LazyDump), budget);
            if (decision.Kind == DecisionKind.HelpConverge)
            {
                _throttle.Set(decision.Throttle);
                WhySlowed = decision.Text;
                LogSlowed(_log, _container, (int)(decision.Throttle * 100), _throttle.Kind, decision.Text);
            }
            // Beside others it gets a part of the wire: whether that is the reason is seen when it has all of it.
            if (decision.Kind == DecisionKind.GiveUp && !alone && _wire.IsShared)
            {
                IsUndecided = true;
                return;
            }
            if (decision.Kind == DecisionKind.GiveUp && CanLeave(decision, round, freezeBudget))
            {
                WhyLeft = decision.Text;
                LogLeaves(_log, _container, decision.Text);
                return;
            }
            if (decision.Kind == DecisionKind.GiveUp)
            {
                _experience.Doubt();
                string permission = decision.Reason == GiveUpReason.FixedCostOverBudget ? ""
                    : _mayLeave && !_canLeave ? "; post-copy, which its owner permits, needs the shim in CRIU here (\"evacuator status\") and a destination that knows it"
                    : _mayLeave ? "; post-copy would take too long as well"
                    : $"; the annotation {Annotations.PostCopy}=yes permits to resume it before all of its memory is there, {Annotations.LeastSpeed} how far it may be slowed down";
                throw new ContainerException(BlockerCode.None,
                    $"{_container} is not frozen, because it would stand still for too long ({decision.Text}); it runs on. A larger budget is given by the annotation evacuator.freeze-budget{permission}");
            }
            bool small = residue <= CalmPolicy.Small.TotalSeconds, stuck = Rounds > 2 && residue > 0.8 * before;
            if (decision.Kind == DecisionKind.FreezeNow && (small || stuck || Rounds >= MaxRounds))
            {
                LogPredicted(_log, _container, decision.Text);
                return;
            }
            before = residue;
        }
    }

    /// <summary>Right before the freeze; see <see cref="CalmPolicy"/>. It is slower until <see cref="EndThrottle"/>.</summary>
    public async Task CalmAsync(CancellationToken cancel)
    {
        TimeSpan last = _tracker.LastRound!.Duration;
        double speed = Math.Min(_throttle.Share, _leastSpeed);
        if (WhyLeft is not null || !CalmPolicy.Helps(last, speed))
            return;
        long start = _time.GetTimestamp();
        _throttle.Set(speed);
        TimeSpan before;
        int rounds = 0;
        do
        {
            before = last;
            Rounds++;
            await RoundAsync(cancel);
            rounds++;
            last = _tracker.LastRound!.Duration;
        }
        while (CalmPolicy.GoesOn(rounds, before, last, _time.GetElapsedTime(start)));
        LogCalmed(_log, _container, (int)(speed * 100), rounds, _time.GetElapsedTime(start).TotalMilliseconds, (long)(_tracker.LastRound!.DataBytes >> 10));
    }

    /// <summary>Whether it fits without what it writes: then only the list of what is left here travels while it stands still.</summary>
    private bool CanLeave(Decision decision, RoundStatistics round, TimeSpan freezeBudget) =>
        _canLeave && _mayLeave && decision.Reason != GiveUpReason.FixedCostOverBudget
        && _experience.Model.Predict(FreezeShape.From(round, (ulong)round.Regions * ListedRangeBytes, BytesPerSecond)) <= freezeBudget;

    /// <returns>whether its owner permits that both hosts are needed for a while: if one of them fails then, the container is lost or falls back</returns>
    internal static bool PermitsPostCopy(IReadOnlyDictionary<string, string> annotations) =>
        annotations.TryGetValue(Annotations.PostCopy, out string? text) && text.Trim() is "yes" or "true";

    /// <summary>Full speed again: right before the freeze, since a pulse would thaw it, and CRIU take a quota along.</summary>
    public void EndThrottle() => _throttle.Release();

    /// <returns>percent; what the container says goes before what the host says, nonsense is no permission</returns>
    internal static int LeastSpeed(IReadOnlyDictionary<string, string> annotations, int host) =>
        !annotations.TryGetValue(Annotations.LeastSpeed, out string? text) ? host
        : int.TryParse(text.Trim().TrimEnd('%'), System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out int percent) && percent is >= 5 and <= 100 ? percent
        : 100;

    /// <summary>What the freeze that is over depended on; null before the last round.</summary>
    public FreezeShape? LastShape => _tracker.LastRound is { Frozen: true } last && WithShared(last) is var all
        ? FreezeShape.From(all, all.DataBytes, BytesPerSecond) with { LazyDump = LazyDump }
        : null;

    /// <summary>What the last round has to see before CRIU touches the processes.</summary>
    public void LookFrozen()
    {
        _tracker.LookFrozen(leave: WhyLeft is not null);
        _shared?.Freeze(_tracker.Mappings);
    }

    /// <summary>The last round, while the container is frozen, and the list for the shim. All is read when it returns, and some is still on its way.</summary>
    /// <param name="mappings">a directory for what CRIU asks of the processes' mappings</param>
    public async Task SendLastAsync(string ownedFile, string mappings, CancellationToken cancel)
    {
        if (_mappingFlags is not null)
            _tracker.WriteMappings(_mappingFlags, mappings);
        await SendRoundAsync(_tracker.FrozenRoundAsync(cancel), giveWay: false, cancel);
        await WriteOwnedAsync(_tracker, _shared, ownedFile, cancel);
    }

    /// <summary>Walks the ways of <see cref="LookFrozen"/> and <see cref="SendLastAsync"/> without effect: run for the first time in the freeze, they are compiled in it.</summary>
    /// <param name="place">an empty directory, for files that nobody reads</param>
    public async Task RehearseLastAsync(string place, CancellationToken cancel)
    {
        _tracker.RehearseLook();
        if (_mappingFlags is not null)
            _tracker.WriteMappings(_mappingFlags, place);
        await WriteOwnedAsync(_tracker, _shared, Path.Combine(place, "owned"), cancel);
    }

    /// <summary>Once nobody waits any more.</summary>
    /// <param name="images">bytes that CRIU wrote</param>
    public void LogLastRound(long images)
    {
        if (_tracker.LastRound is { Frozen: true } last)
            LogLast(_log, _container, (long)(last.DataBytes >> 10), last.Regions, last.Duration.TotalMilliseconds, last.ScanTime.TotalMilliseconds, last.ReadTime.TotalMilliseconds,
                images >> 10, (long)((LastShape?.UntrackedBytes + LastShape?.ImageBytes ?? 0) >> 10));
    }

    /// <summary>Waits until the destination holds all of the last round; then its streams end.</summary>
    /// <param name="dumped">the end of the dump: while CRIU is in the processes, their pages may not be read again</param>
    /// <param name="images">where the dump is</param>
    public async Task ConfirmLastAsync(Task<CommandResult> dumped, string images, CancellationToken cancel)
    {
        _damaged.AddRange(await _sender.EndRoundAsync(cancel));
        if (_damaged.Count > 0)
        {
            await dumped;
            await SendAgainAsync(cancel);
        }
        if (LazyDump && (await dumped).Succeeded)
            await SettleLazyAsync(images, cancel);
        await CloseAsync();
    }

    public async ValueTask DisposeAsync()
    {
        _throttle.Dispose();
        _tracker.Dispose();
        await CloseAsync();
        // After the streams, which may hold batches of it.
        _shared?.Dispose();
    }

    private async Task CloseAsync()
    {
        if (!_closed)
            await _sender.DisposeAsync();
        _closed = true;
    }

    private async Task RoundAsync(CancellationToken cancel)
    {
        long start = _time.GetTimestamp();
        await SendRoundAsync(_tracker.RoundAsync(cancel), giveWay: true, cancel);
        await SharedRoundAsync(cancel);
        _damaged.AddRange(await _sender.EndRoundAsync(cancel));
        _roundEnded = _time.GetTimestamp();
        _firstEnded ??= _roundEnded;
        _took = _time.GetElapsedTime(start, _roundEnded);
    }

    private async Task SendRoundAsync(IAsyncEnumerable<PageBatch> batches, bool giveWay, CancellationToken cancel)
    {
        _waited = TimeSpan.Zero;
        await foreach (PageBatch batch in batches)
            await SendAsync(batch, giveWay, cancel);
    }

    private async Task SendAsync(PageBatch batch, bool giveWay, CancellationToken cancel)
    {
        if (giveWay)
        {
            _waited += await _bandwidth.TakeAsync(batch.Data.Length, cancel);
            if (!_alone)
                await _urgent.GiveWayAsync(cancel);
        }
        else
        {
            _bandwidth.Charge(batch.Data.Length);
        }
        await _sender.SendAsync(batch, cancel, giveWay && !_alone ? _urgent : null);
    }

    /// <summary>Pages that a checksum refused, read again from the frozen process.</summary>
    private async Task SendAgainAsync(CancellationToken cancel)
    {
        LogDamaged(_log, _container, _damaged.Count);
        using BatchBuffers buffers = new(2);
        for (int attempt = 0; attempt < 3 && _damaged.Count > 0; attempt++)
        {
            DamagedPages[] again = [.. _damaged];
            _damaged.Clear();
            foreach (DamagedPages pages in again.Where(pages => pages.Pid < 0))
                _shared?.Forget(pages.Pid, pages.Address, pages.Length);
            if (again.Any(pages => pages.Pid < 0))
                await SendSharedLastAsync(cancel);
            foreach (IGrouping<int, DamagedPages> process in again.GroupBy(pages => pages.Pid))
            {
                if (_tracker.Memory.FirstOrDefault(memory => memory.Pid == process.Key) is not { } memory)
                    continue;
                PageReader reader = new(memory.HostPid, memory.Pid, buffers);
                foreach (DamagedPages pages in process.OrderBy(pages => pages.Address))
                    foreach (MemoryRange held in memory.Stored.Where(range => range.Start < pages.Address + pages.Length && range.End > pages.Address))
                        reader.Add(Math.Max(held.Start, pages.Address), Math.Min(held.End, pages.Address + pages.Length), PageRangeKind.Data);
                while (!reader.IsEmpty)
                    await _sender.SendAsync(reader.Read(await buffers.RentAsync(cancel)), cancel);
            }
            _damaged.AddRange(await _sender.EndRoundAsync(cancel));
        }
        if (_damaged.Count > 0)
            throw new InvalidDataException($"memory of {_container} arrives damaged again and again: check the memory of both hosts");
    }

    internal static async Task WriteOwnedAsync(ContainerTracker tracker, SharedTracker? shared, string file, CancellationToken cancel)
    {
        List<(int Pid, ulong Start, ulong End)> owned =
            [.. tracker.Memory.OrderBy(memory => memory.HostPid).SelectMany(memory => memory.Owned.OrderBy(range => range.Start).Select(range => (memory.HostPid, range.Start, range.End)))];
        // Whole or not there: CRIU may be waiting for it.
        await File.WriteAllBytesAsync(file + ".new", OwnedList.Write(owned, [.. shared?.Objects.Select(known => (known.Device >> 20, known.Device & 0xFFFFF, known.Inode)) ?? []]), cancel);
        File.Move(file + ".new", file, overwrite: true);
    }

    [LoggerMessage(1601, LogLevel.Information, "{Container}: round {Round} sent {Kilobytes} KiB in {Milliseconds:0.0} ms, {Tracked} KiB are tracked")]
    private static partial void LogRound(ILogger log, string container, int round, long kilobytes, double milliseconds, long tracked);

    [LoggerMessage(1607, LogLevel.Information, "{Container}: last round sends {Kilobytes} KiB in {Regions} places, read in {Milliseconds:0.0} ms (scan {Scan:0.0}, read {Read:0.0}); images of {Images} KiB, {Thought} were expected")]
    private static partial void LogLast(ILogger log, string container, long kilobytes, long regions, double milliseconds, double scan, double read, long images, long thought);

    [LoggerMessage(1604, LogLevel.Information, "{Container}: {Prediction}")]
    private static partial void LogPredicted(ILogger log, string container, string prediction);

    [LoggerMessage(1608, LogLevel.Information, "{Container} ran at {Percent} % of its speed for {Rounds} rounds in {Milliseconds:0} ms; the last of them sent {Kilobytes} KiB")]
    private static partial void LogCalmed(ILogger log, string container, int percent, int rounds, double milliseconds, long kilobytes);

    [LoggerMessage(1606, LogLevel.Warning, "{Container} writes faster than its memory can be sent: it moves by post-copy, and fetches what it writes now once it runs there ({Reason})")]
    private static partial void LogLeaves(ILogger log, string container, string reason);

    [LoggerMessage(1602, LogLevel.Warning, "{Container}: process {Pid} cannot be tracked ({Reason}); its memory is sent while it is frozen")]
    private static partial void LogUntracked(ILogger log, string container, int pid, string reason);

    [LoggerMessage(1603, LogLevel.Error, "{Container}: {Count} stretches of memory arrived damaged; sending them again")]
    private static partial void LogDamaged(ILogger log, string container, int count);

    [LoggerMessage(1605, LogLevel.Warning, "{Container} writes faster than its memory can be sent: it runs at {Percent} % of its speed until it has moved ({Kind}; {Reason})")]
    private static partial void LogSlowed(ILogger log, string container, int percent, ThrottleKind kind, string reason);
}
