using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;
using Evacuator.Fleet.Locks;

namespace Evacuator.Fleet.Etcd;

/// <summary>What a node is.</summary>
/// <param name="Memory">bytes in all</param>
/// <param name="Written">when it changed last</param>
internal sealed record HostRecord(string Node, string Address, string Zone, string Rack, long Memory, int Cpus, DateTimeOffset Written);

/// <summary>How a node is.</summary>
/// <param name="Protocol">between brains</param>
/// <param name="Closed">why it takes no containers; null when it does</param>
/// <param name="Since">its service has been up since</param>
internal sealed record AliveRecord(string Node, string Version, int Protocol, string? Closed, string? Degraded, long MemoryAvailable, int Containers, DateTimeOffset Since);

/// <summary>Room that is held at a node for a container on its way.</summary>
internal sealed record ReservationRecord(Guid MoveId, string Container, string Source, string Destination, long Memory, DateTimeOffset Since);

/// <summary>What a node is about to send: not reserved so far.</summary>
internal sealed record PlanRecord(string Source, Guid EvacuationId, IReadOnlyList<PlanShare> Shares);

/// <param name="Memory">bytes of all containers that are to go there and have no reservation so far</param>
internal sealed record PlanShare(string Destination, long Memory, long Disk, int Containers);

/// <summary>Where a container runs.</summary>
internal sealed record OwnerRecord(string Node, DateTimeOffset Since);

/// <summary>Reads and writes the values. What is not what it should be counts as not there: one broken key must not keep the fleet from working.</summary>
internal static class EtcdRecords
{
    /// <summary>No honest value is longer.</summary>
    private const int MaxBytes = 256 << 10;

    public static byte[] Write<T>(T record) => JsonSerializer.SerializeToUtf8Bytes(record, ApiJson.Options);

    public static T? Read<T>(EtcdPair pair)
        where T : class
    {
        if (pair.Value.Length is 0 or > MaxBytes)
            return null;
        try
        {
            return JsonSerializer.Deserialize<T>(pair.Value, ApiJson.Options);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>Slots whose key and value name the same node.</summary>
    public static List<FleetSlot> Slots(IEnumerable<EtcdPair> pairs) =>
        [.. pairs.Select(pair => (Name: EtcdKeys.NameOf(pair), Slot: Read<FleetSlot>(pair))).Select(entry =>
            // A slot that cannot be read is still a slot: the limit must hold.
            entry.Slot is { } slot && slot.Node == entry.Name ? slot : new FleetSlot(entry.Name, Guid.Empty, "", DateTimeOffset.UnixEpoch, "not readable", "", Forced: false))];

    public static List<FleetAsk> Asks(IEnumerable<EtcdPair> pairs) => [.. pairs.Select(Read<FleetAsk>).OfType<FleetAsk>().Where(ask => NodeName.IsValid(ask.Node))];

    /// <summary>The nodes that the peers file names; others do not count.</summary>
    public static List<FleetNode> Nodes(IReadOnlyCollection<string> names, IEnumerable<HostRecord> hosts, IEnumerable<AliveRecord> alive)
    {
        Dictionary<string, HostRecord> known = [];
        foreach (HostRecord host in hosts)
            known[host.Node] = host;
        Dictionary<string, AliveRecord> up = [];
        foreach (AliveRecord record in alive)
            up[record.Node] = record;
        return [.. names.Order(StringComparer.Ordinal).Select(name =>
        {
            HostRecord? host = known.GetValueOrDefault(name);
            NodeCondition condition = up.GetValueOrDefault(name) is not { } record ? NodeCondition.Silent : record.Closed is null ? NodeCondition.Open : NodeCondition.Closed;
            return new FleetNode(name, host?.Zone ?? "", Math.Max(0, host?.Memory ?? 0), condition);
        })];
    }
}
