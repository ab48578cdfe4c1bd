using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Journal;

namespace Evacuator.Fleet.Locks;

/// <summary>
/// What this node has heard of who is out or wants to be. Who asks is forgotten after the lease. Who holds a place is not: a host that is off stays out until it
/// says otherwise or somebody unlocks it; so holders are in the journal.
/// </summary>
internal sealed class FleetLockBook
{
    /// <summary>More than any fleet has nodes; a peer's claims cost no more than one entry a node.</summary>
    private const int Most = 10_000;

    private const string Fact = "fleet-lock";

    private readonly JournalStore _journal;
    private readonly BrainTimings _timings;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Entry> _claims = [];
    private readonly long _started;

    public FleetLockBook(JournalStore journal, BrainTimings timings, TimeProvider time)
    {
        (_journal, _timings, _time) = (journal, timings, time);
        _started = time.GetTimestamp();
        foreach (LockClaim claim in journal.Fact(Fact) is { } text ? JsonSerializer.Deserialize<List<LockClaim>>(text, ApiJson.Options) ?? [] : [])
            _claims[claim.Node] = new Entry(claim, _started);
    }

    /// <summary>Those that hold a place, in the order of names.</summary>
    public IReadOnlyList<LockClaim> Holders
    {
        get
        {
            lock (_lock)
                return [.. _claims.Values.Select(entry => entry.Claim).Where(claim => claim.Held).OrderBy(claim => claim.Node, StringComparer.Ordinal)];
        }
    }

    /// <summary>Notes a claim and tells the others. One node has one claim.</summary>
    public LockReply Note(string node, LockRequest request)
    {
        lock (_lock)
        {
            foreach ((string name, Entry _) in _claims.Where(pair => !pair.Value.Claim.Held && _time.GetElapsedTime(pair.Value.Heard) > _timings.LockLease).ToList())
                _claims.Remove(name);
            bool ready = _time.GetElapsedTime(_started) > _timings.LockPoll * 3;
            LockReply reply = new(ready, [.. _claims.Where(pair => pair.Key != node).Select(pair => pair.Value.Claim).OrderBy(claim => claim.Node, StringComparer.Ordinal)]);
            if (_claims.Count < Most || _claims.ContainsKey(node))
            {
                LockClaim? before = _claims.GetValueOrDefault(node)?.Claim;
                // Since it began, also when it is only told again.
                DateTimeOffset since = before is { Held: true } held && request.Held && held.EvacuationId == request.EvacuationId ? held.Since : request.Since;
                LockClaim claim = new(node, request.EvacuationId, request.Held, request.Urgency, since, request.Zone);
                _claims[node] = new Entry(claim, _time.GetTimestamp());
                if (before is { Held: true } != claim.Held || before?.EvacuationId != claim.EvacuationId)
                    Keep_NeedsLock();
            }

            return reply;
        }
    }

    /// <param name="evacuation">null: whatever it is</param>
    public void Forget(string node, Guid? evacuation)
    {
        lock (_lock)
        {
            if (!_claims.TryGetValue(node, out Entry? entry) || evacuation is { } id && entry.Claim.EvacuationId != id)
                return;
            _claims.Remove(node);
            if (entry.Claim.Held)
                Keep_NeedsLock();
        }
    }

    /// <summary>Forgets holders that have not repeated their claim for this long and are seen to be open: they have given it back, and it was not heard here.</summary>
    public void ForgetOpen(TimeSpan silence, IReadOnlyList<PeerStanding> standings)
    {
        lock (_lock)
        {
            HashSet<string> open = [.. standings.Where(standing => standing is { Reachable: true, Closed: false }).Select(standing => standing.Name)];
            List<string> over = [.. _claims.Where(pair => pair.Value.Claim.Held && open.Contains(pair.Key) && _time.GetElapsedTime(pair.Value.Heard) > silence).Select(pair => pair.Key)];
            foreach (string name in over)
                _claims.Remove(name);
            if (over.Count > 0)
                Keep_NeedsLock();
        }
    }

    private void Keep_NeedsLock()
    {
        List<LockClaim> held = [.. _claims.Values.Select(entry => entry.Claim).Where(claim => claim.Held)];
        _journal.SetFact(Fact, held.Count == 0 ? null : JsonSerializer.Serialize(held, ApiJson.Options));
    }

    private sealed record Entry(LockClaim Claim, long Heard);
}
