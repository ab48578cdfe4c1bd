using System.Globalization;
using System.Text;
using Evacuator.Fleet.Locks;

namespace Evacuator.Fleet.Etcd;

/// <summary>Where everything is. Values are JSON, see <see cref="EtcdRecords"/>; docs/formats.md lists the keys.</summary>
/// <remarks>
/// <code>
/// PREFIX/hosts/NODE              what the node is; stays
/// PREFIX/alive/NODE              how it is; hangs on the node's lease
/// PREFIX/slots/NODE              it is out; stays until it is opened again or somebody unlocks it
/// PREFIX/guard                   changed with every slot that is taken: the condition of the next one's transaction
/// PREFIX/asks/U-SINCE-NODE       it waits for a slot, the most urgent first in the order of keys; hangs on the node's lease
/// PREFIX/reservations/NODE/MOVE  room held at that node; hangs on its lease
/// PREFIX/plans/NODE              what that node is about to send where; hangs on its lease
/// PREFIX/containers/NAME         the node that it runs on; stays until the container is gone
/// PREFIX/owned/NODE/NAME         the same, to be found by node
/// </code>
/// </remarks>
internal sealed class EtcdKeys(string prefix)
{
    public string Hosts { get; } = $"{prefix}/hosts/";

    public string Alive { get; } = $"{prefix}/alive/";

    public string Slots { get; } = $"{prefix}/slots/";

    public string Asks { get; } = $"{prefix}/asks/";

    public string Reservations { get; } = $"{prefix}/reservations/";

    public string Plans { get; } = $"{prefix}/plans/";

    public string Containers { get; } = $"{prefix}/containers/";

    public byte[] Guard { get; } = Bytes($"{prefix}/guard");

    /// <summary>What that node runs.</summary>
    public string Owned(string node) => $"{prefix}/owned/{node}/";

    public byte[] Owned(string node, string container) => Bytes(Owned(node) + Uri.EscapeDataString(container));

    public byte[] Host(string node) => Bytes(Hosts + node);

    public byte[] IsAlive(string node) => Bytes(Alive + node);

    public byte[] Slot(string node) => Bytes(Slots + node);

    public byte[] Ask(FleetAsk ask) =>
        Bytes(string.Create(CultureInfo.InvariantCulture, $"{Asks}{9 - Math.Clamp(ask.Urgency, 0, 9)}-{ask.Since.UtcTicks:D19}-{ask.Node}"));

    public byte[] Reservation(string node, Guid move) => Bytes($"{Reservations}{node}/{move:D}");

    public byte[] Plan(string node) => Bytes(Plans + node);

    /// <summary>Runc permits few characters in a name; any other is escaped, so that no name reaches outside of its key.</summary>
    public byte[] Container(string name) => Bytes(Containers + Uri.EscapeDataString(name));

    /// <summary>The last part of a key.</summary>
    public static string NameOf(EtcdPair pair)
    {
        string key = Encoding.UTF8.GetString(pair.Key);
        return key[(key.LastIndexOf('/') + 1)..];
    }

    public static EtcdRangeRequest All(string prefix, int limit = 0) => new() { Key = Bytes(prefix), RangeEnd = EtcdClient.EndOf(Bytes(prefix)), Limit = limit };

    public static byte[] Bytes(string key) => Encoding.UTF8.GetBytes(key);
}
