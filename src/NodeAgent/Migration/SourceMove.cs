using System.Net;
using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Files;
using Evacuator.NodeAgent.Host;
using Evacuator.NodeAgent.Journal;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.Memory.Convergence;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.PageStore;
using Evacuator.NodeAgent.Processes;
using Evacuator.NodeAgent.Transfer;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Migration;

/// <summary>
/// A move as its source lives it:
/// 1. describe the container and see that it can move; 2. offer it to the destination; 3. copy its files while it runs; 4. freeze it, cut its
/// network; 5. last files and process images, side by side; 6. READY from the destination; 7. journal RELEASED: from here on only the
/// destination's answer decides; 8. RUNNING → serve what it has left here (post-copy), say that we know, remove it here; FAILED → thaw it here.
/// Everything before 7 is undone by <see cref="RevertAsync"/>, whatever went wrong.
/// </summary>
internal sealed partial class SourceMove : IDisposable
{
    /// <summary>Passes over the files while the container runs: the second takes what changed during the first, a third seldom pays.</summary>
    private const int MaxPasses = 3;

    private readonly MoveTools _tools;
    private readonly PeerClient _peer;
    private readonly ILogger _log;
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _abort = new();
    private SourceRecord _record;
    private string _abortReason = "";
    private TreeSnapshot[] _snapshots = [];
    private double _snapshotTaken;
    private bool _wasMapped;
    private FreezeShape? _shape;
    private long _imageBytes;

    /// <summary>
    /// Lets go of the tracked memory, once: when the container is gone here, or runs again. It takes the kernel 20 ms for each GiB, and the container would stand still meanwhile.
    /// </summary>
    private Func<ValueTask>? _endTracking;

    /// <summary>From before the freeze until it runs again.</summary>
    private FinalPass? _turn;

    public SourceMove(SourceRecord record, MoveTools tools, PeerClient peer, ILogger log)
    {
        (_record, _tools, _peer, _log) = (record, tools, peer, log);
    }

    public SourceRecord Record
    {
        get
        {
            lock (_lock)
                return _record;
        }
    }

    private Guid Id => _record.Request.MoveId;

    private string Name => _record.Request.Container;

    /// <summary>Asks for the move to be undone.</summary>
    /// <returns>false if the container has been released: only the destination can say now</returns>
    public bool RequestAbort(string reason)
    {
        lock (_lock)
        {
            if (!SourceTransitions.CanAbort(_record.Phase))
                return false;
            _abortReason = reason;
            _abort.Cancel();
            return true;
        }
    }

    /// <summary>The whole move; ends in <see cref="SourcePhase.Moved"/> or <see cref="SourcePhase.Stayed"/> and throws only on shutdown.</summary>
    /// <param name="shutdown">the agent stops: the move stays as journaled and the next life of the agent goes on with it</param>
    public async Task RunAsync(CancellationToken shutdown)
    {
        try
        {
            await (Stops ? RunStoppedAsync(shutdown) : Rehearses ? RunRehearsalAsync(shutdown) : RunLiveAsync(shutdown));
        }
        finally
        {
            _turn?.Dispose();
            await EndTrackingAsync();
            HangUp();
        }
    }

    /// <summary>The record stays for weeks, and with it would the connections that were kept warm for the freeze: nobody asks the peer after the end.</summary>
    private void HangUp() => _peer.Dispose();

    private async Task RunLiveAsync(CancellationToken shutdown)
    {
        // Linked for the part that may be undone: shutdown, or somebody who changed their mind.
        using CancellationTokenSource undoable = CancellationTokenSource.CreateLinkedTokenSource(shutdown, _abort.Token);
        ContainerDescription? container = null;
        FreezeClock? freeze = null;
        MemoryAhead? memory = null;
        try
        {
            await GiveWayAsync(undoable.Token);
            // 1. Describe. One that has only just arrived first gets the rest of its memory: a page that is still owed would be sent on as zeroes.
            await Task.WhenAll(_tools.FillsOf(Name)).WaitAsync(undoable.Token);
            container = await DescribeAsync(undoable.Token);
            Advance(SourceInput.CopyBegins, record => record with { Description = JsonSerializer.Serialize(container, ApiJson.Options), Bundle = container.Bundle.TrimEnd('/') });
            await _tools.Faults.ReachAsync("source.copying");

            // 2. Offer.
            DumpReport way = await _tools.Dumps.ChooseAsync(undoable.Token);
            OfferReply offer = await _peer.OfferAsync(new Offer(container, way.Rung != DumpRung.Plain, ProcessesOf(container).Count), undoable.Token);
            if (!offer.Accepted)
                throw new MoveRefusedException(offer.Blockers);
            if (offer.WhyNoEngine.Length > 0)
            {
                LogNoEngine(_log, Name, offer.WhyNoEngine);
                Update(record => record with { Detail = $"all of its memory travels while it stands still: {offer.WhyNoEngine}" });
            }
            if (ImageRoom.WhyNot("this host", _tools.Paths.Runtime, Name, container.MemoryBytes, offer.Engine) is { } full)
                throw new ContainerException(full.Code, full.Text);
            DumpRung rung = offer.Engine ? way.Rung : DumpRung.Plain;
            Update(record => record with { Dump = rung, DumpReason = rung == way.Rung ? way.Reason : offer.WhyNoEngine });

            // 3. Files and memory while it runs.
            using IDisposable wire = _tools.Wire.Use();
            TreeSender trees = new(_peer, _tools.Paths.Move(Id), _tools.Urgent, _tools.Bandwidth);
            await CopyTreesAsync(container, trees, undoable.Token);
            await GiveWayAsync(undoable.Token);
            memory = offer.Engine ? await MemoryAhead.StartAsync(container, _peer, offer.PostCopy && rung == DumpRung.Shim, offer.Shared && way.SharedAhead && rung == DumpRung.Shim,
                offer.Compressed && _tools.Compress && Interop.Lz4.IsAvailable, _tools, rung, _log, undoable.Token) : null;
            _endTracking = memory is null ? null : memory.DisposeAsync;
            await GiveWayAsync(undoable.Token);
            ArmedCommand dump = await ArmDumpAsync(container, rung, undoable.Token);
            if (memory is null)
                await ProbeAsync(undoable.Token);
            await GiveWayAsync(undoable.Token);
            await RehearseAsync(container, undoable.Token);
            await _peer.ArmAsync(undoable.Token);
            // Two warm connections: the freeze has two requests side by side.
            await Task.WhenAll(_peer.AskAsync(undoable.Token), _peer.AskAsync(undoable.Token));
            if (memory is not null)
            {
                await FollowAsync(memory.PreCopyAsync(TimeSpan.FromMilliseconds(Record.Request.FreezeBudgetMs), undoable.Token), () => Tell(memory, trees));
                await WarmUpAsync(memory, undoable.Token);
            }
            await _tools.Faults.ReachAsync("source.copied");

            // 4. Freeze, one container of this host at a time: two freezes side by side would each last as long as both.
            FinalPass turn = _turn = await FinalPass.TakeAsync(_tools.FinalPasses, undoable.Token);
            bool alone = await GoAheadAsync(turn, undoable.Token);
            if (memory is null)
                await PredictPlainAsync(undoable.Token);
            if (memory is { WhyLeft: null } && (turn.Waited || memory.HasAged || memory.IsUndecided || alone))
                await FollowAsync(memory.PreCopyAsync(TimeSpan.FromMilliseconds(Record.Request.FreezeBudgetMs), undoable.Token, alone ? () => turn.GoAhead(_tools.Urgent) : null), () => Tell(memory, trees));
            if (memory is { WhyLeft: null, IsUndecided: true })
            {
                // Others came meanwhile: it has the turn, so they hold.
                alone = true;
                await FollowAsync(memory.PreCopyAsync(TimeSpan.FromMilliseconds(Record.Request.FreezeBudgetMs), undoable.Token, () => turn.GoAhead(_tools.Urgent)), () => Tell(memory, trees));
            }
            if (alone && memory is { WhyLeft: not null })
                await WarmUpAsync(memory, undoable.Token);
            PrepareHold(container);
            Advance(SourceInput.FreezeBegins, record => record with { FreezeBegan = _tools.Time.GetUtcNow(), Rung = RungOf(memory), RungReason = memory?.WhyLeft ?? memory?.WhySlowed ?? "" });
            await _tools.Faults.ReachAsync("source.freezing");
            // Last: what else is done before the freeze, the journal on a slow disk first of all, gives it time to write more.
            if (memory is not null)
                await memory.CalmAsync(undoable.Token);
            memory?.EndThrottle();
            freeze = new FreezeClock(_tools.Time);
            turn.Freeze(_tools.Urgent);
            using CancellationTokenSource deadline = new(_tools.Experience.BeforeRelease(TimeSpan.FromMilliseconds(Record.Request.FreezeBudgetMs)), _tools.Time);
            using CancellationTokenSource frozen = CancellationTokenSource.CreateLinkedTokenSource(undoable.Token, deadline.Token);
            // After the line above: who registers last is called first, and this has to be before the requests are called off.
            using CancellationTokenRegistration late = deadline.Token.Register(TakeBack), undone = undoable.Token.Register(TakeBack);
            try
            {
                await FreezeAsync(container, freeze, frozen.Token);
                await _tools.Faults.ReachAsync("source.frozen");

                // 5. What changed since, and the processes.
                await Task.WhenAll(
                    freeze.TimeAsync("files", () => CopyLastAsync(container, trees, frozen.Token)),
                    DumpAsync(dump, memory, container, freeze, frozen.Token));
                frozen.Token.ThrowIfCancellationRequested();
                await _tools.Faults.ReachAsync("source.dumped");
                int files;
                long bytes;
                using (freeze.Part("send"))
                    (files, bytes) = await _peer.SendImagesAsync(_tools.Paths.Images(Id), frozen.Token);
                _tools.Bandwidth.Charge(_imageBytes = bytes);

                // 6. Ready.
                container = await _tools.Network.RefreshNeighboursAsync(container, frozen.Token);
                string neighbours = JsonSerializer.Serialize(container, ApiJson.Options);
                IReadOnlyList<HeldFrame> held = await TakeHeldAsync();
                IReadOnlyList<SharedArrival>? shared = memory?.SharedArrivals(_tools.Paths.Images(Id));
                PeerReply ready;
                using (freeze.Part("ready"))
                    ready = await _peer.CompleteAsync(new CompleteRequest(neighbours, files, bytes, held, shared), frozen.Token);
                if (ready.Phase != DestinationPhase.Ready)
                    throw new PeerRefusedException(HttpStatusCode.Conflict, $"{Record.Request.DestinationNode} is not ready: {ready.Detail}");
                if (ready.Fetches)
                    using (freeze.Part("serve"))
                        _away = await AwayMemory.ConnectAsync(container, _peer, _tools, _log, frozen.Token);
                long sent = trees.BytesSent + bytes + (memory?.BytesSent ?? 0);
                await _tools.Faults.ReachAsync("source.ready");

                // 7. Release.
                _shape = memory?.LastShape ?? _shape;
                freeze.Time("journal", () => Release(sent, frozen.Token));
            }
            catch (OperationCanceledException) when (deadline.IsCancellationRequested && !undoable.IsCancellationRequested)
            {
                _shape = memory?.LastShape ?? _shape;
                throw new TimeoutException(
                    $"the freeze budget of {Record.Request.FreezeBudgetMs} ms would have been overrun: {Record.Request.DestinationNode} did not have everything after "
                    + $"{freeze.Elapsed:0} ms ({Describe(freeze)}), and has to resume it within the budget, too: thawed; give the container a larger budget "
                    + "(annotation evacuator.freeze-budget), or let less travel beside it ([move] bandwidth, [move] parallel)");
            }
        }
        catch (Exception e) when (!shutdown.IsCancellationRequested)
        {
            if (e is ArgumentException or InvalidOperationException or NullReferenceException or IndexOutOfRangeException)
                LogUnexpected(_log, e, Name);
            _turn?.EndWithin(FinalPass.LongestEnd, _tools.Time);
            memory?.EndThrottle();
            _ranOut = e is TimeoutException;
            await RevertAsync(Reason(e), BlockerOf(e), freeze, shutdown);
            // At least as long as it was allowed to be. Learned only now: the container stood still, and the disk may be slow.
            if (e is TimeoutException && _shape is not null)
                _tools.Experience.Learn(new FreezeSample(_shape, TimeSpan.FromMilliseconds(Record.Request.FreezeBudgetMs)), resume: null);
            return;
        }
        _turn?.EndWithin(FinalPass.LongestEnd, _tools.Time);
        memory?.LogLastRound(_imageBytes);
        await _tools.Faults.ReachAsync("source.released");
        await SettleAsync(freeze, shutdown);
    }

    public void Dispose()
    {
        _abort.Dispose();
        EndHold();
        _gone.Dispose();
        _peer.Dispose();
    }

    private async Task<ContainerDescription> DescribeAsync(CancellationToken cancel)
    {
        ContainerDescription container = await _tools.Runtime.DescribeAsync(Name, cancel);
        List<Blocker> blockers = [.. _tools.Preflight.Check(container).Where(blocker => !(Stops && Blockers.IsOnlyAgainstLive(blocker.Code)))];
        foreach ((string other, IReadOnlyList<TreeDescription> trees) in await _tools.Runtime.TreesOfOthersAsync(Name, cancel))
            foreach (TreeDescription tree in container.Trees.Where(tree => trees.Any(theirs => Overlap(tree.Path, theirs.Path))))
                blockers.Add(new Blocker(BlockerCode.UnsupportedMount,
                    $"{tree.Path} is also used by container {other}, and a directory can be in one place only: put it on shared storage (annotation evacuator.shared-paths) or give each its own"));
        return blockers.Count == 0 ? container : throw new MoveRefusedException(blockers);
    }

    private static bool Overlap(string a, string b) => a == b || a.StartsWith(b.TrimEnd('/') + "/", StringComparison.Ordinal) || b.StartsWith(a.TrimEnd('/') + "/", StringComparison.Ordinal);

    private async Task CopyTreesAsync(ContainerDescription container, TreeSender trees, CancellationToken cancel)
    {
        Directory.CreateDirectory(_tools.Paths.Move(Id), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        for (int pass = 1; pass <= MaxPasses; pass++)
        {
            // Begun before the pass, so that what is written during it counts as changed.
            _snapshotTaken = _tools.Time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0;
            _snapshots = [.. container.Trees.Select(tree => TreeSnapshot.Take(tree.Path))];
            _wasMapped |= MappedFiles(container).Count > 0;
            long before = trees.BytesSent;
            long start = _tools.Time.GetTimestamp();
            int current = pass;
            await FollowAsync(CopyOnceAsync(container, trees, cancel), () => Update(record => record with { Rounds = current, BytesSent = trees.BytesSent }));
            LogPass(_log, Name, pass, trees.BytesSent - before, _tools.Time.GetElapsedTime(start).TotalMilliseconds);
            // A pass that took this little leaves next to nothing for the one inside the freeze.
            if (pass > 1 && trees.BytesSent - before < 1 << 20)
                break;
        }
    }

    private async Task CopyOnceAsync(ContainerDescription container, TreeSender trees, CancellationToken cancel)
    {
        for (int index = 0; index < container.Trees.Count; index++)
        {
            await GiveWayAsync(cancel);
            await trees.CopyAsync(index, container.Trees[index].Path, quiet: true, byContent: false, cancel);
        }
    }

    /// <summary>Before anything that takes processors and nobody stands still for: what has begun goes on beside the freeze of another.</summary>
    private ValueTask GiveWayAsync(CancellationToken cancel) => _tools.Urgent.GiveWayAsync(cancel);

    /// <summary>While it is frozen: the trees in which anything has changed since the last pass, and those in which nobody could tell.</summary>
    private async Task CopyLastAsync(ContainerDescription container, TreeSender trees, CancellationToken cancel)
    {
        bool mapped = MappedFiles(container).Count > 0;
        for (int index = 0; index < container.Trees.Count; index++)
        {
            TreeDescription tree = container.Trees[index];
            // A page that was written through a mapping can be written again without a change of any time, also if it is unmapped by now.
            bool isMapped = _wasMapped || mapped;
            if (isMapped || !TreeSnapshot.Take(tree.Path).IsSame(_snapshots[index], _snapshotTaken))
                await trees.CopyAsync(index, tree.Path, quiet: false, byContent: isMapped, cancel);
        }
    }

    private static IReadOnlyCollection<string> MappedFiles(ContainerDescription container) =>
        SharedMappings.WritableFiles(ProcessesOf(container));

    private static SortedSet<int> ProcessesOf(ContainerDescription container) =>
        Memory.ProcFiles.ProcessesOfCgroup(KernelPaths.Default.CgroupDirectory(container.CgroupPath));

    /// <summary>The one step that cannot be taken back, under the lock that an abort takes too.</summary>
    private void Release(long sent, CancellationToken cancel)
    {
        lock (_lock)
        {
            cancel.ThrowIfCancellationRequested();
            Advance(SourceInput.Release, record => record with { BytesSent = sent, Away = _away is not null, Rung = _away is null && record.Rung == MoveRung.PostCopy ? MoveRung.Live : record.Rung, Detail = $"released to {record.Request.DestinationNode}, waiting for its answer" });
        }
    }

    private async Task RemoveAsync(CancellationToken shutdown)
    {
        await EndServingAsync();
        await GiveWayAsync(shutdown);
        ContainerDescription container = JsonSerializer.Deserialize<ContainerDescription>(Record.Description!, ApiJson.Options)!;
        string told = Record.Detail;
        while (true)
        {
            try
            {
                await _tools.Runtime.KillAndDeleteAsync(Name, container.CgroupPath, shutdown);
                await _tools.Network.RemoveAsync(container, shutdown);
                break;
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                LogRemoveFailed(_log, e, Name);
                Update(record => record with { Detail = $"runs at {record.Request.DestinationNode}; removing what is left here failed, trying again: {e.Message}" });
                await Task.Delay(TimeSpan.FromSeconds(2), _tools.Time, shutdown);
            }
        }
        // A disk that fails becomes read-only, and may be the reason for leaving: what cannot be set aside stays, and the move ends.
        string left = "";
        foreach (TreeDescription tree in container.Trees.Where(tree => tree.Kind is TreeKind.Bundle or TreeKind.Rootfs || !tree.ReadOnly))
        {
            try
            {
                TreePlace.PutAside(tree.Path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                LogNotSetAside(_log, e, Name, tree.Path);
                left = $"its files are still in {tree.Path}, which could not be set aside ({e.Message}): start nothing from there, it runs at {Record.Request.DestinationNode}";
            }
        }
        DeleteWork();
        EndHold();
        Advance(SourceInput.Removed, record => record with { Detail = string.Join("; ", ((string[])[told, left]).Where(text => text.Length > 0)) });
        LogMoved(_log, Name, Record.Request.DestinationNode, Record.FreezeMs ?? 0, Record.BytesSent >> 20);
    }

    private async Task RevertAsync(string reason, Blocker? blocker, FreezeClock? freeze, CancellationToken shutdown)
    {
        // A rehearsal that went well has nothing to tell: it was meant to end here.
        if (reason.Length > 0)
            LogReverting(_log, Name, reason);
        Advance(SourceInput.Abort, record => record with { Detail = reason, Blocker = blocker, FreezeParts = freeze?.Parts ?? record.FreezeParts });
        await FinishRevertAsync(freeze, shutdown);
    }

    private async ValueTask EndTrackingAsync()
    {
        if (Interlocked.Exchange(ref _endTracking, null) is { } end)
            await end();
    }

    /// <summary>Lets the container run here again. Idempotent; also the way back after a crash of the agent.</summary>
    /// <param name="freeze">null if it was not frozen, or by an earlier life of the agent</param>
    private async Task FinishRevertAsync(FreezeClock? freeze, CancellationToken shutdown)
    {
        await EndServingAsync();
        if (!ArmedCommand.Disarm(_tools.Paths.Armed(Id), AgentPaths.DumpUnit(Id)))
        {
            // A dump is at work on the tasks (a crash of the agent does not end it): thawing under it would pull them from its hands.
            ArmedCommand dump = ArmedCommand.Reattach(AgentPaths.DumpUnit(Id), _tools.Paths.Armed(Id), _tools.Time);
            dump.Cancel();
            await dump.WaitForEndAsync();
        }
        bool runs = true, told = false;
        if (Record.Description is { } text)
        {
            ContainerDescription container = JsonSerializer.Deserialize<ContainerDescription>(text, ApiJson.Options)!;
            if (Record.BootId == _tools.BootId && Record.Stopped)
            {
                _tools.Network.Reconnect(container);
                await StartAgainAsync(container, shutdown);
                NoteStoodStill(freeze, wasFrozen: false);
            }
            else if (Record.BootId == _tools.BootId && await _tools.Runtime.ExistsAsync(Name, shutdown))
            {
                bool wasFrozen = _tools.Freezer.IsFrozen(container.CgroupPath);
                ReconnectAndThaw(container);
                NoteStoodStill(freeze, wasFrozen);
                await DeliverBackAsync(_hold, _held);
            }
            else
            {
                runs = false;
                string files = _gone.IsCancellationRequested || IsLost ? $". It is lost; its files are in {container.Bundle}" : "";
                Update(record => record with
                {
                    Detail = $"{record.Detail}; {(record.BootId == _tools.BootId ? "it has ended here meanwhile" : "the host was restarted since")}, the container is not running here{files}",
                });
            }
        }
        try
        {
            // That it is to forget the move may well reach it late.
            _peer.TakeBack(isVoid: false);
            using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(shutdown);
            patience.CancelAfter(TimeSpan.FromSeconds(10));
            if (!Rehearses)
            {
                PeerReply forgotten = await ForgetAsync(patience.Token);
                // That it does not run here any more is the greater news.
                if (runs)
                    Update(record => WithRefusal(record, forgotten.Refused));
                await DeliverBackAsync(hold: null, forgotten.Frames ?? []);
            }
            told = true;
        }
        catch (Exception e) when (e is HttpRequestException or IOException or PeerRefusedException or JsonException
            || (e is OperationCanceledException && !shutdown.IsCancellationRequested))
        {
            // Its lease ends by itself, and without a release it never runs the container.
            LogForgetFailed(_log, e, Record.Request.DestinationNode);
        }
        await ArmedCommand.CallOffAsync(_tools.Paths.Armed(Id), AgentPaths.DumpUnit(Id), _tools.Time);
        // Before it may be moved again: memory is tracked by one at a time.
        await EndTrackingAsync();
        DeleteWork();
        EndHold();
        Advance(SourceInput.Reverted, record => record with { Blocker = BlockerAtEnd(record, runs, told, _ranOut) });
        if (Rehearses && Record.Detail.Length == 0)
            LogRehearsed(_log, Name, Record.FreezeMs ?? 0);
        else
            LogStayed(_log, Name, Record.Detail);
    }

    private void TakeBack() => _peer.TakeBack(isVoid: true);

    private void DeleteWork()
    {
        if (Directory.Exists(_tools.Paths.Move(Id)))
            Directory.Delete(_tools.Paths.Move(Id), recursive: true);
    }

    private static string Describe(FreezeClock? freeze) =>
        freeze is null ? "" : string.Join(", ", freeze.Parts.Select(part => $"{part.Key} {part.Value:0} ms"));

    /// <summary>One transition: checked against the table, on the disk, then visible.</summary>
    private void Advance(SourceInput input, Func<SourceRecord, SourceRecord> change)
    {
        lock (_lock)
        {
            SourcePhase next = SourceTransitions.Next(_record.Phase, input)
                ?? throw new InvalidOperationException($"move {Id} of {Name}: {input} cannot happen in phase {_record.Phase}");
            SourceRecord record = change(_record) with { Phase = next, Updated = _tools.Time.GetUtcNow() };
            // From the freeze to the thaw or the destination's answer the container stands still, and the disk may be slow.
            _tools.Journal.Write(record, urgent: input is SourceInput.Release or SourceInput.PeerFailed || (input == SourceInput.Abort && _record.Phase == SourcePhase.Freezing));
            _record = record;
        }
    }

    /// <summary>News that a restart may lose.</summary>
    private void Update(Func<SourceRecord, SourceRecord> change)
    {
        lock (_lock)
            _record = change(_record) with { Updated = _tools.Time.GetUtcNow() };
    }
}
