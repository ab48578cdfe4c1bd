using System.Collections.Frozen;
using System.Collections.Immutable;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;
using Evacuator.Fleet.Membership;
using Evacuator.Health;
using Evacuator.Placement;

namespace Evacuator.Fleet;

/// <summary>How a peer was found last.</summary>
/// <param name="Usable">it could take containers</param>
/// <param name="Why">why not; empty when usable</param>
/// <param name="Since">of this kind of answer</param>
/// <param name="Closed">it says that it takes no containers</param>
/// <param name="FleetNumber">of the list of nodes that it has; null: it has none that is signed, or its release knows none</param>
/// <param name="Trust">whom it trusts and who issued its certificates; null: it does not answer, or its release does not tell</param>
internal sealed record PeerStanding(
    string Name, string Address, bool Reachable, bool Usable, string Why, DateTimeOffset Since, DateTimeOffset AskedAt, long MemoryAvailable, string? Version, bool Closed = false, long? FleetNumber = null,
    NodeTrust? Trust = null);

/// <summary>The other nodes of the fleet: one client each, and how each was found last.</summary>
internal sealed class PeerDirectory : IDisposable
{
    private readonly Func<Peer, PeerClient>? _connect;
    private readonly Lock _changing = new();
    // Out of the fleet, or at another address since. Whoever still holds one gets an answer that is an error, not a disposed object.
    private readonly List<PeerClient> _retired = [];
    private volatile ImmutableSortedDictionary<string, PeerClient> _clients;
    private readonly TimeProvider _time;
    private readonly TimeSpan _avoidWindow;
    private ImmutableDictionary<string, PeerStanding> _standings = ImmutableDictionary<string, PeerStanding>.Empty;

    /// <param name="clients">owned from now on; without this node</param>
    /// <param name="avoidWindow">a peer whose next window begins within this time gets nothing</param>
    /// <param name="connect">makes a client for a node that comes into the fleet later; null where that does not happen</param>
    public PeerDirectory(IEnumerable<PeerClient> clients, TimeProvider time, TimeSpan avoidWindow, Func<Peer, PeerClient>? connect = null)
    {
        _connect = connect;
        _avoidWindow = avoidWindow;
        _clients = clients.ToImmutableSortedDictionary(client => client.Peer.Name, client => client, StringComparer.Ordinal);
        _time = time;
    }

    public IReadOnlyCollection<string> Names => [.. _clients.Keys];

    /// <summary>In the order of names; peers never asked so far are left out.</summary>
    public IReadOnlyList<PeerStanding> Standings => [.. _standings.Values.OrderBy(standing => standing.Name, StringComparer.Ordinal)];

    public PeerClient? Find(string name) => _clients.GetValueOrDefault(name);

    /// <summary>The peer is asked at another address from now on. The one before; null if nothing changes, or it is no peer.</summary>
    public string? Move(string name, string address)
    {
        if (Find(name) is not { } client || client.Peer.Address == address)
            return null;
        string before = client.Peer.Address;
        client.MoveTo(address);
        return before;
    }

    /// <summary>From now on these are the other nodes.</summary>
    public void Update(IReadOnlyList<Peer> peers)
    {
        if (_connect is null)
            throw new InvalidOperationException("this directory was made for the nodes that it has");
        lock (_changing)
        {
            ImmutableSortedDictionary<string, PeerClient>.Builder next = ImmutableSortedDictionary.CreateBuilder<string, PeerClient>(StringComparer.Ordinal);
            foreach (Peer peer in peers)
                next[peer.Name] = _clients.GetValueOrDefault(peer.Name) is { } present && present.Peer == peer ? present : _connect(peer);
            _retired.AddRange(_clients.Values.Where(client => next.GetValueOrDefault(client.Peer.Name) != client));
            _clients = next.ToImmutable();
        }

        ImmutableInterlocked.Update(ref _standings, standings => standings.RemoveRange(standings.Keys.Except(peers.Select(peer => peer.Name))));
    }

    /// <summary>Asks all peers at once. A peer that does not answer costs its time limit and nothing else.</summary>
    public async Task<IReadOnlyList<PeerView>> SurveyAsync(CancellationToken token) =>
        await Task.WhenAll(_clients.Values.Select(client => AskAsync(client, token))).ConfigureAwait(false);

    /// <summary>How every peer stands, asked now: for a node that would empty itself.</summary>
    public async Task<IReadOnlyList<PeerClaimOf>> AskClaimsAsync(CancellationToken token) =>
        await Task.WhenAll(_clients.Values.Select(async client =>
        {
            try
            {
                PeerCapacity capacity = await client.GetCapacityAsync(token).ConfigureAwait(false);
                return new PeerClaimOf(client.Peer.Name, ClaimOf(capacity));
            }
            catch (PeerException)
            {
                return new PeerClaimOf(client.Peer.Name, PeerClaim.Silent);
            }
        })).ConfigureAwait(false);

    /// <summary>A node whose agent does not answer can take nothing either.</summary>
    private static PeerClaim ClaimOf(PeerCapacity capacity) => capacity switch
    {
        { Closed: not null } or { Host: null } or { Host.InboundOpen: false } => PeerClaim.Out,
        { Intends: true } => PeerClaim.Intends,
        _ => PeerClaim.Open,
    };

    public void Dispose()
    {
        foreach (PeerClient client in _clients.Values.Concat(_retired))
            client.Dispose();
    }

    private async Task<PeerView> AskAsync(PeerClient client, CancellationToken token)
    {
        PeerView view;
        PeerCapacity? capacity = null;
        try
        {
            capacity = await client.GetCapacityAsync(token).ConfigureAwait(false);
            view = Judge(client.Peer, capacity, _time.GetUtcNow() + _avoidWindow);
        }
        catch (PeerException e)
        {
            view = new PeerView { Name = client.Peer.Name, Excluded = new ExcludedPeer(client.Peer.Name, e.Code, e.Message) };
        }

        Remember(client.Peer, capacity, view.Excluded);
        return view;
    }

    /// <summary>Whether a peer that answers can be used.</summary>
    /// <param name="windowsFrom">a window that begins before this counts as begun</param>
    internal static PeerView Judge(Peer peer, PeerCapacity capacity, DateTimeOffset windowsFrom)
    {
        return new PeerView
        {
            Name = peer.Name,
            Host = capacity.Host,
            Zone = capacity.Zone,
            Rack = capacity.Rack,
            SpreadGroups = capacity.SpreadGroups,
            Names = capacity.ContainerNames.ToFrozenSet(StringComparer.Ordinal),
            Addresses = capacity.ContainerAddresses.ToFrozenSet(StringComparer.Ordinal),
            Excluded = WhyNot() is var (code, reason) ? new ExcludedPeer(peer.Name, code, reason) : null,
        };

        (BlockerCode, string)? WhyNot()
        {
            if (capacity.Node != peer.Name)
                return (BlockerCode.PeerUnreachable, $"{peer.Address} says that it is {capacity.Node}: correct the peers file");
            if (capacity.Closed is { } closed)
                return (BlockerCode.AdmissionClosed, closed);
            if (capacity.Host is not { } host)
                return (BlockerCode.PeerUnreachable, "its evacuator-agent does not answer its brain: systemctl status evacuator-agent there");
            if (!host.InboundOpen)
                return (BlockerCode.AdmissionClosed, "it takes no containers: it is being emptied or was not reopened (evacuator reopen)");
            if (!ProtocolVersions.Agents.WorksWith(host.ProtocolVersion))
                return (BlockerCode.PeerVersion, $"its evacuator-agent speaks protocol {host.ProtocolVersion}, this node's {ProtocolVersions.Agents.Describe()}: upgrade the older one, one release after the other");
            if (host.Requirements.FirstOrDefault(requirement => !requirement.Met) is { } missing)
                return (missing.Code, $"{missing.Name} is missing there ({missing.Found}): {missing.Remedy}");
            if (capacity.Degraded is { Length: > 0 } degraded)
                return (BlockerCode.PeerDegraded, $"its own hardware is not well: {degraded}");
            if (capacity.NextWindow is { } window && window <= windowsFrom)
                return (BlockerCode.PeerWindow, $"its own maintenance begins at {window:u}");
            return null;
        }
    }

    private void Remember(Peer peer, PeerCapacity? capacity, ExcludedPeer? excluded)
    {
        DateTimeOffset now = _time.GetUtcNow();
        bool reachable = capacity is not null;
        bool usable = excluded is null;
        if (!_clients.ContainsKey(peer.Name))
            return;
        ImmutableInterlocked.AddOrUpdate(ref _standings, peer.Name, _ => Standing(now), (_, before) =>
            Standing(before.Reachable == reachable && before.Usable == usable ? before.Since : now));

        PeerStanding Standing(DateTimeOffset since) => new(
            peer.Name, peer.Address, reachable, usable, excluded?.Reason ?? "", since, now, capacity?.Host?.MemoryAvailable ?? 0, capacity?.Version, excluded?.Code == BlockerCode.AdmissionClosed, capacity?.FleetNumber,
            NodeTrust.Of(capacity));
    }
}
