using Evacuator.Evacuation;

namespace Evacuator.Fleet.Locks;

/// <summary>
/// What this node has heard of who is being emptied. Only in memory and only for the time of the lease: holders tell it again every few seconds. Just
/// after its start it does not know them yet, and says so.
/// </summary>
internal sealed class FleetLockBook(BrainTimings timings, TimeProvider time)
{
    /// <summary>More than any fleet has nodes that ask at once; a peer's claims cost no more than one entry a node.</summary>
    private const int Most = 10_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Entry> _claims = [];
    private readonly long _started = time.GetTimestamp();

    /// <summary>Notes a claim and tells the others. One node has one claim.</summary>
    public LockReply Note(string node, LockRequest request)
    {
        lock (_lock)
        {
            foreach ((string name, Entry entry) in _claims.Where(pair => time.GetElapsedTime(pair.Value.Heard) > timings.LockLease).ToList())
                _claims.Remove(name);
            bool ready = time.GetElapsedTime(_started) > timings.LockPoll * 3;
            LockReply reply = new(ready, [.. _claims.Where(pair => pair.Key != node).Select(pair => pair.Value.Claim).OrderBy(claim => claim.Node, StringComparer.Ordinal)]);
            if (_claims.Count < Most || _claims.ContainsKey(node))
                _claims[node] = new Entry(new LockClaim(node, request.EvacuationId, request.Held, request.Urgency, request.Since), time.GetTimestamp());
            return reply;
        }
    }

    public void Forget(string node, Guid evacuation)
    {
        lock (_lock)
        {
            if (_claims.TryGetValue(node, out Entry? entry) && entry.Claim.EvacuationId == evacuation)
                _claims.Remove(node);
        }
    }

    private sealed record Entry(LockClaim Claim, long Heard);
}
