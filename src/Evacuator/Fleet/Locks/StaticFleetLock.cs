using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Health;
using Evacuator.Journal;
using Evacuator.Placement;

namespace Evacuator.Fleet.Locks;

/// <summary>
/// The lock of a fleet that has no store in common: a node asks all nodes, itself included, and begins only if more than half have answered and all answers together leave it a
/// place.
/// <code>
/// ask (noted by each node before it answers) → more than half answered?  no: ask again
///                                            → a place left, if all others that hold or ask are counted (FleetLimits): tell that it is held, begin
///                                            → none: whoever goes before nobody that asks keeps its claim; the others take theirs back, wait, ask again
/// </code>
/// Two majorities share a node, which noted one claim before it answered the other: of any two that ask, at least one sees the other, and whoever sees too many does
/// not begin. Who only asks is forgotten after the lease; a holder stays in the journals of all that heard of it until it gives its place back, or somebody unlocks it.
/// </summary>
internal sealed class StaticFleetLock(
    PeerDirectory peers, FleetLockBook own, CircuitBreaker breaker, AgentClient agent, Admission admission, EvacuatorOptions options, BrainTimings timings, TimeProvider time) : IFleetLock
{
    private FleetLimits Limits => FleetLimits.Of(options, peers.Names.Count + 1);

    /// <inheritdoc/>
    public string? Problem => null;

    /// <inheritdoc/>
    public async Task<string?> AcquireAsync(EvacuationState evacuation, Action<Waiting?> say, CancellationToken token)
    {
        if (Limits.AreNone)
            return null;
        DateTimeOffset waitingSince = time.GetUtcNow();
        LockClaim mine = new(options.Node.Name, evacuation.Id, Held: false, evacuation.Trigger.Kind == TriggerKind.Signal ? 1 : 0, evacuation.Started, options.Node.Zone);
        try
        {
            while (true)
            {
                (IReadOnlyList<LockReply> replies, string[] silent) = await TellAsync(Request(mine, held: false), token).ConfigureAwait(false);
                List<LockClaim> others = [.. replies.SelectMany(reply => reply.Others).GroupBy(claim => claim.Node).Select(group => group.OrderByDescending(claim => claim.Held).First())];
                int votes = replies.Count(reply => reply.Ready);
                int needed = (peers.Names.Count + 1) / 2 + 1;
                string? why = votes < needed
                    ? $"{votes} of {peers.Names.Count + 1} nodes have answered, {needed} are needed{WhoDidNot(silent, replies.Count - votes)}"
                    : Limits.WhyNot(mine.AsAsk, await PictureAsync(others, token).ConfigureAwait(false), claims: true);
                if (why is null || evacuation.Trigger.Force)
                {
                    await TellAsync(Request(mine, held: true), token).ConfigureAwait(false);
                    say(null);
                    return why is null ? null : $"the fleet's lock was passed over (--force): {why}";
                }

                say(new Waiting($"the fleet's lock: {why}", waitingSince, null, votes >= needed
                    ? "this node is emptied"
                    : "this node is emptied when enough answer and it has a place: bring them back; a person can cancel this and use \"evacuator start --force\""));
                if (others.Any(claim => !claim.Held && claim.AsAsk.GoesBefore(mine.AsAsk)))
                    await ReleaseAsync(evacuation.Id, token).ConfigureAwait(false);
                await Task.Delay(timings.LockPoll, time, token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // Bounded by the time limit of each call; the peers would wait for the lease otherwise.
            await ReleaseAsync(evacuation.Id, CancellationToken.None).ConfigureAwait(false);
            throw;
        }
    }

    /// <inheritdoc/>
    public async Task KeepAsync(Func<SlotHolding> holds, CancellationToken token)
    {
        // Also without limits of its own: another node may have some.
        Guid? noted = own.Holders.FirstOrDefault(claim => claim.Node == options.Node.Name)?.EvacuationId;
        SlotHolding holding = holds();
        if (holding.Asking || Limits.AreNone)
            return;
        // A node that was off while another gave its place back has not heard of it.
        own.ForgetOpen(timings.LockLease, peers.Standings);
        if (noted is { } before && before != holding.Evacuation?.Id)
            await ReleaseAsync(before, token).ConfigureAwait(false);
        if (holding.Evacuation is { } evacuation)
            await TellAsync(new LockRequest(evacuation.Id, Held: true, 0, time.GetUtcNow(), options.Node.Zone), token).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public Task<string?> AskShareAsync(CancellationToken token) => breaker.AskAsync(token);

    /// <inheritdoc/>
    public void EndAsk() => breaker.Release();

    /// <inheritdoc/>
    public async Task<string?> UnlockAsync(string node, string by, CancellationToken token)
    {
        FleetPicture picture = await PictureAsync(own.Holders, token, withNodes: true).ConfigureAwait(false);
        if (picture.Slots.All(slot => slot.Node != node))
            return $"{node} holds no place of the fleet's lock, as far as this node has heard";
        if (node == options.Node.Name || picture.Nodes.Any(known => known.Name == node && known.Condition != NodeCondition.Silent))
            return $"{node} is up and says itself that it is out: \"evacuator reopen\" or \"evacuator cancel\" there gives the place back";
        own.Forget(node, null);
        string[] silent = [.. (await Task.WhenAll(peers.Names.Where(name => name != node).Select(async name =>
        {
            try
            {
                await peers.Find(name)!.UnlockAsync(node, token).ConfigureAwait(false);
                return null;
            }
            catch (PeerException)
            {
                return name;
            }
        })).ConfigureAwait(false)).OfType<string>()];
        return silent.Length == 0 ? null
            : $"done, but {string.Join(", ", silent)} could not be told and would name {node} as out when asked: repeat this when {(silent.Length == 1 ? "it answers" : "they answer")}";
    }

    /// <inheritdoc/>
    public async Task<FleetLockView> LookAsync(CancellationToken token) =>
        new("static", null, "", time.GetUtcNow(), await PictureAsync(own.Holders, token, withNodes: true).ConfigureAwait(false));

    private async Task<FleetPicture> PictureAsync(IReadOnlyList<LockClaim> claims, CancellationToken token, bool withNodes = false)
    {
        List<FleetNode> nodes = [];
        if (withNodes || Limits.MinHealthyPercent > 0)
        {
            nodes.Add(await OwnAsync(token).ConfigureAwait(false));
            nodes.AddRange((await peers.SurveyAsync(token).ConfigureAwait(false)).Select(NodeOf));
        }

        return new FleetPicture(nodes, [.. claims.Where(claim => claim.Held).Select(claim => claim.AsSlot)], [.. claims.Where(claim => !claim.Held).Select(claim => claim.AsAsk)]);
    }

    private async Task<FleetNode> OwnAsync(CancellationToken token)
    {
        HostReport? host = null;
        try
        {
            host = await agent.GetHostAsync(token).ConfigureAwait(false);
        }
        catch (AgentException)
        {
            // As it would be seen by others: up, and without its agent of no use to them.
        }

        return new FleetNode(options.Node.Name, options.Node.Zone, host?.MemoryTotal ?? 0, admission.Closed is null && host is not null ? NodeCondition.Open : NodeCondition.Closed);
    }

    private static FleetNode NodeOf(PeerView view) => new(view.Name, view.Zone, view.Host?.MemoryTotal ?? 0,
        view.Host is null ? NodeCondition.Silent : view.Excluded?.Code == BlockerCode.AdmissionClosed ? NodeCondition.Closed : NodeCondition.Open);

    private async Task ReleaseAsync(Guid evacuation, CancellationToken token)
    {
        own.Forget(options.Node.Name, evacuation);
        await Task.WhenAll(peers.Names.Select(async name =>
        {
            try
            {
                await peers.Find(name)!.ReleaseLockAsync(evacuation, token).ConfigureAwait(false);
            }
            catch (PeerException)
            {
                // It finds out by itself that this node is open again (FleetLockBook.ForgetOpen).
            }
        })).ConfigureAwait(false);
    }

    private static LockRequest Request(LockClaim claim, bool held) => new(claim.EvacuationId, held, claim.Urgency, claim.Since, claim.Zone);

    /// <param name="early">answered, and were started too short a time ago to know who is out</param>
    private static string WhoDidNot(string[] silent, int early) =>
        (silent.Length > 0 ? $"; silent: {FleetReckoning.Few([.. silent.Take(4)], silent.Length)}" : "") + (early > 0 ? $"; {early} of those that answer were started just now and do not count so far" : "");

    /// <summary>The answers of all that answered, one's own first; and who did not.</summary>
    private async Task<(IReadOnlyList<LockReply> Replies, string[] Silent)> TellAsync(LockRequest request, CancellationToken token)
    {
        LockReply self = own.Note(options.Node.Name, request);
        (string Name, LockReply? Reply)[] others = await Task.WhenAll(peers.Names.Select(async name =>
        {
            try
            {
                return (name, await peers.Find(name)!.ClaimLockAsync(request, token).ConfigureAwait(false));
            }
            catch (PeerException)
            {
                return (name, (LockReply?)null);
            }
        })).ConfigureAwait(false);
        return ([self, .. others.Select(other => other.Reply).OfType<LockReply>()], [.. others.Where(other => other.Reply is null).Select(other => other.Name).Order(StringComparer.Ordinal)]);
    }
}
