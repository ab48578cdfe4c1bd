using System.Text.Json.Serialization;
using Evacuator.Common.AgentApi;

namespace Evacuator.Fleet.Locks;

/// <summary>How a node stands, as far as the fleet knows.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<NodeCondition>))]
internal enum NodeCondition
{
    /// <summary>It is up and takes containers.</summary>
    Open = 0,

    /// <summary>It is up and takes nothing: being emptied, emptied and not opened again, or without its agent.</summary>
    Closed = 1,

    /// <summary>Nothing is heard of it: it is off, or cut off with its containers.</summary>
    Silent = 2,
}

/// <param name="Memory">bytes in all; 0: never heard of it, it is taken for an average node</param>
internal sealed record FleetNode(string Name, string Zone, long Memory, NodeCondition Condition);

/// <summary>A node that is out, from the moment at which it may be emptied until it is opened again.</summary>
/// <param name="Reason">why it is emptied</param>
/// <param name="By">who wanted it</param>
/// <param name="Forced">it was taken although there was no place</param>
internal sealed record FleetSlot(string Node, Guid EvacuationId, string Zone, DateTimeOffset Since, string Reason, string By, bool Forced);

/// <summary>A node that would be emptied and has no place yet.</summary>
/// <param name="Urgency">higher goes first: failing hardware before a plan of somebody</param>
/// <param name="Since">when it began to ask; earlier goes first</param>
/// <param name="Automatic">nobody asked for it: the fleet's share holds for it as well</param>
internal sealed record FleetAsk(string Node, Guid EvacuationId, string Zone, int Urgency, DateTimeOffset Since, bool Automatic)
{
    /// <summary>Of two that ask at once the same one goes first whoever compares them.</summary>
    public bool GoesBefore(FleetAsk other) =>
        Urgency != other.Urgency ? Urgency > other.Urgency
        : Since != other.Since ? Since < other.Since
        : string.CompareOrdinal(Node, other.Node) < 0;
}

/// <summary>Everything that the decision depends on.</summary>
/// <param name="Nodes">of the fleet, the one that asks included</param>
internal sealed record FleetPicture(IReadOnlyList<FleetNode> Nodes, IReadOnlyList<FleetSlot> Slots, IReadOnlyList<FleetAsk> Asks);
