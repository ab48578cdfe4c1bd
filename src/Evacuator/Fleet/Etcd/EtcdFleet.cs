using Evacuator.Fleet.Locks;

namespace Evacuator.Fleet.Etcd;

/// <summary>The fleet's store as this node uses it.</summary>
/// <param name="Node">this node</param>
/// <param name="Names">all nodes of the fleet, this one included: those that the peers file names now</param>
internal sealed record EtcdFleet(EtcdClient Client, EtcdSession Session, EtcdKeys Keys, string Node, Func<IReadOnlyCollection<string>> Names)
{
    // A key that names another node than its value is not believed.
    private readonly EtcdMirror<HostRecord> _hosts = new(Keys.Hosts, pair => EtcdRecords.Read<HostRecord>(pair) is { } host && host.Node == EtcdKeys.NameOf(pair) ? host : null, Client.Time);
    private readonly EtcdMirror<AliveRecord> _alive = new(Keys.Alive, pair => EtcdRecords.Read<AliveRecord>(pair) is { } alive && alive.Node == EtcdKeys.NameOf(pair) ? alive : null, Client.Time);

    /// <summary>All that decisions depend on, as of one revision.</summary>
    /// <param name="asksBefore">key of an ask: only those that go before it; null: all</param>
    /// <exception cref="EtcdException">etcd does not answer</exception>
    public async Task<EtcdPicture> PictureAsync(byte[]? asksBefore, CancellationToken token)
    {
        EtcdMirror<HostRecord>.Known? hosts = _hosts.Base;
        EtcdMirror<AliveRecord>.Known? alive = _alive.Base;
        while (true)
        {
            EtcdTxnResponse look = await Client.ReadAsync([.. PlacesQuestions(asksBefore), _hosts.Question(hosts), _alive.Question(alive)], token).ConfigureAwait(false);
            EtcdPlaces places = PlacesOf(look);
            IReadOnlyCollection<HostRecord>? known = _hosts.Take(hosts, look.Header, look.Range(3));
            IReadOnlyCollection<AliveRecord>? up = _alive.Take(alive, look.Header, look.Range(4));
            if (known is not null && up is not null)
                return new EtcdPicture(new FleetPicture(EtcdRecords.Nodes(Names(), known, up), places.Slots, places.Asks), places);
            if (hosts is null && alive is null)
                throw new EtcdException("etcd's answer does not have as many keys as it says", certain: false);
            (hosts, alive) = (null, null);
        }
    }

    /// <summary>What every node is.</summary>
    /// <exception cref="EtcdException">etcd does not answer</exception>
    public async Task<IReadOnlyCollection<HostRecord>> HostsAsync(CancellationToken token)
    {
        EtcdMirror<HostRecord>.Known? hosts = _hosts.Base;
        while (true)
        {
            EtcdTxnResponse look = await Client.ReadAsync([_hosts.Question(hosts)], token).ConfigureAwait(false);
            if (_hosts.Take(hosts, look.Header, look.Range(0)) is { } known)
                return known;
            if (hosts is null)
                throw new EtcdException("etcd's answer does not have as many keys as it says", certain: false);
            hosts = null;
        }
    }

    /// <summary>Who is out and who would be; answered in this order, see <see cref="PlacesOf"/>.</summary>
    public EtcdOperation[] PlacesQuestions(byte[]? asksBefore) =>
    [
        EtcdOperation.Range(EtcdKeys.All(Keys.Slots)),
        EtcdOperation.Range(new EtcdRangeRequest { Key = Keys.Guard }),
        EtcdOperation.Range(asksBefore is null ? EtcdKeys.All(Keys.Asks) : new EtcdRangeRequest { Key = EtcdKeys.Bytes(Keys.Asks), RangeEnd = asksBefore }),
    ];

    public static EtcdPlaces PlacesOf(EtcdTxnResponse look) =>
        new(look.Range(1).Kvs is [var guard] ? guard.ModRevision : 0, look.Range(0).Kvs, EtcdRecords.Slots(look.Range(0).Kvs), EtcdRecords.Asks(look.Range(2).Kvs));
}

/// <param name="Guard">revision of the guard, for the condition of a transaction; 0: there is none yet</param>
/// <param name="SlotPairs">the slots as they are kept</param>
internal sealed record EtcdPlaces(long Guard, IReadOnlyList<EtcdPair> SlotPairs, IReadOnlyList<FleetSlot> Slots, IReadOnlyList<FleetAsk> Asks)
{
    /// <summary>Revision of a node's slot; 0: it has none.</summary>
    public long SlotRevision(string node) => SlotPairs.FirstOrDefault(pair => EtcdKeys.NameOf(pair) == node)?.ModRevision ?? 0;
}

internal sealed record EtcdPicture(FleetPicture Picture, EtcdPlaces Places)
{
    /// <summary>The same nodes, with what became of the places since.</summary>
    public EtcdPicture With(EtcdPlaces places) => new(Picture with { Slots = places.Slots, Asks = places.Asks }, places);
}

internal static class EtcdTxnResponses
{
    /// <summary>The answer to the range at that place in the branch that was taken.</summary>
    /// <exception cref="EtcdException">there is none</exception>
    public static EtcdRangeResponse Range(this EtcdTxnResponse response, int index) =>
        index < response.Responses.Count && response.Responses[index].ResponseRange is { } range ? range : throw new EtcdException($"etcd left out answer {index} of a transaction", certain: false);
}
