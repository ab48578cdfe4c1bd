using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Microsoft.Extensions.Hosting;

namespace Evacuator.Fleet.Etcd;

/// <summary>Writes into etcd what this node is about to send, the room that it holds for others, and which containers it runs. All of it is read anew each time: what is lost is written again.</summary>
/// <remarks>
/// A container's name belongs to the node on which it runs. A destination takes the name over from the node that sent the container, once it runs; a source gives up no name that it still
/// has. Who finds a name of its own with another node, without any move between them, says so and changes nothing.
/// </remarks>
internal sealed class EtcdRegisterLoop(
    EtcdFleet fleet, EtcdRegister register, EvacuationService evacuations, JournalStore journal, AgentClient agent, BrainTimings timings, TimeProvider time) : BackgroundService
{
    /// <summary>What has not changed is compared with etcd every so many rounds all the same: others may have removed it.</summary>
    private const int RoundsUntrusted = 12;

    private readonly HashSet<Guid> _reserved = [];
    private PlanRecord? _plan;
    private long _lease;
    private HashSet<string>? _names;
    private int _round;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            try
            {
                await SyncAsync(stoppingToken).ConfigureAwait(false);
            }
            catch (Exception e) when (e is EtcdException or AgentException)
            {
                // Membership says that etcd does not answer. What was written is not known any more.
                if (e is EtcdException { IsCertain: true })
                    fleet.Session.Lost();
                (_lease, _names) = (0, null);
            }

            await WaitAsync(stoppingToken).ConfigureAwait(false);
        }
    }

    private async Task WaitAsync(CancellationToken stop)
    {
        try
        {
            await register.Rung.WaitToReadAsync(stop).AsTask().WaitAsync(timings.EtcdPoll, time, stop).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
        }

        register.Rung.TryRead(out _);
    }

    private async Task SyncAsync(CancellationToken token)
    {
        long lease = await fleet.Session.LeaseAsync(token).ConfigureAwait(false);
        if (lease != _lease)
        {
            (_plan, _lease) = (null, lease);
            _reserved.Clear();
        }

        await PlanAsync(lease, token).ConfigureAwait(false);
        IReadOnlyList<InboundReport> inbound = await agent.GetInboundAsync(token).ConfigureAwait(false);
        await ReservationsAsync(inbound, lease, token).ConfigureAwait(false);
        await NamesAsync(inbound, token).ConfigureAwait(false);
    }

    private async Task PlanAsync(long lease, CancellationToken token)
    {
        PlanRecord? plan = null;
        if (evacuations.Active?.Snapshot is { } snapshot)
        {
            PlanShare[] shares = [.. snapshot.Moves.Where(move => move is { Phase: MovePhase.Planned, Destination: not null })
                .GroupBy(move => move.Destination!, StringComparer.Ordinal).OrderBy(group => group.Key, StringComparer.Ordinal)
                .Select(group => new PlanShare(group.Key, group.Sum(move => move.Container.MemoryBytes), group.Sum(move => move.Container.DiskBytes), group.Count()))];
            if (shares.Length > 0)
                plan = new PlanRecord(fleet.Node, snapshot.State.Id, shares);
        }

        if (plan is null && _plan is not null)
            await fleet.Client.DeleteAsync(fleet.Keys.Plan(fleet.Node), token).ConfigureAwait(false);
        else if (plan is not null && (_plan is null || plan.EvacuationId != _plan.EvacuationId || !plan.Shares.SequenceEqual(_plan.Shares)))
            await fleet.Client.PutAsync(fleet.Keys.Plan(fleet.Node), EtcdRecords.Write(plan), lease, token).ConfigureAwait(false);
        _plan = plan;
    }

    private async Task ReservationsAsync(IReadOnlyList<InboundReport> inbound, long lease, CancellationToken token)
    {
        List<InboundReport> open = [.. inbound.Where(report => report.Phase is DestinationPhase.Announced or DestinationPhase.Receiving or DestinationPhase.Ready or DestinationPhase.Resuming)];
        foreach (InboundReport report in open.Where(report => !_reserved.Contains(report.MoveId)))
        {
            ReservationRecord record = new(report.MoveId, report.Container, report.Source, fleet.Node, report.MemoryBytes, report.Updated);
            await fleet.Client.PutAsync(fleet.Keys.Reservation(fleet.Node, report.MoveId), EtcdRecords.Write(record), lease, token).ConfigureAwait(false);
            _reserved.Add(report.MoveId);
        }

        foreach (Guid over in _reserved.Except(open.Select(report => report.MoveId)).ToList())
        {
            await fleet.Client.DeleteAsync(fleet.Keys.Reservation(fleet.Node, over), token).ConfigureAwait(false);
            _reserved.Remove(over);
        }
    }

    private async Task NamesAsync(IReadOnlyList<InboundReport> inbound, CancellationToken token)
    {
        HashSet<string> arriving = [.. inbound.Where(report => report.Phase is not (DestinationPhase.Running or DestinationPhase.Failed)).Select(report => report.Container)];
        HashSet<string> leaving = [.. Leaving()];
        HashSet<string> names = [.. (await agent.GetContainersAsync(token).ConfigureAwait(false)).Select(container => container.Name).Where(name => !arriving.Contains(name))];
        _round = (_round + 1) % RoundsUntrusted;
        if (_names is not null && _names.SetEquals(names) && leaving.Count == 0 && _round != 0 && register.Duplicates.Count == 0)
            return;

        IReadOnlyList<string> owned = await register.OwnedAsync(token).ConfigureAwait(false);
        IReadOnlyDictionary<string, EtcdPair> keys = await register.OwnersAsync([.. names, .. owned], token).ConfigureAwait(false);
        List<string> duplicates = [];
        bool settled = true;
        foreach (string name in names.Order(StringComparer.Ordinal))
        {
            EtcdPair? pair = keys.GetValueOrDefault(name);
            OwnerRecord? owner = pair is null ? null : EtcdRecords.Read<OwnerRecord>(pair);
            if (owner?.Node == fleet.Node)
            {
                if (!owned.Contains(name))
                    settled &= await register.ClaimAsync(name, pair, owner.Since, token).ConfigureAwait(false);
            }
            else if (owner is null || !leaving.Contains(name) && CameFrom(inbound, name) == owner.Node)
            {
                settled &= await register.ClaimAsync(name, pair, time.GetUtcNow(), token).ConfigureAwait(false);
            }
            else if (!leaving.Contains(name))
            {
                duplicates.Add($"{name} runs here, and the name is taken by {owner.Node} since {owner.Since:u}: rename one of them; if it runs here only, remove the other's key ({fleet.Keys.Containers}{name})");
            }
        }

        foreach (string name in owned.Where(name => !names.Contains(name) && !arriving.Contains(name)))
            await register.ReleaseAsync(name, keys.GetValueOrDefault(name), token).ConfigureAwait(false);
        register.Duplicates = duplicates;
        _names = settled ? names : null;
    }

    /// <summary>On their way to another node, which takes the name over as soon as they run there.</summary>
    private IEnumerable<string> Leaving() =>
    [
        .. (evacuations.Active?.Snapshot.Moves ?? []).Where(move => move.Phase is MovePhase.Reserving or MovePhase.Moving).Select(move => move.Name),
        .. journal.Departures(100).Where(departure => !departure.Ended).Select(departure => departure.Move.Name),
    ];

    /// <summary>The node that sent the container, if it came by a move: the last of them.</summary>
    private static string? CameFrom(IReadOnlyList<InboundReport> inbound, string name) =>
        inbound.Where(report => report.Container == name && report.Phase == DestinationPhase.Running).OrderByDescending(report => report.Updated).FirstOrDefault()?.Source;
}
