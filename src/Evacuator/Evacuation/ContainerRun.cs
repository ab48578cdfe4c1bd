using System.Net;
using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Fleet;
using Evacuator.Journal;
using Evacuator.Placement;
using Microsoft.Extensions.Logging;

namespace Evacuator.Evacuation;

/// <summary>
/// Moves one container. Starts from what the journal says, so it also continues after a restart. Ends with the move in one of its end phases;
/// nothing that goes wrong with one container reaches another.
/// <code>
/// Planned    take the planned peer, else the next that fits and was not asked yet
/// Reserving  ask its brain: room reserved and a token given, or the reasons why not
/// Moving     tell the own agent (same id = same move), watch it to its end
/// </code>
/// </summary>
internal sealed partial class ContainerRun(RunServices services, IMoveLedger ledger, CancellationToken cancelRequested, CancellationToken deadline = default)
{
    private readonly ILogger _log = services.Logs.CreateLogger<ContainerRun>();

    /// <param name="container">its name</param>
    /// <param name="stop">the service stops: leave everything as it is, the next start continues</param>
    /// <param name="together">where the members of its group that left before it have gone: there or nowhere; null: anywhere</param>
    public async Task RunAsync(string container, CancellationToken stop, string? together = null)
    {
        ledger.WaitMove(container, null);
        bool resumed = true;
        while (true)
        {
            MoveState move = ledger.Move(container);
            switch (move.Phase)
            {
                case MovePhase.Planned when cancelRequested.IsCancellationRequested:
                    ledger.Apply(container, new MoveInput.Cancel());
                    break;
                case MovePhase.Planned when deadline.IsCancellationRequested && move.Mode == MoveMode.Live:
                    ledger.Apply(container, new MoveInput.DeadlinePassed());
                    break;
                case MovePhase.Planned:
                    await ChooseAsync(move, together, stop).ConfigureAwait(false);
                    break;
                case MovePhase.Reserving when cancelRequested.IsCancellationRequested:
                    await ForgetAsync(move, stop).ConfigureAwait(false);
                    ledger.Apply(container, new MoveInput.Cancel());
                    break;
                case MovePhase.Reserving:
                    await ReserveAsync(move, resumed, stop).ConfigureAwait(false);
                    break;
                case MovePhase.Moving:
                    await WatchAsync(move, stop).ConfigureAwait(false);
                    break;
                default:
                    if (move.Phase == MovePhase.Moved)
                        services.Guests.Left(container);
                    LogEnd(_log, container, move.Phase, move.Destination, move.Last?.FreezeMs, move.Detail);
                    return;
            }

            resumed = false;
        }
    }

    private async Task ChooseAsync(MoveState move, string? together, CancellationToken stop)
    {
        HashSet<string> tried = [.. move.Attempts.Select(attempt => attempt.Peer)];
        string? wanted = together ?? move.Destination;
        string? peer = wanted is not null && !tried.Contains(wanted) ? wanted : null;
        if (peer is null && IsWorthAnotherTry(move))
        {
            // A service that is being restarted is away for a moment, and there is no other destination.
            await Task.Delay(services.Timings.Retry * 5, services.Time, stop).ConfigureAwait(false);
            peer = cancelRequested.IsCancellationRequested ? null : move.Destination;
        }

        if (peer is null && !move.Bound && together is null)
            peer = Planner.Candidates(move.Container, await services.Peers.SurveyAsync(stop).ConfigureAwait(false), await services.PlacementAsync(stop).ConfigureAwait(false), tried)
            .Cast<string?>().FirstOrDefault();
        if (peer is null && cancelRequested.IsCancellationRequested)
            return;
        if (peer is null)
            ledger.Apply(move.Name, new MoveInput.NoneLeft());
        else
            ledger.Apply(move.Name, new MoveInput.Try(peer, Guid.NewGuid()));
    }

    private bool IsWorthAnotherTry(MoveState move) =>
        move is { Bound: true, Started: { } started, Attempts: [.., var last] } && last.Blockers.All(blocker => blocker.Code == BlockerCode.PeerUnreachable)
        && services.Time.GetUtcNow() - started < services.Timings.BoundPatience;

    /// <param name="resumed">the request may have been sent before a restart, and its answer lost with the token in it</param>
    private async Task ReserveAsync(MoveState move, bool resumed, CancellationToken stop)
    {
        if (resumed)
        {
            await ForgetAsync(move, stop).ConfigureAwait(false);
            move = ledger.Apply(move.Name, new MoveInput.Try(move.Destination!, Guid.NewGuid()));
        }

        if (services.Peers.Find(move.Destination!) is not { } peer)
        {
            ledger.Apply(move.Name, new MoveInput.Refused([new Blocker(BlockerCode.NoPeer, $"{move.Destination} is no longer in the peers file")]));
            return;
        }

        try
        {
            string home = await services.Guests.HomeOfAsync(move.Name, stop).ConfigureAwait(false) ?? services.Options.Node.Name;
            ReservationReply reply = await peer.ReserveAsync(new ReservationRequest(move.MoveId, move.EvacuationId, move.Container, home), stop).ConfigureAwait(false);
            if (reply is { Accepted: true, Token: { Length: > 0 } token })
            {
                ledger.Apply(move.Name, new MoveInput.Reserved(token));
                return;
            }

            LogRefused(_log, move.Name, peer.Peer.Name, string.Join("; ", reply.Blockers.Select(blocker => blocker.Text)));
            ledger.Apply(move.Name, new MoveInput.Refused(reply.Blockers));
        }
        catch (PeerException e)
        {
            LogRefused(_log, move.Name, peer.Peer.Name, e.Message);
            // The answer may be lost while the reservation stands: take it back, so that nothing is held for nobody.
            await ForgetAsync(move, stop).ConfigureAwait(false);
            ledger.Apply(move.Name, new MoveInput.Refused([new Blocker(e.Code, e.Message)]));
        }
    }

    private async Task WatchAsync(MoveState move, CancellationToken stop)
    {
        // 1. A move that began before a reboot of the host is not begun again: its container is gone from here or has arrived.
        if (services.BootId.Value != ledger.BootId)
        {
            string lost = await FollowPostCopyAsync(move, stop).ConfigureAwait(false);
            await SettleAsync(move, $"the host was restarted during the move{lost}", stop).ConfigureAwait(false);
            return;
        }

        // 2. Start it. The agent knows the id if it was started before.
        MoveReport? report;
        try
        {
            MoveRequest request = RequestFor(move);
            report = await AgentAsync(move, t => services.Agent.StartMoveAsync(request, t), stop).ConfigureAwait(false);
        }
        catch (AgentException e)
        {
            await ForgetAsync(move, stop).ConfigureAwait(false);
            await SettleAsync(move, $"evacuator-agent refused to move it: {e.Message}", stop).ConfigureAwait(false);
            return;
        }

        // 3. Watch it. An abort is asked for once; if it comes too late the move simply ends.
        bool abortAsked = false;
        while (true)
        {
            if (report is null)
            {
                await SettleAsync(move, "evacuator-agent knows nothing of the move any more", stop).ConfigureAwait(false);
                return;
            }

            if (await HasEndedAsync(move, report, stop).ConfigureAwait(false))
            {
                await ForgetAsync(move, stop).ConfigureAwait(false);
                ledger.Apply(move.Name, new MoveInput.Settled(MovePhase.Gone, $"it ended by itself before it moved: {report.Detail}"));
                return;
            }

            MoveState after = ledger.Apply(move.Name, new MoveInput.Progress(report));
            ledger.WaitMove(move.Name, report is { Ended: false, Detail.Length: > 0 } ? WaitingFor(after, report) : null);
            if (after.Phase != MovePhase.Moving)
            {
                if (after.Phase != MovePhase.Moved)
                    await ForgetAsync(move, stop).ConfigureAwait(false);
                return;
            }

            bool late = deadline.IsCancellationRequested && after.Mode == MoveMode.Live;
            if (late && !after.Late)
                ledger.Apply(move.Name, new MoveInput.DeadlinePassed());
            if ((cancelRequested.IsCancellationRequested || late) && !abortAsked)
            {
                abortAsked = true;
                await AgentAsync(move, t => services.Agent.AbortMoveAsync(move.MoveId, t), stop).ConfigureAwait(false);
            }

            await Task.Delay(services.Timings.MovePoll, services.Time, stop).ConfigureAwait(false);
            report = await AgentAsync(move, t => services.Agent.GetMoveAsync(move.MoveId, t), stop).ConfigureAwait(false);
        }
    }

    /// <summary>What the agent says of a step that goes on, with the way out where only a person has one.</summary>
    internal static Waiting WaitingFor(MoveState move, MoveReport report) => report.Phase switch
    {
        SourcePhase.Reverting => new Waiting($"its move to be undone ({report.Detail})", report.Updated, null, "it runs on here"),
        SourcePhase.Released or SourcePhase.Serving => new Waiting($"{report.Destination} to answer ({report.Detail})", move.Released ?? report.Updated, null,
            $"its answer settles it; if {report.Destination} is gone for good: evacuator settle {report.Container} --gone {report.Destination} --bmc URL (or --unverified)"),
        _ => new Waiting($"its step to go on ({report.Detail})", report.Updated, null, "it moves on; \"journalctl -u evacuator-agent\" tells more"),
    };

    /// <summary>It was not there any more when the agent looked at it: nothing stays, and nothing can be tried again.</summary>
    private async Task<bool> HasEndedAsync(MoveState move, MoveReport report, CancellationToken stop)
    {
        if (report is not { Phase: SourcePhase.Stayed, FreezeMs: null, Blocker.Code: BlockerCode.NotRunning })
            return false;
        IReadOnlyList<ContainerReport> containers = await AgentAsync(move, services.Agent.GetContainersAsync, stop).ConfigureAwait(false);
        return containers.All(container => container.Name != move.Name);
    }

    /// <summary>
    /// What runs at the destination may need memory that went with the restart: until the agents have settled that, "it runs there" is not the end of it.
    /// </summary>
    /// <returns>what the own agent says of its end; empty for a move of another kind</returns>
    private async Task<string> FollowPostCopyAsync(MoveState move, CancellationToken stop)
    {
        while (true)
        {
            MoveReport? report = await AgentAsync(move, t => services.Agent.GetMoveAsync(move.MoveId, t), stop).ConfigureAwait(false);
            if (report is not { Rung: MoveRung.PostCopy, Ended: false })
                return report is { Rung: MoveRung.PostCopy, Phase: SourcePhase.Stayed, Detail.Length: > 0 } ? $"; {report.Detail}" : "";
            ledger.WaitMove(move.Name, new Waiting(report.Detail.Length > 0 ? report.Detail : $"{move.Destination} to say what became of it", report.Updated, null, "the agents ask each other again"));
            await Task.Delay(services.Timings.MovePoll, services.Time, stop).ConfigureAwait(false);
        }
    }

    /// <summary>The agent cannot say what became of the move: look at the container here and ask the destination.</summary>
    private async Task SettleAsync(MoveState move, string why, CancellationToken stop)
    {
        IReadOnlyList<ContainerReport> containers = await AgentAsync(move, services.Agent.GetContainersAsync, stop).ConfigureAwait(false);
        bool here = containers.Any(container => container.Name == move.Name);
        bool asked = false;
        DestinationPhase? there = null;
        try
        {
            if (services.Peers.Find(move.Destination!) is { } peer)
            {
                there = (await peer.GetReservationAsync(move.MoveId, stop).ConfigureAwait(false))?.Phase;
                asked = true;
            }
        }
        catch (PeerException e)
        {
            why = $"{why}; {e.Message}";
        }

        bool neverArrived = asked && there is null or DestinationPhase.Announced or DestinationPhase.Failed;
        ledger.Apply(move.Name, (here, there) switch
        {
            (false, DestinationPhase.Running) => new MoveInput.Settled(MovePhase.Moved, $"{why}; {move.Destination} says that it runs there"),
            (true, DestinationPhase.Running) => new MoveInput.Settled(MovePhase.Unknown, $"{why}; it is here and {move.Destination} says that it runs there: compare both and remove one"),
            (true, _) => new MoveInput.Settled(MovePhase.Stayed, why),
            (false, _) when neverArrived => new MoveInput.Settled(MovePhase.Gone, $"{why}; it is neither here nor at {move.Destination}: it ended"),
            _ => new MoveInput.Settled(MovePhase.Unknown, $"{why}; it is not here, and {move.Destination} has not confirmed that it runs there: look there with \"runc list\""),
        });
    }

    private async Task ForgetAsync(MoveState move, CancellationToken stop)
    {
        if (services.Peers.Find(move.Destination!) is not { } peer)
            return;
        try
        {
            await peer.ForgetReservationAsync(move.MoveId, stop).ConfigureAwait(false);
        }
        catch (PeerException e) when (e.Status is HttpStatusCode.NotFound)
        {
        }
        catch (PeerException e)
        {
            // It expires by itself.
            LogNotForgotten(_log, move.Name, peer.Peer.Name, e.Message);
        }
    }

    private MoveRequest RequestFor(MoveState move)
    {
        TimeSpan budget = move.Mode == MoveMode.StopAndStart ? services.Options.Move.StopBudget : ContainerPolicy.Of(move.Container).FreezeBudget ?? services.Options.Move.FreezeBudget;
        string address = services.Peers.Find(move.Destination!)?.Peer.Address ?? move.Destination!;
        return new MoveRequest
        {
            MoveId = move.MoveId,
            EvacuationId = move.EvacuationId,
            Container = move.Name,
            DestinationNode = move.Destination!,
            DestinationAddress = HostAndPort(address, services.Options.Fleet.AgentPort),
            Token = move.Token!,
            FreezeBudgetMs = (int)budget.TotalMilliseconds,
            Mode = move.Mode,
        };
    }

    /// <summary>An IPv6 address needs brackets before a port.</summary>
    internal static string HostAndPort(string address, int port) =>
        IPAddress.TryParse(address, out IPAddress? ip) && ip.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? $"[{address}]:{port}" : $"{address}:{port}";

    private Task<T> AgentAsync<T>(MoveState move, Func<CancellationToken, Task<T>> ask, CancellationToken stop) =>
        AgentPatience.AskAsync(ask, waiting => ledger.WaitMove(move.Name, waiting), "the move is watched further", services.Timings.Retry, services.Time, stop);
}
