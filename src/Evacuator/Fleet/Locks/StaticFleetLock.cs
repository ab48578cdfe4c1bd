using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Journal;

namespace Evacuator.Fleet.Locks;

/// <summary>
/// The lock of a fleet that has no store in common: a node asks all nodes, itself included, and begins only if more than half have answered and all answers together name
/// fewer others than the limit.
/// <code>
/// ask (noted by each node before it answers) → more than half answered?  no: ask again
///                                            → others, holding or asking, fewer than the limit: tell that it is held, begin
///                                            → too many: whoever goes before nobody that asks keeps its claim; the others take theirs back, wait, ask again
/// </code>
/// Two majorities share a node, which noted one claim before it answered the other: of any two that ask, at least one sees the other, and whoever sees too many does
/// not begin. Claims of a node that died are forgotten after the lease.
/// </summary>
internal sealed class StaticFleetLock(PeerDirectory peers, FleetLockBook own, EvacuatorOptions options, BrainTimings timings, TimeProvider time) : IFleetLock
{
    private int Limit => options.Fleet.MaxEmptied;

    public async Task AcquireAsync(EvacuationState evacuation, Action<Waiting?> say, CancellationToken token)
    {
        if (Limit == 0)
            return;
        DateTimeOffset waitingSince = time.GetUtcNow();
        LockClaim mine = new(options.Node.Name, evacuation.Id, Held: false, evacuation.Trigger.Kind == TriggerKind.Signal ? 1 : 0, evacuation.Started);
        try
        {
            while (true)
            {
                IReadOnlyList<LockReply> replies = await TellAsync(Request(mine, held: false), token).ConfigureAwait(false);
                List<LockClaim> others = [.. replies.SelectMany(reply => reply.Others).GroupBy(claim => claim.Node).Select(group => group.OrderByDescending(claim => claim.Held).First())];
                int votes = replies.Count(reply => reply.Ready);
                int needed = (peers.Names.Count + 1) / 2 + 1;
                if (votes >= needed && others.Count < Limit)
                {
                    await TellAsync(Request(mine, held: true), token).ConfigureAwait(false);
                    say(null);
                    return;
                }

                say(votes < needed
                    ? new Waiting($"the fleet's lock: {votes} of {peers.Names.Count + 1} nodes have answered, {needed} are needed", waitingSince, null, "this node is emptied")
                    : new Waiting($"the fleet's lock: {string.Join(", ", others.Select(claim => $"{claim.Node} {(claim.Held ? "is being emptied" : "asks as well")}"))}, and at most {Limit} may be at once ([fleet] max-emptied)",
                        waitingSince, null, "this node is emptied"));
                if (others.Any(claim => !claim.Held && claim.GoesBefore(mine)))
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

    public Task RenewAsync(Guid evacuation, CancellationToken token) =>
        Limit == 0 ? Task.CompletedTask : TellAsync(new LockRequest(evacuation, Held: true, 0, time.GetUtcNow()), token);

    public async Task ReleaseAsync(Guid evacuation, CancellationToken token)
    {
        if (Limit == 0)
            return;
        own.Forget(options.Node.Name, evacuation);
        await Task.WhenAll(peers.Names.Select(async name =>
        {
            try
            {
                await peers.Find(name)!.ReleaseLockAsync(evacuation, token).ConfigureAwait(false);
            }
            catch (PeerException)
            {
                // Its lease ends.
            }
        })).ConfigureAwait(false);
    }

    private static LockRequest Request(LockClaim claim, bool held) => new(claim.EvacuationId, held, claim.Urgency, claim.Since);

    /// <summary>The answers of all that answered, one's own first.</summary>
    private async Task<IReadOnlyList<LockReply>> TellAsync(LockRequest request, CancellationToken token)
    {
        LockReply self = own.Note(options.Node.Name, request);
        LockReply?[] others = await Task.WhenAll(peers.Names.Select(async name =>
        {
            try
            {
                return await peers.Find(name)!.ClaimLockAsync(request, token).ConfigureAwait(false);
            }
            catch (PeerException)
            {
                return null;
            }
        })).ConfigureAwait(false);
        return [self, .. others.OfType<LockReply>()];
    }
}
