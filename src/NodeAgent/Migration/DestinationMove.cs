using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Files;
using Evacuator.NodeAgent.Host;
using Evacuator.NodeAgent.Journal;
using Evacuator.NodeAgent.PageStore;
using Evacuator.NodeAgent.Processes;
using Evacuator.NodeAgent.Transfer;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Migration;

/// <summary>
/// A move as its destination lives it:
/// 1. announced by the own brain, room reserved; 2. offered by the source: checked, network and trees made; 3. files and memory arrive, the
/// restore is armed, images arrive; 4. complete: all checked, READY; 5. released: journal RESUMING, restore, journal RUNNING, connect the network, answer.
/// Before 5 anything ends it (<see cref="ForgetAsync"/>) and nothing is left; in 5 a failure removes what was restored before it is answered.
/// </summary>
/// <remarks>One step at a time: every public method takes the same gate. Repeating a step that has been done answers the present state.</remarks>
internal sealed partial class DestinationMove : IDisposable
{
    /// <summary>A complete copy is worth more than the room it takes: the source may be cut off for a while before it can release it.</summary>
    private static readonly TimeSpan ReadyLease = TimeSpan.FromMinutes(10);

    private readonly MoveTools _tools;
    private readonly ILogger _log;
    private readonly SemaphoreSlim _gate = new(1);

    /// <summary>One is held by each connection that memory arrives on: nobody else may touch the stores then, least of all unmap them.</summary>
    private readonly SemaphoreSlim _pages = new(PageFrame.MaxLanes);

    private readonly CancellationTokenSource _streams = new();
    private volatile DestinationRecord _record;
    private ContainerDescription? _container;
    private ArmedCommand? _restore;
    private long _lastNews;
    private readonly Dictionary<int, ProcessPages> _stores = [];
    private readonly PageReceiver _receiver;
    private (int Files, long Bytes) _images;

    /// <summary>Why the first stream of memory was closed that had to be.</summary>
    private volatile string? _refused;
    private LazySession? _lazy;
    private QuickCgroupMoves? _cgroups;
    private bool _connected;

    /// <summary>Held open for as long as the agent lives; systemd keeps them, too.</summary>
    private IReadOnlyList<KeptDescriptors>? _unusable;

    public DestinationMove(DestinationRecord record, MoveTools tools, ILogger log)
    {
        (_record, _tools, _log) = (record, tools, log);
        _lastNews = tools.Time.GetTimestamp();
        // A container may grow while it is on its way; more than half again is not what was reserved.
        _receiver = new PageReceiver(_stores, record.MemoryBytes + record.MemoryBytes / 2 + (256 << 20))
        {
            Time = tools.Time,
            NewStore = NewStore,
            NewShared = NewShared,
            MaxSharedBytes = MaxImageBytes(record),
            SharedHasRoom = () => FreeSpace.At(tools.Paths.Runtime) >= ImageRoom.Least,
            OnRound = News,
            GiveWay = giving =>
            {
                // A round may take longer than a lease.
                News();
                return _tools.Urgent.GiveWayAsync(giving, _still.Token);
            },
        };
        if (record.Description is { } text)
            _container = JsonSerializer.Deserialize<ContainerDescription>(text, ApiJson.Options);
    }

    public DestinationRecord Record => _record;

    /// <summary>Bytes promised to it that its container does not use yet.</summary>
    public long ReservedBytes => DestinationTransitions.Ended(_record.Phase) ? 0 : _record.MemoryBytes;

    /// <summary>Bytes of disk promised to it, and perhaps already written: also the last container that arrives has to find its room.</summary>
    public long ReservedDisk => DestinationTransitions.Ended(_record.Phase) ? 0 : _record.DiskBytes;

    /// <summary>Images hold the memory once more, and up to a quarter for what is not memory.</summary>
    private static long MaxImageBytes(DestinationRecord record) => record.MemoryBytes + record.MemoryBytes / 4 + (256 << 20);

    private Guid Id => _record.MoveId;

    public bool TokenFits(string token) => CryptographicOperations.FixedTimeEquals(
        Encoding.ASCII.GetBytes(HashToken(token)), Encoding.ASCII.GetBytes(_record.TokenHash));

    public static string HashToken(string token) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(token)));

    /// <summary>The source lives: its lease starts anew.</summary>
    public void News() => Interlocked.Exchange(ref _lastNews, _tools.Time.GetTimestamp());

    public bool LeaseOver => !DestinationTransitions.Ended(_record.Phase) && _record.Phase != DestinationPhase.Resuming
        && _tools.Time.GetElapsedTime(Interlocked.Read(ref _lastNews)) > (_record.Phase == DestinationPhase.Ready ? ReadyLease : TimeSpan.FromSeconds(_record.LeaseSeconds));

    public PeerReply Reply() => new(_record.Phase, _record.Detail, _record.Parts, Fetch: DescribeFetch(), Fetches: _record.Fetches, Refused: _refused);

    /// <summary>2. Checks the offer and makes room for it.</summary>
    public async Task<OfferReply> OfferAsync(Offer offer, CancellationToken cancel)
    {
        ContainerDescription container = offer.Container;
        await _tools.Urgent.GiveWayAsync(cancel);
        using Gate gate = await EnterAsync(cancel);
        if (_record.Phase == DestinationPhase.Receiving)
            return new OfferReply(true, [], _record.Engine, Stopped: _record.Stopped, PostCopy: _record.Engine, Shared: _record.Engine, Compressed: Interop.Lz4.IsAvailable);
        Require(DestinationPhase.Announced);
        List<Blocker> blockers = await WhyNotAsync(container, cancel);
        if (blockers.Count > 0)
            return Refuse(container, blockers);
        (bool engine, string whyNoEngine) = TakeEngine(offer);
        if (!offer.Stopped && ImageRoom.WhyNot(Environment.MachineName, _tools.Paths.Runtime, container.Name, container.MemoryBytes, engine) is { } full)
        {
            ReleaseShare();
            return Refuse(container, [full]);
        }
        if (whyNoEngine.Length > 0)
            LogNoEngine(_log, container.Name, whyNoEngine);
        // The description is journaled before anything is made, so that a restarted agent knows what to remove.
        Advance(DestinationInput.Offered, record => record with { Engine = engine, Stopped = offer.Stopped, Description = JsonSerializer.Serialize(container, ApiJson.Options) });
        _container = container;
        try
        {
            await MakeRoomAsync(container, cancel);
        }
        catch (Exception e)
        {
            await ForgetNeedsGateAsync($"could not make room: {e.Message}");
            if (e is OperationCanceledException)
                throw;
            return new OfferReply(false, [new Blocker(BlockerCode.Unreadable, $"{Environment.MachineName} could not make room for {container.Name}: {e.Message}")]);
        }
        return new OfferReply(true, [], engine, whyNoEngine, offer.Stopped, PostCopy: engine, Shared: engine, Compressed: Interop.Lz4.IsAvailable);
    }

    /// <summary>4. Everything is here and has been checked.</summary>
    public async Task<PeerReply> CompleteAsync(CompleteRequest request, CancellationToken cancel)
    {
        using Gate gate = await EnterAsync(cancel);
        if (_record.Phase == DestinationPhase.Ready)
            return Reply();
        Require(DestinationPhase.Receiving);
        StandStill();
        if (_images != (request.ImageFiles, request.ImageBytes) || (_images.Files == 0) != _record.Stopped)
            throw new MoveRefusedException([new Blocker(BlockerCode.Unreadable,
                $"the images are not complete: {_images.Files} files with {_images.Bytes} bytes are here, {request.ImageFiles} with {request.ImageBytes} were sent")]);
        ContainerDescription fresh = JsonSerializer.Deserialize<ContainerDescription>(request.Neighbours, ApiJson.Options)
            ?? throw new InvalidDataException("no neighbour tables");
        // Of the late description only the neighbour tables count: everything else was checked when it was offered.
        _container = _container! with
        {
            Interfaces = [.. _container.Interfaces.Select((own, at) => at < fresh.Interfaces.Count ? own with { Neighbours = fresh.Interfaces[at].Neighbours } : own)],
        };
        PrepareCgroups();
        AcceptHeld(request.Frames);
        await EndStreamsAsync();
        CheckDescriptors(_container);
        await ArmNeedsGateAsync();
        if (_record.Engine)
            CompleteImages();
        CompleteShared(request.Shared ?? []);
        _tools.Network.UpdateNeighbours(_container);
        PlaceFiles(_container);
        await _tools.Faults.ReachAsync("destination.complete");
        (int processes, long pages, long away) = (_stores.Count, _stores.Values.Sum(store => store.Table.CountPages()), _stores.Values.Sum(store => store.Table.CountAway()));
        if (_record.Engine)
            ListenForRestore();
        Advance(DestinationInput.Complete, record => record with
        {
            Description = JsonSerializer.Serialize(_container, ApiJson.Options), KeptProcesses = processes, KeptPages = pages, AwayPages = away,
        });
        await _tools.Faults.ReachAsync("destination.ready");
        News();
        return Reply();
    }

    /// <summary>5. The source has let go: restore. Repeating it waits for the first and gives the same answer.</summary>
    public async Task<PeerReply> ReleaseAsync()
    {
        long start = _tools.Time.GetTimestamp();
        // Not cancelled with the request: the source may hang up, the container must not be half restored.
        using Gate gate = await EnterAsync(CancellationToken.None);
        using IDisposable urgent = _stands ?? _tools.Urgent.Enter();
        if (_record.Phase == DestinationPhase.Ready)
        {
            await _tools.Faults.ReachAsync("destination.released");
            FreezeClock clock = new(_tools.Time);
            PrepareCgroups();
            clock.Time("journal-resuming", () => Advance(DestinationInput.Release, record => record));
            await _tools.Faults.ReachAsync("destination.resuming");
            await ResumeAsync(clock, start);
        }
        else if (_record.Phase == DestinationPhase.Resuming)
        {
            await ResumeAsync(new FreezeClock(_tools.Time), start);
        }
        return Reply();
    }

    /// <summary>
    /// The source has heard that it runs here, and removes its own once it has this answer: from here on the container is this node's alone, also if
    /// this host loses its power. On the disk before it is answered.
    /// </summary>
    public async Task<PeerReply> KnownAsync(CancellationToken cancel)
    {
        using Gate gate = await EnterAsync(cancel);
        EndHold();
        // What it has is needed still; one that has served everything does not ask before that is noted here.
        if (_record is { Phase: DestinationPhase.Running, SourceKnows: false, Fetches: false })
        {
            DestinationRecord record = _record with { SourceKnows = true };
            _tools.Journal.Write(record);
            _record = record;
        }
        return Reply();
    }

    /// <summary>Ends it before release: nothing of it is left, and it will never run here.</summary>
    /// <returns>false if it has been released</returns>
    public async Task<bool> ForgetAsync(string reason, CancellationToken cancel)
    {
        // A tree or image stream under way holds no gate; it is cut.
        await _streams.CancelAsync();
        using Gate gate = await EnterAsync(cancel);
        if (DestinationTransitions.Next(_record.Phase, DestinationInput.Forget) is null)
            return _record.Phase == DestinationPhase.Failed;
        await ForgetNeedsGateAsync(reason);
        return true;
    }

    /// <summary>Goes on with a move that an earlier life of the agent had journaled.</summary>
    /// <param name="leaving">a later move is taking the container away from here: what is frozen is frozen by that one</param>
    /// <param name="kept">what systemd kept of it</param>
    public async Task RecoverAsync(bool leaving, IReadOnlyList<KeptDescriptors> kept)
    {
        using Gate gate = await EnterAsync(CancellationToken.None);
        bool rebooted = _record.BootId != _tools.BootId;
        if (!_record.Over)
            LogRecovering(_log, _record.Container, Id, _record.Phase, rebooted);
        bool hadRun = _record.Phase == DestinationPhase.Running;
        if (!rebooted)
            AdoptMemory(kept);
        switch (_record.Phase)
        {
            case DestinationPhase.Announced or DestinationPhase.Receiving:
                await ForgetNeedsGateAsync("the destination's agent was restarted while the container arrived");
                break;
            case DestinationPhase.Ready or DestinationPhase.Resuming when rebooted:
            case DestinationPhase.Running when rebooted && !_record.SourceKnows && !await _tools.Runtime.ExistsAsync(_record.Container, CancellationToken.None):
                await CleanUpAsync();
                Advance(DestinationInput.LostByReboot, record => record with { Detail = $"{Environment.MachineName} was restarted before the source had its answer; nothing of the container runs here" });
                break;
            case DestinationPhase.Ready when _memoryLost is { } lost:
                await ForgetNeedsGateAsync(lost);
                break;
            case DestinationPhase.Ready:
                _restore = ArmedCommand.Reattach(AgentPaths.RestoreUnit(Id), _tools.Paths.Armed(Id), _tools.Time);
                break;
            case DestinationPhase.Resuming:
                _restore = ArmedCommand.Reattach(AgentPaths.RestoreUnit(Id), _tools.Paths.Armed(Id), _tools.Time);
                await ResumeAsync(new FreezeClock(_tools.Time), _tools.Time.GetTimestamp());
                break;
            // A source that knows had its answer after the link was up. Thawing a container that has been released since would make it run twice.
            case DestinationPhase.Running when !rebooted && !_record.SourceKnows && !leaving && _container is not null && await _tools.Runtime.ExistsAsync(_record.Container, CancellationToken.None):
                // The agent may have died between the journal and the link.
                ConnectAfterAll(_container);
                _tools.Freezer.Thaw(_container.CgroupPath);
                break;
        }
        if (hadRun && _lazy is not null)
            Watch(_lazy);
        else if (hadRun && _memoryLost is not null)
            // Processes wait for what cannot be taken up. Closed, their descriptors would let them read zeroes.
            _unusable = kept;
        else if (hadRun)
        {
            ReleaseShare();
            // The earlier life may have died before it came to that.
            DeleteWork();
        }
    }

    public void Dispose()
    {
        _cgroups?.Dispose();
        _stands?.Dispose();
        _still.Dispose();
        EndHold();
        _gate.Dispose();
        _pages.Dispose();
        _trees.Dispose();
        _imagesAlone.Dispose();
        _streams.Dispose();
    }

    private OfferReply Refuse(ContainerDescription container, IReadOnlyList<Blocker> blockers)
    {
        LogRefused(_log, container.Name, _record.SourceNode, string.Join("; ", blockers.Select(blocker => blocker.Text)));
        return new OfferReply(false, blockers);
    }

    private async Task<List<Blocker>> WhyNotAsync(ContainerDescription container, CancellationToken cancel)
    {
        List<Blocker> blockers = [];
        if (container.Name != _record.Container)
            blockers.Add(new Blocker(BlockerCode.Unreadable, $"the offer is for {container.Name}, the reservation for {_record.Container}"));
        blockers.AddRange(ManifestRules.Check(container).Select(fault => new Blocker(BlockerCode.Unreadable, $"the offer of {container.Name} is not usable: {fault}")));
        if (blockers.Count > 0)
            return blockers;
        blockers.AddRange(await InboundChecks.NameAndPathsAsync(container.Name, container.Trees.Select(tree => (tree.Path, tree.Kind)), _tools.Runtime, cancel));
        blockers.AddRange(await _tools.Network.CheckAsync(container, cancel));
        blockers.AddRange(container.HostPaths.Where(path => !Path.Exists(path))
            .Select(path => new Blocker(BlockerCode.UnsupportedMount, $"{container.Name} uses {path} of its host, which does not exist on {Environment.MachineName}: install or create it")));
        blockers.AddRange(container.SharedPaths.Where(path => !Path.Exists(path))
            .Select(path => new Blocker(BlockerCode.UnsupportedMount, $"{path} (evacuator.shared-paths of {container.Name}) does not exist on {Environment.MachineName}: mount it")));
        return blockers;
    }

    private async Task MakeRoomAsync(ContainerDescription container, CancellationToken cancel)
    {
        Directory.CreateDirectory(_tools.Paths.Move(Id), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Directory.CreateDirectory(_tools.Paths.Images(Id));
        Directory.CreateDirectory(_tools.Paths.CriuWork(Id));
        foreach ((TreeDescription tree, int index) in container.Trees.Select((tree, index) => (tree, index)))
            if (tree.Kind == TreeKind.File)
                Directory.CreateDirectory(TargetOf(index, container));
            else
                TreePlace.Prepare(tree.Path);
        _container = await _tools.Network.PrepareAsync(container, cancel);
        DestinationRecord record = _record with { Description = JsonSerializer.Serialize(_container, ApiJson.Options) };
        _tools.Journal.Write(record);
        _record = record;
    }

    /// <summary>The restore comes soon: it shall not wait for the kernel's cgroup lock.</summary>
    private void PrepareCgroups()
    {
        _cgroups?.Dispose();
        _cgroups = QuickCgroupMoves.Begin(_tools.Time, KernelPaths.Default);
    }

    private async Task ResumeAsync(FreezeClock clock, long start)
    {
        ContainerDescription container = _container!;
        string? failure = null;
        using QuickCgroupMoves? cgroups = Interlocked.Exchange(ref _cgroups, null);
        try
        {
            CommandResult result;
            using (clock.Part("restore"))
                result = await RestoreAsync(container, clock);
            if (!result.Succeeded)
                failure = _record.Stopped ? StartFailure(result) : $"runc restore ended with {result.ExitCode}: {RuncCommands.ReasonIn(_tools.Paths.CriuWork(Id), "restore.log")} ({result.Tail(1)})";
            else if (!_tools.Runtime.HasState(container.Name))
                failure = "runc restore said that it worked, but the container is not there";
        }
        catch (Exception e) when (e is CommandException or IOException)
        {
            failure = e.Message;
        }
        if (failure is null)
        {
            // Its tasks run, and where the engine gave them their network before, nothing that they need is missing from here on.
            if (_connected)
                clock.Add("total", _tools.Time.GetElapsedTime(start).TotalMilliseconds);
            // First the journal, then the network: what the world has seen of it here can then no longer be answered as FAILED.
            await _tools.Faults.ReachAsync("destination.restored");
            clock.Time("journal-running", () => Advance(DestinationInput.Restored, record => record with { Detail = "" }));
            await _tools.Faults.ReachAsync("destination.running");
            clock.Time("connect", () =>
            {
                if (!_connected)
                    ConnectAfterAll(container);
                // The images remember a frozen cgroup, since it was frozen when they were made.
                _tools.Freezer.Thaw(container.CgroupPath);
            });
            _lazy?.BeginFill();
            RemoveShared();
            if (!clock.Parts.ContainsKey("total"))
                clock.Add("total", _tools.Time.GetElapsedTime(start).TotalMilliseconds);
            await DeliverHeldAsync(container);
            _record = _record with { Parts = clock.Parts };
            LogRunning(_log, container.Name, _record.SourceNode, clock.Parts["total"]);
            if (_lazy is not null)
                Watch(_lazy);
            else
            {
                ReleaseShare();
                DeleteWork();
            }
            return;
        }
        LogRestoreFailed(_log, container.Name, failure);
        try
        {
            await CleanUpAsync();
        }
        catch (Exception e) when (e is ContainerException or CommandException or IOException or Network.NetworkException)
        {
            // Not FAILED before it is certain that nothing of it runs: the source waits, and asks again, which tries again.
            _record = _record with { Detail = $"restore failed ({failure}), and what it left could not be removed: {e.Message}" };
            LogCleanUpFailed(_log, e, container.Name);
            return;
        }
        Advance(DestinationInput.RestoreFailed, record => record with { Detail = failure });
    }

    private async Task ForgetNeedsGateAsync(string reason)
    {
        LogForgotten(_log, _record.Container, _record.SourceNode, reason);
        _stands?.Dispose();
        // runc undoes what it has prepared; what it leaves is removed with the rest.
        await ArmedCommand.CallOffAsync(_tools.Paths.Armed(Id), AgentPaths.RestoreUnit(Id), _tools.Time);
        await CleanUpAsync();
        Advance(DestinationInput.Forget, record => record with { Detail = reason });
    }

    private async Task CleanUpAsync()
    {
        Interlocked.Exchange(ref _cgroups, null)?.Dispose();
        if (_container is { } container)
        {
            await _tools.Runtime.KillAndDeleteAsync(container.Name, container.CgroupPath, CancellationToken.None);
            KeepToReturn();
            await _tools.Network.RemoveAsync(container, CancellationToken.None);
            foreach (TreeDescription tree in container.Trees.Where(tree => tree.Kind != TreeKind.File))
                TreePlace.PutAside(tree.Path);
        }
        // After the processes: without their pages they would read zeroes.
        await EndStreamsAsync();
        EndFill();
        DeleteWork();
    }

    private void DeleteWork()
    {
        if (Directory.Exists(_tools.Paths.Move(Id)))
            Directory.Delete(_tools.Paths.Move(Id), recursive: true);
    }

    private string TargetOf(int index, ContainerDescription container) =>
        container.Trees[index].Kind == TreeKind.File ? Path.Combine(_tools.Paths.Move(Id), $"file{index}") : container.Trees[index].Path;

    /// <summary>Single files arrive beside the move and are put in place at its end: their folders may hold files of others.</summary>
    private void PlaceFiles(ContainerDescription container)
    {
        foreach ((TreeDescription tree, int index) in container.Trees.Select((tree, index) => (tree, index)).Where(item => item.tree.Kind == TreeKind.File))
        {
            Directory.CreateDirectory(Path.GetDirectoryName(tree.Path)!);
            if (TreePlan.LinkIn(tree.Path) is { } link)
                throw new InvalidDataException($"{tree.Path} goes through the symbolic link {link}");
            string staged = tree.Path + ".evacuator-new", arrived = Path.Combine(TargetOf(index, container), Path.GetFileName(tree.Path));
            // What arrived is the peer's: a link would make us read, as root, a file of this host.
            if (!Interop.FileCalls.TryStat(arrived, out Interop.FileCalls.Statx stat, follow: false) || stat.Type != Interop.FileCalls.S_IFREG)
                throw new InvalidDataException($"{tree.Path} did not arrive as a plain file");
            File.Copy(arrived, staged, overwrite: true);
            File.Move(staged, tree.Path, overwrite: true);
        }
    }

    private ContainerDescription ReceivingContainer() => _record.Phase == DestinationPhase.Receiving
        ? _container!
        : throw new MoveRefusedException([new Blocker(BlockerCode.Unreadable, $"the move is {_record.Phase}, not Receiving")]);

    private void Require(DestinationPhase phase)
    {
        if (_record.Phase != phase)
            throw new MoveRefusedException([new Blocker(BlockerCode.Unreadable, $"the move is {_record.Phase}{(_record.Detail.Length > 0 ? $" ({_record.Detail})" : "")}, not {phase}")]);
    }

    private async Task<Gate> EnterAsync(CancellationToken cancel)
    {
        await _gate.WaitAsync(cancel);
        return new Gate(_gate);
    }

    private void Advance(DestinationInput input, Func<DestinationRecord, DestinationRecord> change)
    {
        DestinationPhase next = DestinationTransitions.Next(_record.Phase, input)
            ?? throw new InvalidOperationException($"move {Id} of {_record.Container}: {input} cannot happen in phase {_record.Phase}");
        DestinationRecord record = change(_record) with { Phase = next, Updated = _tools.Time.GetUtcNow() };
        // The container stands still at the source until this side has answered.
        _tools.Journal.Write(record, urgent: input is DestinationInput.Complete or DestinationInput.Release or DestinationInput.Restored);
        _record = record;
    }

    private readonly struct Gate(SemaphoreSlim gate) : IDisposable
    {
        public void Dispose() => gate.Release();
    }
}
