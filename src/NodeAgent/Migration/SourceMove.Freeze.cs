using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Files;
using Evacuator.NodeAgent.Processes;
using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Migration;

/// <summary>What happens around the freeze: the dump is prepared while the container runs, and so is the code that the freeze needs.</summary>
internal sealed partial class SourceMove
{
    /// <summary>At 50 Mbit/s, eight connections have handed over what takes half a second.</summary>
    private static readonly TimeSpan LongestDrain = TimeSpan.FromSeconds(1);

    private async Task<ArmedCommand> ArmDumpAsync(ContainerDescription container, DumpRung rung, CancellationToken cancel)
    {
        Directory.CreateDirectory(_tools.Paths.Images(Id));
        Directory.CreateDirectory(_tools.Paths.CriuWork(Id));
        IReadOnlyList<string> command = RuncCommands.Checkpoint(container, _tools.RuncRoot, _tools.Paths.Images(Id), _tools.Paths.CriuWork(Id), rung == DumpRung.LazyPages);
        return await ArmedCommand.ArmAsync(
            AgentPaths.DumpUnit(Id), _tools.Paths.Armed(Id),
            rung == DumpRung.LazyPages ? LazyPagesDump.Wrap(_tools.Paths.DumpListens(Id), command) : command,
            _tools.RuncEnvironment(
                _tools.Preloads.Gate ? _tools.Paths.Armed(Id) : null, rung == DumpRung.Shim ? _tools.Paths.Owned(Id) : null,
                _tools.MappingFlags is null ? null : _tools.Paths.Mappings(Id)),
            inside: _tools.Preloads.Gate, _tools.Time, cancel);
    }

    /// <summary>The others of this host hold from now on, and what they have handed over is through.</summary>
    /// <returns>false if there are none</returns>
    private async Task<bool> GoAheadAsync(FinalPass turn, CancellationToken cancel)
    {
        if (!_tools.Wire.IsShared)
            return false;
        turn.GoAhead(_tools.Urgent);
        long start = _tools.Time.GetTimestamp();
        await _tools.Wire.DrainAsync(LongestDrain, cancel);
        LogDrained(_log, Name, _tools.Time.GetElapsedTime(start).TotalMilliseconds, _tools.Wire.Queued >> 10, _tools.Wire.BytesPerSecond / 1e6);
        return true;
    }

    private async Task FreezeAsync(ContainerDescription container, FreezeClock freeze, CancellationToken cancel)
    {
        // Half of the budget: what cannot be stopped in that time cannot be moved in the rest.
        TimeSpan patience = TimeSpan.FromMilliseconds(Record.Request.FreezeBudgetMs / 2.0);
        await CutAsync(container, freeze, cancel);
        FreezeOutcome outcome;
        using (freeze.Part("freeze"))
            outcome = await _tools.Freezer.FreezeAsync(container.CgroupPath, patience, cancel);
        if (outcome != FreezeOutcome.Frozen)
            throw new ContainerException(BlockerCode.NotRunning, outcome == FreezeOutcome.Gone
                ? $"{Name} ended by itself before it was frozen"
                : $"{Name} did not stand still within {patience.TotalMilliseconds:0} ms (a process hangs in the kernel?)");
        LetPeerHold(container, cancel);
    }

    /// <summary>
    /// The rest of the memory and the processes. A CRIU that is held inside begins while the memory is still read: it stops the tasks, and puts
    /// nothing into them before the list of owned memory is there (native/criu-gate.c).
    /// </summary>
    private async Task DumpAsync(ArmedCommand dump, MemoryAhead? memory, ContainerDescription container, FreezeClock freeze, CancellationToken cancel)
    {
        // Somebody who gives up, the deadline first of all, does not wait for the whole of a dump.
        await using CancellationTokenRegistration giveUp = cancel.Register(dump.Cancel);
        cancel.ThrowIfCancellationRequested();
        Task<CommandResult>? dumping = null;
        if (memory is not null)
        {
            freeze.Time("look", memory.LookFrozen);
            // Only with the shim is there a list to wait for.
            if (_tools.Preloads.Gate && Record.Dump == DumpRung.Shim)
            {
                dumping = DumpAsync(dump, freeze);
                await _tools.Faults.ReachAsync("source.dumping");
            }
            try
            {
                await freeze.TimeAsync("memory", () => memory.SendLastAsync(_tools.Paths.Owned(Id), _tools.Paths.Mappings(Id), cancel));
            }
            catch when (dumping is not null)
            {
                // It waits for a list that does not come.
                dump.Cancel();
                await dumping;
                throw;
            }
            cancel.ThrowIfCancellationRequested();
        }
        dumping ??= DumpAsync(dump, freeze);
        await Task.WhenAll(dumping, memory is null ? Task.CompletedTask : ConfirmAsync(dumping, memory, freeze, cancel));
        CommandResult result = await dumping;
        cancel.ThrowIfCancellationRequested();
        if (!result.Succeeded)
            throw new CommandException($"runc checkpoint of {container.Name} ended with {result.ExitCode}: "
                + $"{RuncCommands.ReasonIn(_tools.Paths.CriuWork(Id), "dump.log")} ({result.Tail(1)})");
    }

    /// <summary>
    /// How long it stood still although it did not move: whoever looks at its clients wants to know. By the clock of the freeze, to the moment at which it runs again; of a freeze
    /// that an earlier life of the agent began, by the wall clock, and only if it was found standing still.
    /// </summary>
    private void NoteStoodStill(FreezeClock? freeze, bool wasFrozen)
    {
        if ((freeze?.Elapsed ?? (wasFrozen ? (_tools.Time.GetUtcNow() - Record.FreezeBegan)?.TotalMilliseconds : null)) is not { } stood)
            return;
        // What is known already was measured nearer to it: a rehearsal's own thaw, or a container that ran at the destination and was lost there.
        Update(record => record with { FreezeMs = record.FreezeMs ?? Math.Round(Math.Max(0, stood), 1) });
    }

    private static async Task<CommandResult> DumpAsync(ArmedCommand dump, FreezeClock freeze)
    {
        using (freeze.Part("dump"))
            return await dump.GoAsync();
    }

    private async Task ConfirmAsync(Task<CommandResult> dumping, MemoryAhead memory, FreezeClock freeze, CancellationToken cancel)
    {
        if (memory.HasShared)
            await freeze.TimeAsync("shared", () => memory.SendSharedLastAsync(cancel));
        await freeze.TimeAsync("confirm", () => memory.ConfirmLastAsync(dumping, _tools.Paths.Images(Id), cancel));
    }

    /// <summary>
    /// Walks the ways of the freeze without effect. Run for the first time inside of it, they are compiled, and their libraries read, there: that
    /// took 100 ms of a send and a READY that else take 10. The destination does the same when it is armed.
    /// </summary>
    private async Task RehearseAsync(ContainerDescription container, CancellationToken cancel)
    {
        // No files yet: an empty stream of images, which the later one replaces.
        await _peer.SendImagesAsync(_tools.Paths.Images(Id), cancel);
        await _peer.AskAsync(cancel);
        ContainerDescription fresh = await _tools.Network.RefreshNeighboursAsync(container, cancel);
        _ = JsonSerializer.Serialize(new CompleteRequest(JsonSerializer.Serialize(fresh, ApiJson.Options), 0, 0, []), ApiJson.Options);
        _ = MappedFiles(container);
        for (int index = 0; index < container.Trees.Count; index++)
            _ = TreeSnapshot.Take(container.Trees[index].Path).IsSame(_snapshots[index], _snapshotTaken);
    }
}
