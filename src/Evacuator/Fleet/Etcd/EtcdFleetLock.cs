using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Fleet.Locks;
using Evacuator.Journal;
using Microsoft.Extensions.Logging;

namespace Evacuator.Fleet.Etcd;

/// <summary>
/// The fleet's lock in etcd.
/// <code>
/// ask (a key under this node's lease: who dies does not keep others waiting)
/// look: slots, guard, asks before this one, nodes              all of one revision
/// decide (FleetLimits)          → not yet: say why, wait, look again
/// take, in one transaction:     if the guard is as it was seen: slot, guard, ask removed; else look again
/// </code>
/// Every slot that is taken changes the guard, so whoever decides on a picture that is no longer true takes nothing. A slot hangs on no lease: a host that is off stays out.
/// It is removed by its own node (<see cref="KeepAsync"/>), or by a person.
/// </summary>
internal sealed partial class EtcdFleetLock(EtcdFleet fleet, EvacuatorOptions options, BrainTimings timings, TimeProvider time, ILogger<EtcdFleetLock> log) : IFleetLock
{
    /// <summary>Others take slots between look and transaction; after so many times in a row it is better to wait.</summary>
    private const int MostTries = 5;

    /// <summary>How much longer than usual the last in a long queue waits between two looks.</summary>
    private const int LongestWait = 20;

    private readonly FleetLimits _limits = FleetLimits.Of(options);
    private volatile byte[]? _ask;
    private volatile FleetLockView _view = new("etcd", null, "not asked so far", null, FleetLockView.Nothing);

    /// <inheritdoc/>
    public string? Problem => fleet.Client.Standing.Answers ? null : $"{Unanswered}: what is under way goes on, a new evacuation waits for it (\"evacuator start --force\" does not)";

    private string Unanswered => $"etcd has not answered since {fleet.Client.Standing.Since:u} ({fleet.Client.Standing.Problem})";

    /// <inheritdoc/>
    public async Task<string?> AcquireAsync(EvacuationState evacuation, Action<Waiting?> say, CancellationToken token)
    {
        FleetAsk mine = new(options.Node.Name, evacuation.Id, options.Node.Zone, evacuation.Trigger.Kind == TriggerKind.Signal ? 1 : 0, evacuation.Started, evacuation.Trigger.Kind == TriggerKind.Signal);
        if (evacuation.Trigger.Force || _limits.AreNone && !mine.Automatic)
            return await TakeAnywayAsync(mine, evacuation, token).ConfigureAwait(false);
        DateTimeOffset since = time.GetUtcNow();
        _ask = fleet.Keys.Ask(mine);
        try
        {
            while (true)
            {
                TimeSpan pause = timings.LockPoll;
                try
                {
                    Attempt attempt = await TryAsync(mine, evacuation, token).ConfigureAwait(false);
                    if (attempt.Why is null)
                    {
                        _ask = null;
                        say(null);
                        return null;
                    }

                    say(new Waiting($"the fleet's lock: {attempt.Why}", since, null, "this node is emptied"));
                    // Whoever is far behind need not look as often as the next one.
                    pause *= Math.Clamp(attempt.Ahead / Math.Max(1, _limits.MaxEmptied), 1, LongestWait);
                }
                catch (EtcdException)
                {
                    say(new Waiting($"the fleet's lock: {Unanswered}", since, null, "this node is emptied when it answers and has a place; a person can cancel this and use \"evacuator start --force\""));
                }

                await Task.Delay(pause, time, token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            await GiveBackAsync(evacuation.Id).ConfigureAwait(false);
            throw;
        }
    }

    /// <inheritdoc/>
    public async Task KeepAsync(Func<SlotHolding> holds, CancellationToken token)
    {
        try
        {
            EtcdTxnResponse look = await fleet.Client.ReadAsync([EtcdOperation.Range(new EtcdRangeRequest { Key = fleet.Keys.Slot(options.Node.Name) })], token).ConfigureAwait(false);
            // Asked after the look: a slot that was taken since then belongs to an evacuation that is seen now.
            SlotHolding holding = holds();
            if (holding.Asking)
                return;
            if (_ask is { } ask)
            {
                await fleet.Client.DeleteAsync(ask, token).ConfigureAwait(false);
                _ask = null;
            }

            EtcdPair? pair = look.Range(0).Kvs.FirstOrDefault();
            if (holding.Evacuation is { } evacuation)
            {
                if (pair is null || EtcdRecords.Slots([pair])[0].EvacuationId != evacuation.Id)
                    await PutSlotAsync(SlotOf(evacuation), pair?.ModRevision ?? 0, null, null, token).ConfigureAwait(false);
            }
            else if (pair is not null)
            {
                await fleet.Client.TxnAsync(new EtcdTxnRequest
                {
                    Compare = [EtcdCompare.Unchanged(pair.Key, pair.ModRevision)],
                    Success = [EtcdOperation.Delete(pair.Key)],
                }, token).ConfigureAwait(false);
            }
        }
        catch (EtcdException)
        {
            // Its standing says so; the next look is a moment away.
        }
    }

    /// <inheritdoc/>
    public async Task<string?> AskShareAsync(CancellationToken token)
    {
        // Asked again inside the transaction that takes the slot; here it is to ask a person at once where the answer is no.
        FleetAsk mine = new(options.Node.Name, Guid.Empty, options.Node.Zone, 1, time.GetUtcNow(), Automatic: true);
        try
        {
            EtcdPicture look = await fleet.PictureAsync(token).ConfigureAwait(false);
            return new FleetLimits(0, 0, 0, _limits.SharePercent).WhyNot(mine, look.Picture with { Asks = [] });
        }
        catch (EtcdException)
        {
            return $"{Unanswered}, so nobody knows how many nodes are out; it waits for etcd";
        }
    }

    /// <inheritdoc/>
    public void EndAsk()
    {
        // Nothing was shown to anyone.
    }

    /// <inheritdoc/>
    public async Task<string?> UnlockAsync(string node, string by, CancellationToken token)
    {
        try
        {
            EtcdPicture look = await fleet.PictureAsync(token).ConfigureAwait(false);
            if (look.Picture.Slots.FirstOrDefault(slot => slot.Node == node) is not { } slot)
                return $"{node} holds no place of the fleet's lock";
            if (look.Picture.Nodes.Any(known => known.Name == node && known.Condition != NodeCondition.Silent))
                return $"{node} is up and says itself that it is out: \"evacuator reopen\" or \"evacuator cancel\" there gives the place back";
            EtcdTxnResponse done = await fleet.Client.TxnAsync(new EtcdTxnRequest
            {
                Compare = [EtcdCompare.Unchanged(fleet.Keys.Slot(node), look.SlotRevision(node))],
                Success = [EtcdOperation.Delete(fleet.Keys.Slot(node))],
            }, token).ConfigureAwait(false);
            if (!done.Succeeded)
                return $"the place of {node} has changed just now: look again";
            LogUnlocked(log, node, by, slot.EvacuationId, slot.Since);
            return null;
        }
        catch (EtcdException e)
        {
            return $"{e.Message}{(e.IsCertain ? "" : "; look with \"evacuator fleet status\" whether it was done")}";
        }
    }

    /// <inheritdoc/>
    public async Task<FleetLockView> LookAsync(CancellationToken token)
    {
        try
        {
            EtcdPicture look = await fleet.PictureAsync(token).ConfigureAwait(false);
            return _view = new FleetLockView("etcd", null, "", time.GetUtcNow(), look.Picture);
        }
        catch (EtcdException e)
        {
            return _view = _view with { UnknownSince = fleet.Client.Standing.Since, Problem = e.Message };
        }
    }

    private async Task<Attempt> TryAsync(FleetAsk mine, EvacuationState evacuation, CancellationToken token)
    {
        byte[] askKey = fleet.Keys.Ask(mine);
        for (int attempt = 1; ; attempt++)
        {
            // 1. Cheap: most looks end here. The number of asks before this one comes from the order of the keys.
            EtcdTxnResponse brief = await fleet.Client.ReadAsync(
                [
                    EtcdOperation.Range(EtcdKeys.All(fleet.Keys.Slots)),
                    EtcdOperation.Range(new EtcdRangeRequest { Key = askKey, KeysOnly = true }),
                    EtcdOperation.Range(new EtcdRangeRequest { Key = EtcdKeys.Bytes(fleet.Keys.Asks), RangeEnd = askKey, CountOnly = true }),
                ], token).ConfigureAwait(false);
            List<FleetSlot> slots = EtcdRecords.Slots(brief.Range(0).Kvs);
            int ahead = (int)Math.Min(brief.Range(2).Count, int.MaxValue);
            // The answer to the transaction that took it was lost.
            if (slots.Any(slot => slot.Node == mine.Node && slot.EvacuationId == mine.EvacuationId))
            {
                await fleet.Client.DeleteAsync(askKey, token).ConfigureAwait(false);
                return new Attempt(null, 0);
            }

            if (brief.Range(1).Kvs.Count == 0)
                await PutAskAsync(askKey, mine, token).ConfigureAwait(false);
            if (_limits.MaxEmptied > 0 && slots.Count(slot => slot.Node != mine.Node) >= _limits.MaxEmptied)
                return new Attempt(_limits.WhyNot(mine, new FleetPicture([], slots, [])) ?? "no place", ahead);

            // 2. Everything, and the decision.
            EtcdPicture look = await fleet.PictureAsync(token).ConfigureAwait(false);
            if (_limits.WhyNot(mine, look.Picture) is { } why)
                return new Attempt(why, ahead);

            // 3. The slot, if the picture is still true.
            if (await PutSlotAsync(SlotOf(evacuation), look.SlotRevision(mine.Node), look.Guard, askKey, token).ConfigureAwait(false))
                return new Attempt(null, 0);
            if (attempt >= MostTries)
                return new Attempt("others take their places just now", ahead);
        }
    }

    /// <summary>Nothing has to be waited for, but others are to know.</summary>
    private async Task<string?> TakeAnywayAsync(FleetAsk mine, EvacuationState evacuation, CancellationToken token)
    {
        string? remark = null;
        try
        {
            EtcdPicture look = await fleet.PictureAsync(token).ConfigureAwait(false);
            string? why = _limits.WhyNot(mine with { Automatic = false }, look.Picture);
            if (why is not null)
                remark = $"the fleet's lock was passed over (--force): {why}";
            await PutSlotAsync(SlotOf(evacuation) with { Forced = why is not null }, look.SlotRevision(mine.Node), null, null, token).ConfigureAwait(false);
        }
        catch (EtcdException)
        {
            // It is registered by KeepAsync as soon as etcd answers.
            if (!_limits.AreNone)
                remark = $"the fleet's lock was not asked (--force): {Unanswered}";
        }

        return remark;
    }

    /// <param name="guard">take it only if no other was taken since; null: whatever the others do</param>
    /// <param name="ask">removed with it; null: there is none</param>
    private async Task<bool> PutSlotAsync(FleetSlot slot, long slotRevision, long? guard, byte[]? ask, CancellationToken token)
    {
        byte[] key = fleet.Keys.Slot(slot.Node);
        List<EtcdCompare> conditions = [EtcdCompare.Unchanged(key, slotRevision)];
        if (guard is { } seen)
            conditions.Add(EtcdCompare.Unchanged(fleet.Keys.Guard, seen));
        List<EtcdOperation> changes = [EtcdOperation.Put(key, EtcdRecords.Write(slot)), EtcdOperation.Put(fleet.Keys.Guard, EtcdKeys.Bytes(slot.Node))];
        if (ask is not null)
            changes.Add(EtcdOperation.Delete(ask));
        return (await fleet.Client.TxnAsync(new EtcdTxnRequest { Compare = conditions, Success = changes }, token).ConfigureAwait(false)).Succeeded;
    }

    private async Task PutAskAsync(byte[] key, FleetAsk mine, CancellationToken token)
    {
        long lease = await fleet.Session.LeaseAsync(token).ConfigureAwait(false);
        try
        {
            await fleet.Client.PutAsync(key, EtcdRecords.Write(mine), lease, token).ConfigureAwait(false);
        }
        catch (EtcdException e) when (e.IsCertain)
        {
            // The lease has ended, after a long pause of this process or of etcd: the next attempt gets another.
            fleet.Session.Lost();
            throw;
        }
    }

    /// <summary>After a cancellation: bounded, and what could not be removed now KeepAsync removes later.</summary>
    private async Task GiveBackAsync(Guid evacuation)
    {
        using CancellationTokenSource limit = new(timings.EtcdLimit, time);
        try
        {
            if (_ask is { } ask)
            {
                await fleet.Client.DeleteAsync(ask, limit.Token).ConfigureAwait(false);
                _ask = null;
            }

            byte[] key = fleet.Keys.Slot(options.Node.Name);
            if ((await fleet.Client.RangeAsync(new EtcdRangeRequest { Key = key }, limit.Token).ConfigureAwait(false)).Kvs is [var pair] && EtcdRecords.Slots([pair])[0].EvacuationId == evacuation)
            {
                await fleet.Client.TxnAsync(new EtcdTxnRequest { Compare = [EtcdCompare.Unchanged(key, pair.ModRevision)], Success = [EtcdOperation.Delete(key)] }, limit.Token).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is EtcdException or OperationCanceledException)
        {
            // The ask hangs on the lease, and KeepAsync comes by.
        }
    }

    private FleetSlot SlotOf(EvacuationState evacuation) =>
        new(options.Node.Name, evacuation.Id, options.Node.Zone, time.GetUtcNow(), evacuation.Trigger.Reason, evacuation.Trigger.RequestedBy, evacuation.Trigger.Force);

    /// <param name="Why">not yet; null: taken</param>
    /// <param name="Ahead">how many ask before this one</param>
    private sealed record Attempt(string? Why, int Ahead);

    [LoggerMessage(EventId = 391, Level = LogLevel.Warning, Message = "The place of {Node} in the fleet's lock (evacuation {Evacuation}, since {Since:u}) was taken away by {By}")]
    private static partial void LogUnlocked(ILogger logger, string node, string by, Guid evacuation, DateTimeOffset since);
}
