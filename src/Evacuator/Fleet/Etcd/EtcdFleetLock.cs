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
/// glance: is there a place, how many go before this one        counts only: a thousand that wait cost etcd little
///                                → none, or enough others for all of them: say so, wait, glance again; the longer, the more go before
/// look: slots, guard, asks before this one, nodes              all of one revision; of the nodes only what has changed since the last look
/// decide (FleetLimits)           → not yet: say why, wait, glance again
/// take, in one transaction:      if the guard is as it was seen: slot, guard, ask removed; else it answers with slots, guard and asks, decide again
/// </code>
/// Every slot that is taken changes the guard, so whoever decides on a picture that is no longer true takes nothing. Only as many as there are places try at once, the first in
/// the queue, one a little after the other: if hundreds did, each transaction that succeeds would make all the others fail. Those before a node may be unable to begin (their zone is
/// full, they are too large): then those further behind look as well (<see cref="WhyNotBeforeOthersAsync"/>).
/// A slot hangs on no lease: a host that is off stays out. It is removed by its own node (<see cref="KeepAsync"/>), or by a person.
/// </summary>
internal sealed partial class EtcdFleetLock(EtcdFleet fleet, EvacuatorOptions options, BrainTimings timings, TimeProvider time, ILogger<EtcdFleetLock> log) : IFleetLock
{
    /// <summary>Others take slots between look and transaction; after so many times in a row it is better to wait.</summary>
    private const int MostTries = 8;

    /// <summary>How much longer than usual the last in a long queue waits between two glances.</summary>
    private const int LongestWait = 20;

    /// <summary>How many try at once where the number of places is not limited, but something else is.</summary>
    private const int Contenders = 20;

    /// <summary>So often nothing has changed where a place is free: those that go first do not take it.</summary>
    private const int GlancesUntilStuck = 3;

    /// <summary>Names that are told of those that are out; of the others the number.</summary>
    private const int NamesTold = 4;

    // What nodes would do at the same instant they do one after the other.
    private readonly Random _random = new();

    /// <summary>The one before, if a place was free and others went first.</summary>
    private Glance? _last;
    private int _unchanged;
    private volatile byte[]? _ask;
    private volatile FleetLockView _view = new("etcd", null, "not asked so far", null, FleetLockView.Nothing);

    /// <inheritdoc/>
    public string? Problem => fleet.Client.Standing.Answers ? null : $"{Unanswered}: what is under way goes on, a new evacuation waits for it (\"evacuator start --force\" does not)";

    private FleetLimits Limits => FleetLimits.Of(options, fleet.Names().Count);

    private string Unanswered => $"etcd has not answered since {fleet.Client.Standing.Since:u} ({fleet.Client.Standing.Problem})";

    /// <inheritdoc/>
    public async Task<string?> AcquireAsync(EvacuationState evacuation, Action<Waiting?> say, CancellationToken token)
    {
        FleetAsk mine = new(options.Node.Name, evacuation.Id, options.Node.Zone, evacuation.Trigger.Kind == TriggerKind.Signal ? 1 : 0, evacuation.Started, evacuation.Trigger.Kind == TriggerKind.Signal);
        if (evacuation.Trigger.Force || Limits.AreNone && !mine.Automatic)
            return await TakeAnywayAsync(mine, evacuation, token).ConfigureAwait(false);
        DateTimeOffset since = time.GetUtcNow();
        _ask = fleet.Keys.Ask(mine);
        (_last, _unchanged) = (null, 0);
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
                    pause *= Math.Clamp(attempt.Ahead / (double)AtOnce(Limits), 1, LongestWait);
                }
                catch (EtcdException)
                {
                    say(new Waiting($"the fleet's lock: {Unanswered}", since, null, "this node is emptied when it answers and has a place; a person can cancel this and use \"evacuator start --force\""));
                }

                await Task.Delay(Jittered(pause), time, token).ConfigureAwait(false);
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
            EtcdPicture look = await fleet.PictureAsync(null, token).ConfigureAwait(false);
            return new FleetLimits(0, 0, 0, Limits.SharePercent).WhyNot(mine, look.Picture with { Asks = [] });
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
            EtcdPicture look = await fleet.PictureAsync(null, token).ConfigureAwait(false);
            if (look.Picture.Slots.FirstOrDefault(slot => slot.Node == node) is not { } slot)
                return $"{node} holds no place of the fleet's lock";
            if (look.Picture.Nodes.Any(known => known.Name == node && known.Condition != NodeCondition.Silent))
                return $"{node} is up and says itself that it is out: \"evacuator reopen\" or \"evacuator cancel\" there gives the place back";
            EtcdTxnResponse done = await fleet.Client.TxnAsync(new EtcdTxnRequest
            {
                Compare = [EtcdCompare.Unchanged(fleet.Keys.Slot(node), look.Places.SlotRevision(node))],
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
            EtcdPicture look = await fleet.PictureAsync(null, token).ConfigureAwait(false);
            return _view = new FleetLockView("etcd", null, "", time.GetUtcNow(), look.Picture);
        }
        catch (EtcdException e)
        {
            return _view = _view with { UnknownSince = fleet.Client.Standing.Since, Problem = e.Message };
        }
    }

    private async Task<Attempt> TryAsync(FleetAsk mine, EvacuationState evacuation, CancellationToken token)
    {
        FleetLimits limits = Limits;
        byte[] askKey = fleet.Keys.Ask(mine);
        // 1. Most end here.
        Glance glance = await GlanceAsync(mine, askKey, token).ConfigureAwait(false);
        if (glance.Own is { } own && own.EvacuationId == mine.EvacuationId)
        {
            // The answer to the transaction that took it was lost.
            await fleet.Client.DeleteAsync(askKey, token).ConfigureAwait(false);
            return new Attempt(null, 0);
        }

        if (!glance.Asks)
        {
            await PutAskAsync(askKey, mine, token).ConfigureAwait(false);
            // Of those that ask at the same instant others have theirs there by now.
            glance = await GlanceAsync(mine, askKey, token).ConfigureAwait(false);
        }

        if (limits.MaxEmptied > 0 && glance.Out >= limits.MaxEmptied)
        {
            _last = null;
            return new Attempt(limits.NoPlace(glance.Names, glance.Out), glance.Ahead);
        }

        int places = limits.MaxEmptied > 0 ? limits.MaxEmptied - (int)glance.Out : Contenders;
        if (glance.Ahead >= places && await WhyNotBeforeOthersAsync(mine, limits, glance, askKey, token).ConfigureAwait(false) is { } others)
            return new Attempt(others, glance.Ahead);

        // 2. The first in the queue goes at once, each of the others a little later.
        await Task.Delay(Stagger(Math.Min(glance.Ahead, places)), time, token).ConfigureAwait(false);
        // 3. Everything, and the decision.
        EtcdPicture look = await fleet.PictureAsync(askKey, token).ConfigureAwait(false);
        for (int attempt = 1; ; attempt++)
        {
            if (limits.WhyNot(mine, look.Picture) is { } why)
                return new Attempt(why, look.Places.Asks.Count);
            // 4. The slot, if the picture is still true.
            EtcdTxnResponse taken = await PutSlotAsync(SlotOf(evacuation), look.Places.SlotRevision(mine.Node), look.Places.Guard, askKey, token).ConfigureAwait(false);
            if (taken.Succeeded)
                return new Attempt(null, 0);
            look = look.With(EtcdFleet.PlacesOf(taken));
            if (attempt >= MostTries)
                return new Attempt("others take their places just now", look.Places.Asks.Count);
            await Task.Delay(Stagger(1 + Math.Min(look.Places.Asks.Count, places)), time, token).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// For a node before which others go that could have all the places: null if it should look all the same, since they do not take them. That their zones are full is told by the asks
    /// themselves. Whatever else keeps them from it, or that they are dead, shows in that nothing has changed for several glances.
    /// </summary>
    private async Task<string?> WhyNotBeforeOthersAsync(FleetAsk mine, FleetLimits limits, Glance glance, byte[] askKey, CancellationToken token)
    {
        bool placeWasFree = _last is not null;
        _unchanged = _last is { } last && last.Guard == glance.Guard && last.Out == glance.Out && last.Ahead == glance.Ahead ? _unchanged + 1 : 0;
        _last = glance;
        if (_unchanged >= GlancesUntilStuck)
        {
            _unchanged = 0;
            return null;
        }

        string wait = glance.Ahead == 1 ? "another node goes first" : $"{glance.Ahead} nodes go first";
        if (limits.MaxEmptiedPerZone == 0 || !placeWasFree)
            return wait;
        EtcdPlaces places = EtcdFleet.PlacesOf(await fleet.Client.ReadAsync(fleet.PlacesQuestions(askKey), token).ConfigureAwait(false));
        return (limits with { MinHealthyPercent = 0 }).WhyNot(mine with { Automatic = false }, new FleetPicture([], places.Slots, [.. places.Asks.Select(ask => ask with { Automatic = false })]));
    }

    /// <summary>A few hundred bytes, however large the fleet is. The number of asks before this one comes from the order of the keys.</summary>
    private async Task<Glance> GlanceAsync(FleetAsk mine, byte[] askKey, CancellationToken token)
    {
        EtcdTxnResponse look = await fleet.Client.ReadAsync(
            [
                EtcdOperation.Range(new EtcdRangeRequest { Key = fleet.Keys.Slot(mine.Node) }),
                EtcdOperation.Range(EtcdKeys.All(fleet.Keys.Slots, NamesTold + 1) with { KeysOnly = true }),
                EtcdOperation.Range(new EtcdRangeRequest { Key = askKey, KeysOnly = true }),
                EtcdOperation.Range(new EtcdRangeRequest { Key = EtcdKeys.Bytes(fleet.Keys.Asks), RangeEnd = askKey, CountOnly = true }),
                EtcdOperation.Range(new EtcdRangeRequest { Key = fleet.Keys.Guard, KeysOnly = true }),
            ], token).ConfigureAwait(false);
        FleetSlot? own = EtcdRecords.Slots(look.Range(0).Kvs).FirstOrDefault();
        return new Glance(own, look.Range(1).Count - (own is null ? 0 : 1), [.. look.Range(1).Kvs.Select(EtcdKeys.NameOf).Where(name => name != mine.Node).Take(NamesTold)],
            look.Range(2).Kvs.Count > 0, (int)Math.Min(look.Range(3).Count, int.MaxValue), look.Range(4).Kvs is [var guard] ? guard.ModRevision : 0);
    }

    private static int AtOnce(FleetLimits limits) => limits.MaxEmptied > 0 ? limits.MaxEmptied : Contenders;

    private TimeSpan Jittered(TimeSpan pause) => pause * (0.75 + _random.NextDouble() / 2);

    /// <summary>About as long as so many transactions of others take.</summary>
    private TimeSpan Stagger(int others) => timings.LockPoll / 200 * others * (0.5 + _random.NextDouble());

    /// <summary>Nothing has to be waited for, but others are to know.</summary>
    private async Task<string?> TakeAnywayAsync(FleetAsk mine, EvacuationState evacuation, CancellationToken token)
    {
        string? remark = null;
        try
        {
            EtcdPicture look = await fleet.PictureAsync(null, token).ConfigureAwait(false);
            string? why = Limits.WhyNot(mine with { Automatic = false }, look.Picture);
            if (why is not null)
                remark = $"the fleet's lock was passed over (--force): {why}";
            await PutSlotAsync(SlotOf(evacuation) with { Forced = why is not null }, look.Places.SlotRevision(mine.Node), null, null, token).ConfigureAwait(false);
        }
        catch (EtcdException)
        {
            // It is registered by KeepAsync as soon as etcd answers.
            if (!Limits.AreNone)
                remark = $"the fleet's lock was not asked (--force): {Unanswered}";
        }

        return remark;
    }

    /// <param name="guard">take it only if no other was taken since; null: whatever the others do</param>
    /// <param name="ask">removed with it; null: there is none</param>
    /// <returns>if it was not done, and there is an ask: the places as they are, see <see cref="EtcdFleet.PlacesOf"/></returns>
    private Task<EtcdTxnResponse> PutSlotAsync(FleetSlot slot, long slotRevision, long? guard, byte[]? ask, CancellationToken token)
    {
        byte[] key = fleet.Keys.Slot(slot.Node);
        List<EtcdCompare> conditions = [EtcdCompare.Unchanged(key, slotRevision)];
        if (guard is { } seen)
            conditions.Add(EtcdCompare.Unchanged(fleet.Keys.Guard, seen));
        List<EtcdOperation> changes = [EtcdOperation.Put(key, EtcdRecords.Write(slot)), EtcdOperation.Put(fleet.Keys.Guard, EtcdKeys.Bytes(slot.Node))];
        if (ask is not null)
            changes.Add(EtcdOperation.Delete(ask));
        return fleet.Client.TxnAsync(new EtcdTxnRequest { Compare = conditions, Success = changes, Failure = ask is null ? null : fleet.PlacesQuestions(ask) }, token);
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

    /// <param name="Own">this node's slot</param>
    /// <param name="Out">how many others have one</param>
    /// <param name="Names">of the first of them</param>
    /// <param name="Asks">its ask is there</param>
    /// <param name="Ahead">how many ask before it</param>
    /// <param name="Guard">changes whenever a place is taken</param>
    private sealed record Glance(FleetSlot? Own, long Out, IReadOnlyList<string> Names, bool Asks, int Ahead, long Guard);

    [LoggerMessage(EventId = 391, Level = LogLevel.Warning, Message = "The place of {Node} in the fleet's lock (evacuation {Evacuation}, since {Since:u}) was taken away by {By}")]
    private static partial void LogUnlocked(ILogger logger, string node, string by, Guid evacuation, DateTimeOffset since);
}
