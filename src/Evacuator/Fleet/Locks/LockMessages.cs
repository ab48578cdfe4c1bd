namespace Evacuator.Fleet.Locks;

/// <summary>A node asks the others of a fleet without a store for a place, or tells that it has one.</summary>
/// <param name="Held">false: it asks and will begin only if few enough others are named in the answers</param>
/// <param name="Urgency">higher goes first among those that ask at once: failing hardware before a plan of somebody</param>
/// <param name="Since">when it began to ask; earlier goes first</param>
/// <param name="Zone">that it stands in; empty: not told</param>
internal sealed record LockRequest(Guid EvacuationId, bool Held, int Urgency, DateTimeOffset Since, string Zone = "");

/// <param name="Ready">false: it has not been up long enough to have heard of every holder, its answer counts for nothing</param>
/// <param name="Others">all others that hold a place or ask for one, as far as it knows</param>
internal sealed record LockReply(bool Ready, IReadOnlyList<LockClaim> Others);

internal sealed record LockClaim(string Node, Guid EvacuationId, bool Held, int Urgency, DateTimeOffset Since, string Zone = "")
{
    public FleetAsk AsAsk => new(Node, EvacuationId, Zone, Urgency, Since, Automatic: false);

    public FleetSlot AsSlot => new(Node, EvacuationId, Zone, Since, "", "", Forced: false);
}
