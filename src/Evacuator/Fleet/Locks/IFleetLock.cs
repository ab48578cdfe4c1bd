using Evacuator.Evacuation;
using Evacuator.Journal;

namespace Evacuator.Fleet.Locks;

/// <summary>How many nodes of the fleet may be emptied at once.</summary>
internal interface IFleetLock
{
    /// <summary>Returns when this node may be emptied. Says meanwhile what it waits for.</summary>
    Task AcquireAsync(EvacuationState evacuation, Action<Waiting?> say, CancellationToken token);

    /// <summary>Tells that it is still held; to be called every few seconds, also after a restart.</summary>
    Task RenewAsync(Guid evacuation, CancellationToken token);

    /// <summary>Gives it back. Whoever cannot be told learns it when the lease is over.</summary>
    Task ReleaseAsync(Guid evacuation, CancellationToken token);
}

/// <summary>A node asks for a place, or tells that it has one.</summary>
/// <param name="Held">false: it asks and will begin only if few enough others are named in the answers</param>
/// <param name="Urgency">higher goes first among those that ask at once: failing hardware before a plan of somebody</param>
/// <param name="Since">when it began to ask; earlier goes first</param>
internal sealed record LockRequest(Guid EvacuationId, bool Held, int Urgency, DateTimeOffset Since);

/// <param name="Ready">false: it has not been up long enough to have heard of every holder, its answer counts for nothing</param>
/// <param name="Others">all others that hold a place or ask for one, as far as it knows</param>
internal sealed record LockReply(bool Ready, IReadOnlyList<LockClaim> Others);

internal sealed record LockClaim(string Node, Guid EvacuationId, bool Held, int Urgency, DateTimeOffset Since)
{
    /// <summary>Of two that ask at once the same one goes first whoever compares them.</summary>
    public bool GoesBefore(LockClaim other) =>
        Urgency != other.Urgency ? Urgency > other.Urgency
        : Since != other.Since ? Since < other.Since
        : string.CompareOrdinal(Node, other.Node) < 0;
}
