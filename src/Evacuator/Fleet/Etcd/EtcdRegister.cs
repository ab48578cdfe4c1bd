using System.Text;
using System.Threading.Channels;

namespace Evacuator.Fleet.Etcd;

/// <summary>The fleet's register in etcd. What this node tells is written by <see cref="EtcdRegisterLoop"/>.</summary>
internal sealed class EtcdRegister(EtcdFleet fleet) : IFleetRegister
{
    /// <summary>etcd takes no more operations than 128 in a transaction.</summary>
    private const int NamesAtOnce = 100;

    // One ring that was not heard yet says as much as several.
    private readonly Channel<bool> _bell = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });
    private volatile IReadOnlyList<string> _duplicates = [];

    /// <inheritdoc/>
    public IReadOnlyList<string> Duplicates
    {
        get => _duplicates;
        set => _duplicates = value;
    }

    /// <summary>Completes when somebody has rung.</summary>
    public ChannelReader<bool> Rung => _bell.Reader;

    /// <inheritdoc/>
    public async Task<FleetClaims> LookAsync(IReadOnlyCollection<string> containers, CancellationToken token)
    {
        try
        {
            List<PlanShare> pending = [.. (await fleet.Client.RangeAllAsync(fleet.Keys.Plans, token).ConfigureAwait(false)).Pairs
                .Select(EtcdRecords.Read<PlanRecord>).OfType<PlanRecord>().Where(plan => plan.Source != fleet.Node).SelectMany(plan => plan.Shares)];
            Dictionary<string, string> others = [];
            foreach ((string name, EtcdPair pair) in await OwnersAsync(containers, token).ConfigureAwait(false))
            {
                if (EtcdRecords.Read<OwnerRecord>(pair) is { } owner && owner.Node != fleet.Node)
                    others[name] = owner.Node;
            }

            HashSet<string> alive = await AliveAsync(others.Values, token).ConfigureAwait(false);
            return new FleetClaims(pending, others.Where(pair => alive.Contains(pair.Value)).ToDictionary());
        }
        catch (EtcdException)
        {
            return FleetClaims.None;
        }
    }

    /// <inheritdoc/>
    public async Task<IReadOnlyList<ReservationRecord>> ReservationsAsync(CancellationToken token)
    {
        try
        {
            return [.. (await fleet.Client.RangeAllAsync(fleet.Keys.Reservations, token).ConfigureAwait(false)).Pairs.Select(EtcdRecords.Read<ReservationRecord>).OfType<ReservationRecord>()];
        }
        catch (EtcdException)
        {
            return [];
        }
    }

    /// <inheritdoc/>
    public void Ring() => _bell.Writer.TryWrite(true);

    /// <summary>The keys of those names that have one.</summary>
    /// <exception cref="EtcdException">etcd does not answer</exception>
    public async Task<IReadOnlyDictionary<string, EtcdPair>> OwnersAsync(IReadOnlyCollection<string> names, CancellationToken token)
    {
        Dictionary<string, EtcdPair> found = [];
        foreach (string[] some in names.Distinct().Chunk(NamesAtOnce))
        {
            EtcdTxnResponse look = await fleet.Client.ReadAsync([.. some.Select(name => EtcdOperation.Range(new EtcdRangeRequest { Key = fleet.Keys.Container(name) }))], token).ConfigureAwait(false);
            for (int i = 0; i < some.Length; i++)
            {
                if (look.Range(i).Kvs is [var pair])
                    found[some[i]] = pair;
            }
        }

        return found;
    }

    /// <summary>Names that this node has keys for.</summary>
    /// <exception cref="EtcdException">etcd does not answer</exception>
    public async Task<IReadOnlyList<string>> OwnedAsync(CancellationToken token)
    {
        string prefix = fleet.Keys.Owned(fleet.Node);
        return [.. (await fleet.Client.RangeAllAsync(prefix, token).ConfigureAwait(false)).Pairs.Select(pair => Uri.UnescapeDataString(Encoding.UTF8.GetString(pair.Key)[prefix.Length..]))];
    }

    /// <summary>The name is this node's from now on. False if it was not as it was seen.</summary>
    /// <param name="seen">null: nobody's</param>
    /// <exception cref="EtcdException">etcd does not answer</exception>
    public async Task<bool> ClaimAsync(string name, EtcdPair? seen, DateTimeOffset now, CancellationToken token)
    {
        byte[] key = fleet.Keys.Container(name);
        List<EtcdOperation> changes = [EtcdOperation.Put(key, EtcdRecords.Write(new OwnerRecord(fleet.Node, now))), EtcdOperation.Put(fleet.Keys.Owned(fleet.Node, name), [])];
        if (seen is not null && EtcdRecords.Read<OwnerRecord>(seen) is { } before && before.Node != fleet.Node)
            changes.Add(EtcdOperation.Delete(fleet.Keys.Owned(before.Node, name)));
        return (await fleet.Client.TxnAsync(new EtcdTxnRequest { Compare = [EtcdCompare.Unchanged(key, seen?.ModRevision ?? 0)], Success = changes }, token).ConfigureAwait(false)).Succeeded;
    }

    /// <summary>The container is not here any more; the name is free unless it is another node's by now.</summary>
    /// <exception cref="EtcdException">etcd does not answer</exception>
    public async Task ReleaseAsync(string name, EtcdPair? seen, CancellationToken token)
    {
        EtcdOperation forget = EtcdOperation.Delete(fleet.Keys.Owned(fleet.Node, name));
        bool ours = seen is not null && EtcdRecords.Read<OwnerRecord>(seen)?.Node == fleet.Node;
        await fleet.Client.TxnAsync(new EtcdTxnRequest
        {
            Compare = [EtcdCompare.Unchanged(fleet.Keys.Container(name), seen?.ModRevision ?? 0)],
            Success = ours ? [EtcdOperation.Delete(fleet.Keys.Container(name)), forget] : [forget],
        }, token).ConfigureAwait(false);
    }

    private async Task<HashSet<string>> AliveAsync(IEnumerable<string> nodes, CancellationToken token)
    {
        HashSet<string> alive = [];
        foreach (string[] some in nodes.Distinct().Chunk(NamesAtOnce))
        {
            EtcdTxnResponse look = await fleet.Client.ReadAsync([.. some.Select(node => EtcdOperation.Range(new EtcdRangeRequest { Key = fleet.Keys.IsAlive(node), CountOnly = true }))], token).ConfigureAwait(false);
            for (int i = 0; i < some.Length; i++)
            {
                if (look.Range(i).Count > 0)
                    alive.Add(some[i]);
            }
        }

        return alive;
    }
}
