using Evacuator.Fleet.Locks;

namespace Evacuator.Fleet.Etcd;

/// <summary>The fleet's store as this node uses it.</summary>
/// <param name="Node">this node</param>
/// <param name="Names">all nodes of the fleet, this one included: those that the peers file names now</param>
internal sealed record EtcdFleet(EtcdClient Client, EtcdSession Session, EtcdKeys Keys, string Node, Func<IReadOnlyCollection<string>> Names)
{
    /// <summary>All that decisions depend on, as of one revision.</summary>
    /// <exception cref="EtcdException">etcd does not answer</exception>
    public async Task<EtcdPicture> PictureAsync(CancellationToken token)
    {
        EtcdTxnResponse look = await Client.ReadAsync(
            [
                EtcdOperation.Range(EtcdKeys.All(Keys.Slots)),
                EtcdOperation.Range(new EtcdRangeRequest { Key = Keys.Guard }),
                EtcdOperation.Range(EtcdKeys.All(Keys.Asks)),
                EtcdOperation.Range(EtcdKeys.All(Keys.Hosts)),
                EtcdOperation.Range(EtcdKeys.All(Keys.Alive)),
            ], token).ConfigureAwait(false);
        IReadOnlyList<EtcdPair> slots = look.Range(0).Kvs;
        return new EtcdPicture(
            new FleetPicture(EtcdRecords.Nodes(Names(), look.Range(3).Kvs, look.Range(4).Kvs), EtcdRecords.Slots(slots), EtcdRecords.Asks(look.Range(2).Kvs)),
            look.Range(1).Kvs is [var guard] ? guard.ModRevision : 0,
            slots);
    }
}

/// <param name="Guard">revision of the guard, for the condition of a transaction; 0: there is none yet</param>
/// <param name="SlotPairs">the slots as they are kept</param>
internal sealed record EtcdPicture(FleetPicture Picture, long Guard, IReadOnlyList<EtcdPair> SlotPairs)
{
    /// <summary>Revision of a node's slot; 0: it has none.</summary>
    public long SlotRevision(string node) => SlotPairs.FirstOrDefault(pair => EtcdKeys.NameOf(pair) == node)?.ModRevision ?? 0;
}

internal static class EtcdTxnResponses
{
    /// <summary>The answer to the range at that place in the branch that was taken.</summary>
    /// <exception cref="EtcdException">there is none</exception>
    public static EtcdRangeResponse Range(this EtcdTxnResponse response, int index) =>
        index < response.Responses.Count && response.Responses[index].ResponseRange is { } range ? range : throw new EtcdException($"etcd left out answer {index} of a transaction", certain: false);
}
