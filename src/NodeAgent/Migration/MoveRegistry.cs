using System.Collections.Concurrent;
using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Hosting;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Host;
using Evacuator.NodeAgent.Journal;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.PageStore;
using Evacuator.NodeAgent.Transfer;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Migration;

/// <summary>
/// All moves of this agent, both directions: takes them on, goes on with those of an earlier life, ends those whose lease is over. Starts
/// before the sockets listen, so that nobody meets an agent that does not know its own past.
/// </summary>
internal sealed partial class MoveRegistry(
    MoveTools tools, HostProbe host, EvacuatorOptions options, PeerClientFactory peers, Heartbeat<MoveRegistry> heartbeat, ILoggerFactory logs) : BackgroundService
{
    /// <summary>Moves of one peer that this agent has never heard of and remembers as Failed.</summary>
    private const int MaxBuried = 1000;

    private static readonly TimeSpan PruneEvery = TimeSpan.FromDays(1);

    private readonly ConcurrentDictionary<Guid, SourceMove> _sources = new();
    private readonly ConcurrentDictionary<Guid, DestinationMove> _destinations = new();
    private readonly ConcurrentDictionary<Guid, Task> _running = new();
    private bool _wasBusy;

    /// <summary>A fill takes seconds, and a report is at most three old.</summary>
    private static readonly TimeSpan JustArrived = TimeSpan.FromSeconds(10);
    private readonly SemaphoreSlim _announcing = new(1);
    private readonly ILogger _log = logs.CreateLogger<MoveRegistry>();
    private readonly CancellationTokenSource _stopping = new();
    private volatile AdmissionRequest _admission = new(Open: true, Reason: "");

    public AdmissionRequest Admission
    {
        get => _admission;
        set => _admission = value;
    }

    public IEnumerable<SourceMove> Sources => _sources.Values.OrderBy(move => move.Record.Started);

    public IEnumerable<DestinationMove> Destinations => _destinations.Values.OrderBy(move => move.Record.Updated);

    public SourceMove? Source(Guid id) => _sources.GetValueOrDefault(id);

    public DestinationMove? Destination(Guid id) => _destinations.GetValueOrDefault(id);

    public async Task<HostReport> HostAsync(CancellationToken cancel) =>
        await host.ReportAsync(_admission.Open, _destinations.Values.Sum(move => move.ReservedBytes), _destinations.Values.Sum(move => move.ReservedDisk), cancel) with { KeptBundles = KeptBundles(), Dump = tools.Dumps.Report };

    /// <summary>Of containers that have left; at most the 256 that left last are looked for.</summary>
    private IReadOnlyList<string> KeptBundles() =>
    [
        .. _sources.Values.Select(move => move.Record).Where(record => record is { Phase: SourcePhase.Moved, Bundle: not null })
            .OrderByDescending(record => record.Updated).Take(256).Select(record => record.Bundle!).Distinct()
            .Where(bundle => Directory.Exists(Files.TreePlace.SetAside(bundle))),
    ];

    /// <summary>Reads the journal and goes on with what is in it, before anything else is served.</summary>
    public override async Task StartAsync(CancellationToken cancel)
    {
        tools.Dumps.Start();
        _ = tools.Journal.Prune(tools.Time.GetUtcNow());
        Directory.CreateDirectory(tools.Paths.Throttled);
        foreach (string cgroup in CgroupThrottle.RestoreAll(tools.Paths.Throttled))
            LogSpeedRestored(_log, cgroup);
        HashSet<string> leaving = [.. tools.Journal.ReadSources()
            .Where(record => record.Phase is SourcePhase.Freezing or SourcePhase.Released or SourcePhase.Serving or SourcePhase.Removing or SourcePhase.Reverting)
            .Select(record => record.Request.Container)];
        (IReadOnlyList<KeptDescriptors> descriptors, IReadOnlyList<string> nobodys) = KeptDescriptors.Take(
            Environment.GetEnvironmentVariable("LISTEN_FDS"), Environment.GetEnvironmentVariable("LISTEN_FDNAMES"), Environment.GetEnvironmentVariable("LISTEN_PID"));
        Dictionary<Guid, KeptDescriptors[]> kept = descriptors.GroupBy(process => process.MoveId).ToDictionary(move => move.Key, move => move.ToArray());
        foreach (DestinationRecord record in tools.Journal.ReadDestinations())
        {
            KeptDescriptors[] memory = [];
            if (record.Phase != DestinationPhase.Failed && kept.Remove(record.MoveId, out KeptDescriptors[]? found))
            {
                memory = found;
                LogMemoryKept(_log, record.Container, record.MoveId, record.Phase, memory.Length);
            }
            DestinationMove move = new(record, tools, logs.CreateLogger<DestinationMove>());
            _destinations[record.MoveId] = move;
            try
            {
                await move.RecoverAsync(leaving.Contains(record.Container), memory);
            }
            catch (Exception e) when (e is ContainerException or NetworkException or IOException or Processes.CommandException)
            {
                // Its phase is unchanged: the source keeps waiting, and the lease loop or its next question tries again.
                LogRecoveryFailed(_log, e, record.Container, record.MoveId);
            }
        }
        foreach ((Guid id, KeptDescriptors[] memory) in kept.Where(move => !_destinations.ContainsKey(move.Key) && move.Value.Any(process => process.UserFault is not null)).ToArray())
        {
            // The journal is lost, or begun anew because the disk cannot be written. Whatever became of the move, somebody waits for these pages.
            LogMemoryKept(_log, "a container", id, DestinationPhase.None, memory.Length);
            kept.Remove(id);
            DestinationRecord unknown = new()
            {
                MoveId = id, TokenHash = "", SourceNode = "", Container = MoveTools.UnknownContainer(id), MemoryBytes = 0, LeaseSeconds = 0,
                Phase = DestinationPhase.Running, SourceKnows = true, BootId = tools.BootId, Updated = tools.Time.GetUtcNow(),
            };
            await new DestinationMove(unknown, tools, logs.CreateLogger<DestinationMove>()).RecoverAsync(leaving: true, memory);
        }
        // Nobody is owed the rest any more, and systemd would keep it, a container's whole memory, for as long as the host is up.
        foreach (KeptDescriptors process in kept.Values.SelectMany(process => process))
        {
            process.Close();
            tools.Descriptors.Remove(process.Name);
        }
        foreach (string name in nobodys)
            tools.Descriptors.Remove(name);
        foreach (SourceRecord record in tools.Journal.ReadSources())
        {
            SourceMove move = NewSource(record);
            _sources[record.Request.MoveId] = move;
            if (!move.Record.ToReport().Ended)
                Track(record.Request.MoveId, move.RecoverAsync(_stopping.Token));
        }
        await base.StartAsync(cancel);
    }

    /// <summary>The brain wants a container moved. The same id twice is one move.</summary>
    /// <returns>the move, and whether it is new</returns>
    public (SourceMove Move, bool New) Start(MoveRequest request)
    {
        DateTimeOffset now = tools.Time.GetUtcNow();
        SourceMove made = NewSource(new SourceRecord
        {
            Request = request,
            Phase = SourcePhase.Accepted,
            BootId = tools.BootId,
            Started = now,
            Updated = now,
        });
        lock (_sources)
        {
            if (_sources.TryGetValue(request.MoveId, out SourceMove? known))
            {
                made.Dispose();
                return (known, false);
            }
            if (_sources.Values.FirstOrDefault(move => move.Record.Request.Container == request.Container && !move.Record.ToReport().Ended) is { } other)
            {
                made.Dispose();
                throw new MoveRefusedException([new Blocker(BlockerCode.Reserved, $"{request.Container} is already being moved (move {other.Record.Request.MoveId})")]);
            }
            tools.Journal.Write(made.Record);
            _sources[request.MoveId] = made;
        }
        Track(request.MoveId, Task.Run(() => made.RunAsync(_stopping.Token)));
        return (made, true);
    }

    /// <summary>The brain announces a container. Whether it fits is found out now, and its room is kept for it.</summary>
    public async Task<InboundReply> AnnounceAsync(InboundRequest request, CancellationToken cancel)
    {
        // One at a time: two announcements must not both get the last room.
        await _announcing.WaitAsync(cancel);
        try
        {
            if (_destinations.TryGetValue(request.MoveId, out DestinationMove? known))
                return DestinationTransitions.Ended(known.Record.Phase)
                    ? new InboundReply(false, [new Blocker(BlockerCode.Reserved, $"move {request.MoveId} has ended here already: {known.Record.Phase} {known.Record.Detail}")])
                    : new InboundReply(known.TokenFits(request.Token), []);
            List<Blocker> blockers = await WhyNotAsync(request, cancel);
            if (blockers.Count > 0)
                return new InboundReply(false, blockers);
            DestinationRecord record = new()
            {
                MoveId = request.MoveId,
                TokenHash = DestinationMove.HashToken(request.Token),
                SourceNode = request.SourceNode,
                Container = request.Container.Name,
                MemoryBytes = request.Container.MemoryBytes,
                DiskBytes = request.Container.DiskBytes,
                LeaseSeconds = Math.Clamp(request.LeaseSeconds, 10, 3600),
                Phase = DestinationPhase.Announced,
                BootId = tools.BootId,
                Updated = tools.Time.GetUtcNow(),
            };
            tools.Journal.Write(record);
            _destinations[record.MoveId] = new DestinationMove(record, tools, logs.CreateLogger<DestinationMove>());
            return new InboundReply(true, []);
        }
        finally
        {
            _announcing.Release();
        }
    }

    /// <summary>
    /// A move that this agent has never heard of, or whose journal is lost: from now on it is Failed here for ever, so that a source that waits
    /// for an answer gets one that stays true.
    /// </summary>
    /// <returns>false if a container of that name is here: with the journal lost, nobody can say that it is not the one that was moved</returns>
    public async Task<bool> BuryUnknownAsync(Guid id, string container, string sourceNode, string token, CancellationToken cancel)
    {
        await _announcing.WaitAsync(cancel);
        try
        {
            if (_destinations.ContainsKey(id))
                return true;
            if (container.Length == 0 || await tools.Runtime.ExistsAsync(container, cancel))
                return false;
            ForgetBuried(sourceNode);
            DestinationRecord record = new()
            {
                MoveId = id,
                TokenHash = DestinationMove.HashToken(token),
                SourceNode = sourceNode,
                Container = container,
                MemoryBytes = 0,
                LeaseSeconds = 0,
                Phase = DestinationPhase.Failed,
                BootId = tools.BootId,
                Detail = "this node knows nothing of the move and will not run it",
                Updated = tools.Time.GetUtcNow(),
            };
            tools.Journal.Write(record);
            _destinations[id] = new DestinationMove(record, tools, logs.CreateLogger<DestinationMove>());
            return true;
        }
        finally
        {
            _announcing.Release();
        }
    }

    /// <summary>A peer can ask for any number of ids. The oldest are forgotten: who asks for one again gets the same answer again.</summary>
    private void ForgetBuried(string sourceNode)
    {
        DestinationMove[] buried = [.. _destinations.Values.Where(move => move.Record is { LeaseSeconds: 0, Phase: DestinationPhase.Failed } record && record.SourceNode == sourceNode)];
        foreach (DestinationMove oldest in buried.OrderBy(move => move.Record.Updated).Take(buried.Length - MaxBuried + 1))
            Forget(oldest.Record.MoveId);
    }

    private void Forget(Guid id)
    {
        tools.Journal.Forget(id);
        if (_destinations.TryRemove(id, out DestinationMove? destination))
            destination.Dispose();
        if (_sources.TryRemove(id, out SourceMove? source))
            source.Dispose();
    }

    /// <summary>The check that belongs to the proof of emptiness: nothing is under way.</summary>
    public EmptinessCheck MovesCheck()
    {
        List<string> left =
        [
            .. _sources.Values.Select(move => move.Record).Where(record => !record.ToReport().Ended)
                .Select(record => $"{record.Request.Container} is moving to {record.Request.DestinationNode} ({record.Phase})"),
            .. _destinations.Values.Select(move => move.Record).Where(record => !DestinationTransitions.Ended(record.Phase))
                .Select(record => $"{record.Container} is arriving from {record.SourceNode} ({record.Phase})"),
        ];
        if (_admission.Open)
            left.Add("the node still accepts containers");
        return new EmptinessCheck("moves", left.Count == 0, _sources.Count + _destinations.Count, left);
    }

    /// <summary>
    /// A container that has just arrived has little of its memory yet, and a report may be seconds old: it counts as what was reserved for it. Else a move that follows at once would be
    /// refused in its middle, for being larger than it said.
    /// </summary>
    public IReadOnlyList<ContainerReport> WithWhatIsOwed(IReadOnlyList<ContainerReport> reports)
    {
        DateTimeOffset lately = tools.Time.GetUtcNow() - JustArrived;
        Dictionary<string, long> owed = [];
        foreach (DestinationRecord record in _destinations.Values.Select(move => move.Record))
            if (record.Phase == DestinationPhase.Running && record.Updated > lately)
                owed[record.Container] = Math.Max(owed.GetValueOrDefault(record.Container), record.MemoryBytes);
        return [.. reports.Select(report => owed.GetValueOrDefault(report.Name) is var least && least > report.MemoryBytes ? report with { MemoryBytes = least } : report)];
    }

    /// <summary>Containers of moves that have not ended, as far as they are described: what is prepared for them, or not removed yet, goes away by itself.</summary>
    public IEnumerable<ContainerDescription> UnderWay() =>
        _sources.Values.Select(move => move.Record).Where(record => !record.ToReport().Ended).Select(record => record.Description)
            .Concat(_destinations.Values.Select(move => move.Record).Where(record => !DestinationTransitions.Ended(record.Phase)).Select(record => record.Description))
            .OfType<string>().Select(text => JsonSerializer.Deserialize<ContainerDescription>(text, ApiJson.Options)!);

    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        using PeriodicTimer timer = new(TimeSpan.FromSeconds(2), tools.Time);
        long pruned = tools.Time.GetTimestamp();
        while (await timer.WaitForNextTickAsync(stopping))
        {
            heartbeat.Beat();
            GiveBackMemory();
            if (tools.Time.GetElapsedTime(pruned) > PruneEvery)
            {
                pruned = tools.Time.GetTimestamp();
                foreach (Guid id in tools.Journal.Prune(tools.Time.GetUtcNow()))
                    Forget(id);
            }
            foreach (DestinationMove move in _destinations.Values.Where(move => move.LeaseOver))
            {
                try
                {
                    await move.ForgetAsync("the source has not been heard of for as long as the room was reserved", stopping);
                }
                catch (Exception e) when (e is ContainerException or NetworkException or IOException or Processes.CommandException)
                {
                    LogRecoveryFailed(_log, e, move.Record.Container, move.Record.MoveId);
                }
            }
        }
    }

    /// <summary>
    /// What a move took is garbage after it, and a service that does nothing collects none: after 140 moves its memory stood at 250 MiB instead of 60. Only when nothing is under way, for it
    /// takes all threads some tens of milliseconds.
    /// </summary>
    private void GiveBackMemory()
    {
        bool busy = !_running.IsEmpty || !tools.Fills.IsEmpty || _destinations.Values.Any(move => !DestinationTransitions.Ended(move.Record.Phase));
        if (!busy && _wasBusy)
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        _wasBusy = busy;
    }

    public override async Task StopAsync(CancellationToken cancel)
    {
        await _stopping.CancelAsync();
        await base.StopAsync(cancel);
        // A move ends where its journal says; the next life goes on from there. A dump or restore under way lives in its own unit.
        await Task.WhenAny(Task.WhenAll(_running.Values), Task.Delay(TimeSpan.FromSeconds(5), tools.Time, cancel));
    }

    private async Task<List<Blocker>> WhyNotAsync(InboundRequest request, CancellationToken cancel)
    {
        HostReport report = await HostAsync(cancel);
        ContainerReport container = request.Container;
        List<Blocker> blockers = [];
        if (!_admission.Open)
            blockers.Add(new Blocker(BlockerCode.AdmissionClosed, $"{report.Node} takes no containers: {_admission.Reason}"));
        blockers.AddRange(report.Requirements.Where(requirement => !requirement.Met)
            .Select(requirement => new Blocker(requirement.Code, $"{report.Node} lacks {requirement.Name} ({requirement.Found}): {requirement.Remedy}")));
        if (InboundChecks.Memory(container, report, options.Move.MemoryReservePercent) is { } memory)
            blockers.Add(memory);
        if (InboundChecks.Disk(container, report, _destinations.Values.Sum(move => move.ReservedDisk)) is { } disk)
            blockers.Add(disk);
        if (!tools.Memory.CanTrack && ImageRoom.WhyNot(report.Node, tools.Paths.Runtime, container.Name, container.MemoryBytes, engine: false) is { } images)
            blockers.Add(images);
        if (_destinations.Values.Any(move => move.Record.Container == container.Name && !DestinationTransitions.Ended(move.Record.Phase)))
            blockers.Add(new Blocker(BlockerCode.NameTaken, $"another container named {container.Name} is arriving at {report.Node}"));
        blockers.AddRange(await InboundChecks.NameAndPathsAsync(container.Name, [(container.Bundle, TreeKind.Bundle)], tools.Runtime, cancel));
        return blockers;
    }

    private SourceMove NewSource(SourceRecord record) =>
        new(record, tools, peers.For(record.Request), logs.CreateLogger<SourceMove>());

    private void Track(Guid id, Task move) => _running[id] = WatchAsync(id, move);

    private async Task WatchAsync(Guid id, Task move)
    {
        try
        {
            await move;
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            // Goes on in the next life.
        }
        catch (Exception e)
        {
            // The journal says where it stands. A move that cannot go on must not look alive: the agent restarts and recovers it.
            LogMoveDied(_log, e, id);
            Environment.FailFast($"move {id} cannot go on: {e.Message}");
        }
        finally
        {
            _running.TryRemove(id, out _);
        }
    }

    [LoggerMessage(1301, LogLevel.Error, "{Container}: move {MoveId} could not be recovered yet")]
    private static partial void LogRecoveryFailed(ILogger log, Exception e, string container, Guid moveId);

    [LoggerMessage(1304, LogLevel.Warning, "{Container} (move {MoveId}, {Phase}): systemd has kept the memory of {Count} processes; going on with it")]
    private static partial void LogMemoryKept(ILogger log, string container, Guid moveId, DestinationPhase phase, int count);

    [LoggerMessage(1305, LogLevel.Warning, "{Cgroup} was slowed down when the agent ended; it runs at full speed again")]
    private static partial void LogSpeedRestored(ILogger log, string cgroup);

    [LoggerMessage(1302, LogLevel.Critical, "move {MoveId} cannot go on; restarting the agent to recover it from the journal")]
    private static partial void LogMoveDied(ILogger log, Exception e, Guid moveId);
}
