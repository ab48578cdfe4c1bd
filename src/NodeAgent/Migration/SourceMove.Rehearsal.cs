using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.PageStore;

namespace Evacuator.NodeAgent.Migration;

/// <summary>
/// A move without a destination: describe, arm the tracker, rounds, freeze, last round, dump with the tasks left as they are, and everything is undone. It is a move of
/// the same journal that always aborts, so an agent that dies in the middle of one thaws the container as it does for any other.
/// </summary>
/// <remarks>
/// What it does not see: the wire, the files, and the restore. The dump lies in memory (tmpfs) for a moment and holds what the tracker does not own; a container whose
/// memory cannot be tracked is not dumped, since its freeze would grow with its memory for the sake of a test.
/// </remarks>
internal sealed partial class SourceMove
{
    private const int RehearsedRounds = 3;

    private bool Rehearses => _record.Request.Mode == MoveMode.Rehearsal;

    private async Task RunRehearsalAsync(CancellationToken shutdown)
    {
        // Linked for the part that may be undone, here all of it: shutdown, or a move that wants the container.
        using CancellationTokenSource undoable = CancellationTokenSource.CreateLinkedTokenSource(shutdown, _abort.Token);
        FreezeClock? freeze = null;
        try
        {
            if (_tools.Fills.TryGetValue(Name, out Task<FillReport>? filled))
                await filled.WaitAsync(undoable.Token);
            ContainerDescription container = await DescribeAsync(undoable.Token);
            Advance(SourceInput.CopyBegins, record => record with { Description = JsonSerializer.Serialize(container, ApiJson.Options), Bundle = container.Bundle.TrimEnd('/') });
            await _tools.Faults.ReachAsync("source.copying");
            DumpReport way = await _tools.Dumps.ChooseAsync(undoable.Token);
            Update(record => record with { Dump = way.Rung, DumpReason = way.Reason });
            if (way.Rung == DumpRung.Plain)
                throw new MoveRefusedException([new Blocker(BlockerCode.FeatureMissing, "the memory engine is not available on this host, and a dump of the whole memory is no test: see \"evacuator status\"")]);

            Directory.CreateDirectory(_tools.Paths.Move(Id), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            ContainerTracker tracker = await ContainerTracker.AttachAsync(KernelPaths.Default.CgroupDirectory(container.CgroupPath), _tools.Memory, _tools.Time);
            SharedTracker? shared = way is { Rung: DumpRung.Shim, SharedAhead: true } ? new SharedTracker(_tools.Time) : null;
            _endTracking = () =>
            {
                tracker.Dispose();
                shared?.Dispose();
                return ValueTask.CompletedTask;
            };
            if (tracker.Processes.FirstOrDefault(process => process.WhyUntracked is not null) is { } untracked)
                throw new ContainerException(BlockerCode.None, $"its process {untracked.HostPid} cannot be tracked ({untracked.WhyUntracked}): it would move, with its memory sent while it stands still");
            ArmedCommand dump = await ArmDumpAsync(container, way.Rung, undoable.Token);
            for (int round = 1; round <= RehearsedRounds; round++)
            {
                await ReadAsync(tracker.RoundAsync(undoable.Token));
                shared?.Find(tracker.SharedPlaces);
                await ReadAsync(shared?.RoundAsync(frozen: false, undoable.Token));
                Update(record => record with { Rounds = round });
            }

            await _tools.Faults.ReachAsync("source.copied");
            using FinalPass turn = await FinalPass.TakeAsync(_tools.FinalPasses, undoable.Token);
            Advance(SourceInput.FreezeBegins, record => record with { FreezeBegan = _tools.Time.GetUtcNow() });
            await _tools.Faults.ReachAsync("source.freezing");
            freeze = new FreezeClock(_tools.Time);
            turn.Freeze(_tools.Urgent);
            using CancellationTokenSource deadline = new(TimeSpan.FromMilliseconds(Record.Request.FreezeBudgetMs), _tools.Time);
            using CancellationTokenSource frozen = CancellationTokenSource.CreateLinkedTokenSource(undoable.Token, deadline.Token);
            await FreezeAsync(container, freeze, frozen.Token);
            await _tools.Faults.ReachAsync("source.frozen");
            await freeze.TimeAsync("memory", async () =>
            {
                await ReadAsync(tracker.FrozenRoundAsync(frozen.Token));
                if (_tools.MappingFlags is { } flags)
                    tracker.WriteMappings(flags, _tools.Paths.Mappings(Id));
                shared?.Freeze(tracker.Mappings);
                await MemoryAhead.WriteOwnedAsync(tracker, shared, _tools.Paths.Owned(Id), frozen.Token);
                await ReadAsync(shared?.RoundAsync(frozen: true, frozen.Token));
            });
            await DumpAsync(dump, memory: null, container, freeze, frozen.Token);
            await _tools.Faults.ReachAsync("source.dumped");
            freeze.Time("thaw", () =>
            {
                _tools.Network.Reconnect(container);
                _tools.Freezer.Thaw(container.CgroupPath);
            });
            double stood = Math.Round(freeze.Elapsed, 1);
            Update(record => record with { FreezeMs = stood });
            await RevertAsync("", blocker: null, freeze, shutdown);
        }
        catch (Exception e) when (!shutdown.IsCancellationRequested)
        {
            if (e is ArgumentException or InvalidOperationException or NullReferenceException or IndexOutOfRangeException)
                LogUnexpected(_log, e, Name);
            await RevertAsync(Reason(e), (e as MoveRefusedException)?.Blockers.FirstOrDefault() ?? (e as ContainerException)?.Blocker, freeze, shutdown);
        }
    }

    private static async Task ReadAsync(IAsyncEnumerable<PageBatch>? batches)
    {
        if (batches is null)
            return;
        await foreach (PageBatch batch in batches)
            batch.Dispose();
    }
}
