using System.Net;
using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Files;
using Evacuator.NodeAgent.PageStore;
using Evacuator.NodeAgent.Processes;
using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Migration;

/// <summary>
/// The last rung of the ladder, for containers whose owner permits it: stopped here, started there. The phases and the handshake are those of a live move, so the same
/// rules keep it from running twice; <see cref="SourcePhase.Freezing"/> means that it is being stopped or is stopped, and undoing means to start it again here.
/// </summary>
internal sealed partial class SourceMove
{
    private const int StartAttempts = 5;

    private bool Stops => _record.Request.Mode == MoveMode.StopAndStart;

    private async Task RunStoppedAsync(CancellationToken shutdown)
    {
        // Linked for the part that may be undone: shutdown, or somebody who changed their mind.
        using CancellationTokenSource undoable = CancellationTokenSource.CreateLinkedTokenSource(shutdown, _abort.Token);
        FreezeClock? clock = null;
        try
        {
            // 1. Describe, 2. offer.
            if (_tools.Fills.TryGetValue(Name, out Task<FillReport>? filled))
                await filled.WaitAsync(undoable.Token);
            ContainerDescription container = await DescribeAsync(undoable.Token);
            Advance(SourceInput.CopyBegins, record => record with { Description = JsonSerializer.Serialize(container, ApiJson.Options), Bundle = container.Bundle.TrimEnd('/') });
            await _tools.Faults.ReachAsync("source.copying");
            OfferReply offer = await _peer.OfferAsync(new Offer(container, Engine: false, Stopped: true), undoable.Token);
            if (!offer.Accepted)
                throw new MoveRefusedException(offer.Blockers);
            if (!offer.Stopped)
                throw new MoveRefusedException([new Blocker(BlockerCode.PeerVersion,
                    $"{Record.Request.DestinationNode} has a version of Evacuator that cannot start a container anew: upgrade it")]);

            // 3. Files while it runs: what is left for the time in which it is down is what changes meanwhile.
            TreeSender trees = new(_peer, _tools.Paths.Move(Id), _tools.Urgent, _tools.Bandwidth);
            await CopyTreesAsync(container, trees, undoable.Token);
            await _peer.AskAsync(undoable.Token);
            await _tools.Faults.ReachAsync("source.copied");

            // 4. Stop. The journal knows it before, so that whatever happens it is started again.
            Advance(SourceInput.FreezeBegins, record => record with { Stopped = true, FreezeBegan = _tools.Time.GetUtcNow(), Rung = MoveRung.Stopped });
            await _tools.Faults.ReachAsync("source.freezing");
            clock = new FreezeClock(_tools.Time);
            using CancellationTokenSource deadline = new(TimeSpan.FromMilliseconds(Record.Request.FreezeBudgetMs), _tools.Time);
            using CancellationTokenSource down = CancellationTokenSource.CreateLinkedTokenSource(undoable.Token, deadline.Token);
            try
            {
                await clock.TimeAsync("stop", () => _tools.Runtime.StopAsync(container, down.Token));
                clock.Time("disconnect", () => _tools.Network.Disconnect(container));
                await _tools.Faults.ReachAsync("source.frozen");

                // 5. What changed since.
                await clock.TimeAsync("files", () => CopyLastAsync(container, trees, down.Token));
                await _tools.Faults.ReachAsync("source.dumped");

                // 6. Ready. The neighbours of a network namespace that has no name are gone with its processes.
                if (container.Network == NetworkKind.Named)
                    container = await _tools.Network.RefreshNeighboursAsync(container, down.Token);
                string neighbours = JsonSerializer.Serialize(container, ApiJson.Options);
                PeerReply ready;
                using (clock.Part("ready"))
                    ready = await _peer.CompleteAsync(new CompleteRequest(neighbours, 0, 0), down.Token);
                if (ready.Phase != DestinationPhase.Ready)
                    throw new PeerRefusedException(HttpStatusCode.Conflict, $"{Record.Request.DestinationNode} is not ready: {ready.Detail}");
                await _tools.Faults.ReachAsync("source.ready");

                // 7. Release.
                clock.Time("journal", () => Release(trees.BytesSent, down.Token));
            }
            catch (OperationCanceledException) when (deadline.IsCancellationRequested && !undoable.IsCancellationRequested)
            {
                throw new TimeoutException(
                    $"{Record.Request.DestinationNode} did not have everything {Record.Request.FreezeBudgetMs / 1000.0:0.#} s after it was stopped ({Describe(clock)}): started again here ([move] stop-budget)");
            }
        }
        catch (Exception e) when (!shutdown.IsCancellationRequested)
        {
            if (e is ArgumentException or InvalidOperationException or NullReferenceException or IndexOutOfRangeException)
                LogUnexpected(_log, e, Name);
            await RevertAsync(Reason(e), BlockerOf(e), clock, shutdown);
            return;
        }

        await _tools.Faults.ReachAsync("source.released");
        await SettleAsync(clock, shutdown);
    }

    /// <summary>
    /// Makes it run here, from whatever state it is found in: an earlier life of the agent may have got anywhere between stopping it and starting it again. A unit of
    /// its own starts it, under a name that there can be only once.
    /// </summary>
    private async Task StartAgainAsync(ContainerDescription container, CancellationToken shutdown)
    {
        Directory.CreateDirectory(_tools.Paths.Move(Id));
        string log = Path.Combine(_tools.Paths.Move(Id), "start.log");
        string problem = "";
        for (int attempt = 1; attempt <= StartAttempts; attempt++)
        {
            try
            {
                string? state = await _tools.Runtime.StateAsync(Name, shutdown);
                if (state is RuncRuntime.Running or RuncRuntime.Paused)
                    return;
                if (state is RuncRuntime.Stopped)
                    await _tools.Runtime.KillAndDeleteAsync(Name, container.CgroupPath, shutdown);
                if (state is null or RuncRuntime.Stopped)
                {
                    CommandResult result = await Command.RunAsync("systemd-run",
                        ["--quiet", "--wait", "--collect", $"--unit=evacuator-start-{Id:N}", "--property=DefaultDependencies=no", "--property=Delegate=yes", "--property=KillMode=process", "--setenv=PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                            "--", .. RuncCommands.Start(container, _tools.RuncRoot, log)], shutdown);
                    if (result.Succeeded)
                        return;
                    problem = $"runc run ended with {result.ExitCode}: {RuncCommands.StartProblem(log)}";
                }
            }
            catch (Exception e) when (e is ContainerException or CommandException or IOException)
            {
                problem = e.Message;
            }

            await Task.Delay(TimeSpan.FromSeconds(1), _tools.Time, shutdown);
        }

        LogNotStarted(_log, Name, problem);
        Update(record => record with { Detail = $"{record.Detail}; it was stopped for the move and CANNOT BE STARTED AGAIN here: {problem}. Its files are in {container.Bundle}" });
    }
}
