using System.Diagnostics;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Fleet.Etcd;
using Evacuator.Fleet.Locks;
using Evacuator.Journal;
using Evacuator.Placement;
using Evacuator.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Evacuator.Simulation;

/// <param name="LimitPercent">of the nodes that may be out at once</param>
/// <param name="HealthyPercent">of the memory that stays on open nodes</param>
/// <param name="Maintenance">how long a node is out beyond its emptying</param>
/// <param name="Poll">between two looks of the next in the queue</param>
internal sealed record SimulationOptions(int Nodes, int Containers, int LimitPercent, int HealthyPercent, TimeSpan Maintenance, TimeSpan Poll, int Seed = 1);

/// <summary>
/// Rolling maintenance of a whole fleet: every node asks for its place at once, is emptied by the real planner, is out for a while, and is opened again. Lock and planner are the
/// service's own, etcd is a real one; hosts and containers are only figures, and a move takes no time.
/// </summary>
internal sealed class FleetSimulation : IDisposable
{
    private const long GiB = 1L << 30;
    private const int Zones = 10;

    /// <summary>Nodes that share a client, and with it its connections.</summary>
    private const int NodesAClient = 25;

    /// <summary>One machine carries what a thousand would: what counts is that it holds, not how long one of them waits for a processor.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private static readonly TimeSpan Lease = TimeSpan.FromMinutes(10);

    private readonly SimulationOptions _options;
    private readonly EtcdServer _etcd;
    private readonly EtcdTls _tls;
    private readonly FleetOptions _fleet;
    private readonly List<EtcdClient> _clients = [];
    private readonly SimulatedNode[] _nodes;
    private readonly string[] _names;
    private readonly Lock _world = new();
    private readonly SimulationResult _result;
    private readonly Dictionary<string, SimulatedNode> _byName;

    public FleetSimulation(SimulationOptions options, EtcdServer etcd)
    {
        (_options, _etcd) = (options, etcd);
        _fleet = new FleetOptions
        {
            Store = FleetStore.Etcd,
            EtcdEndpoints = [etcd.Endpoint],
            EtcdCa = etcd.CaFile,
            EtcdCertificate = etcd.ClientCertificateFile,
            EtcdKey = etcd.ClientKeyFile,
            MaxEmptied = new NodeCount(options.LimitPercent, IsPercent: true),
            MinHealthyPercent = options.HealthyPercent,
        };
        Random random = new(options.Seed);
        _nodes = [.. Enumerable.Range(0, options.Nodes).Select(number => new SimulatedNode($"node{number:0000}", $"zone{number % Zones}", (number % 3 + 1) * 32 * GiB))];
        _names = [.. _nodes.Select(node => node.Name)];
        _byName = _nodes.ToDictionary(node => node.Name);
        for (int number = 0; number < options.Containers; number++)
        {
            ContainerReport container = Container(number, random);
            int first = random.Next(_nodes.Length);
            // Half full at most: somebody has to take what the others leave.
            SimulatedNode? node = Enumerable.Range(0, _nodes.Length).Select(i => _nodes[(first + i) % _nodes.Length]).FirstOrDefault(node => node.Free - container.MemoryBytes >= node.Memory / 3);
            if (node?.TryAdd(container) != true)
                throw new InvalidOperationException($"{options.Containers} containers do not fit on {options.Nodes} nodes");
        }

        _result = new SimulationResult(options, _fleet.MaxEmptied.Of(options.Nodes), _nodes.Sum(node => node.Memory), _nodes.Sum(node => node.Memory));
        _tls = EtcdTls.Load(_fleet).Value ?? throw new InvalidOperationException("the certificates of etcd cannot be used");
        for (int i = 0; i < options.Nodes; i += NodesAClient)
            _clients.Add(new EtcdClient(_fleet.EtcdEndpoints, Handler(), Patience, TimeProvider.System));
    }

    public async Task<SimulationResult> RunAsync(CancellationToken token)
    {
        // The first plans would be measured with their compilation.
        for (int i = 0; i < 30; i++)
            Planner.Make(_nodes[i % _nodes.Length].Containers, _nodes.Select(node => node.View), new PlacementPolicy(5, TimeSpan.FromSeconds(10)));
        (TimeSpan ours, TimeSpan theirs) = (Environment.CpuUsage.TotalTime, _etcd.ProcessorTime);
        Stopwatch watch = Stopwatch.StartNew();
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(token);
        EtcdFleet[] stores = [.. _nodes.Select((node, i) => new EtcdFleet(_clients[i / NodesAClient], new EtcdSession(_clients[i / NodesAClient], Lease, TimeProvider.System), new EtcdKeys("/simulation"), node.Name, () => _names))];
        await Task.WhenAll(_nodes.Select((node, i) => JoinAsync(node, stores[i], token)));
        _result.JoinSeconds = watch.Elapsed.TotalSeconds;
        Task renewing = Task.WhenAll(stores.Select(store => RenewAsync(store, over.Token)));
        watch.Restart();
        await Task.WhenAll(_nodes.Select((node, i) => MaintainAsync(node, stores[i], token)));
        _result.Seconds = watch.Elapsed.TotalSeconds;
        _result.ProcessorSeconds = (Environment.CpuUsage.TotalTime - ours).TotalSeconds;
        _result.EtcdProcessorSeconds = (_etcd.ProcessorTime - theirs).TotalSeconds;
        await over.CancelAsync();
        await renewing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        foreach (EtcdFleet store in stores)
            store.Session.Dispose();
        _result.Containers = _nodes.Sum(node => node.Containers.Count);
        _result.SlotsLeft = (await _clients[0].RangeAllAsync(stores[0].Keys.Slots, token)).Pairs.Count;
        return _result;
    }

    private CountingHandler Handler()
    {
        SocketsHttpHandler handler = _tls.Handler();
        handler.ConnectTimeout = Patience;
        return new CountingHandler(handler, _result);
    }

    /// <summary>How far it is, in words.</summary>
    public string Progress
    {
        get
        {
            lock (_world)
                return _result.Progress;
        }
    }

    public void Dispose()
    {
        foreach (EtcdClient client in _clients)
            client.Dispose();
        _tls.Dispose();
    }

    private static async Task JoinAsync(SimulatedNode node, EtcdFleet store, CancellationToken token)
    {
        HostRecord host = new(node.Name, "127.0.0.1", node.Zone, "", node.Memory, 32, DateTimeOffset.UnixEpoch);
        await store.Client.PutAsync(store.Keys.Host(node.Name), EtcdRecords.Write(host), 0, token);
        await TellAsync(node, store, closed: null, token);
    }

    private static async Task TellAsync(SimulatedNode node, EtcdFleet store, string? closed, CancellationToken token)
    {
        AliveRecord alive = new(node.Name, "simulated", 1, closed, null, 0, 0, DateTimeOffset.UnixEpoch);
        await store.Client.PutAsync(store.Keys.IsAlive(node.Name), EtcdRecords.Write(alive), await store.Session.LeaseAsync(token), token);
    }

    private static async Task RenewAsync(EtcdFleet store, CancellationToken token)
    {
        while (true)
        {
            await Task.Delay(Lease / 4, token);
            try
            {
                if (!await store.Session.RenewAsync(token))
                    throw new InvalidOperationException($"{store.Node} has lost its lease: this machine is too busy to simulate so many nodes");
            }
            catch (EtcdException)
            {
                // Again before it is over.
            }
        }
    }

    private async Task MaintainAsync(SimulatedNode node, EtcdFleet store, CancellationToken token)
    {
        EvacuatorOptions options = new() { Node = new NodeOptions { Name = node.Name, Zone = node.Zone }, Fleet = _fleet };
        EtcdFleetLock fleetLock = new(store, options, new BrainTimings { LockPoll = _options.Poll, EtcdLimit = Patience, EtcdLease = Lease }, TimeProvider.System, NullLogger<EtcdFleetLock>.Instance);
        EvacuationState evacuation = new()
        {
            Id = Guid.NewGuid(),
            Node = node.Name,
            BootId = "simulated",
            Trigger = new Trigger { Kind = TriggerKind.Operator, Key = node.Name, Reason = "rolling maintenance", RequestedBy = "simulation" },
            Phase = EvacuationPhase.Closing,
            Started = TimeProvider.System.GetUtcNow(),
            Updated = TimeProvider.System.GetUtcNow(),
        };
        // 1. Its place.
        long asked = Stopwatch.GetTimestamp();
        await fleetLock.AcquireAsync(evacuation, _ => { }, token);
        lock (_world)
        {
            node.SetOpen(false);
            _result.TakePlace(Stopwatch.GetElapsedTime(asked), Open());
        }

        await TellAsync(node, store, "rolling maintenance", token);
        // 2. Empty.
        Empty(node);
        // 3. Out.
        await Task.Delay(_options.Maintenance, token);
        // 4. Open again: first itself, then its place.
        await TellAsync(node, store, closed: null, token);
        lock (_world)
        {
            node.SetOpen(true);
            _result.GivePlace();
        }

        while ((await store.Client.RangeAsync(new EtcdRangeRequest { Key = store.Keys.Slot(node.Name), KeysOnly = true }, token)).Kvs.Count > 0)
            await fleetLock.KeepAsync(() => new SlotHolding(null, Asking: false), token);
    }

    private long Open() => _nodes.Where(node => node.Open).Sum(node => node.Memory);

    /// <summary>As an evacuation does it: a plan from what the peers said, and the next candidate where room was taken meanwhile.</summary>
    private void Empty(SimulatedNode node)
    {
        List<ContainerReport> leaving;
        List<PeerView> peers;
        lock (_world)
        {
            leaving = [.. node.Containers];
            peers = [.. _nodes.Where(other => other != node).Select(other => other.View)];
        }

        PlacementPolicy policy = new(5, TimeSpan.FromSeconds(10)) { From = new Origin(node.Name, node.Zone, "", node.Host) };
        Plan plan;
        // One plan at a time, as on a node of its own: it is to be measured, not the number of processors here.
        lock (_result)
        {
            long began = Stopwatch.GetTimestamp();
            plan = Planner.Make(leaving, peers, policy);
            _result.Planned(Stopwatch.GetElapsedTime(began));
        }

        foreach (PlannedContainer planned in plan.Containers)
        {
            lock (_world)
            {
                if (planned.Destination is { } destination && _byName[destination].TryAdd(planned.Container))
                {
                    node.Remove(planned.Container);
                    _result.Moves++;
                    continue;
                }

                string? next = Planner.Candidates(planned.Container, _nodes.Where(other => other != node).Select(other => other.View), policy, []).FirstOrDefault(name => _byName[name].TryAdd(planned.Container));
                if (next is null)
                {
                    _result.LeftBehind++;
                    continue;
                }

                node.Remove(planned.Container);
                _result.Moves++;
                _result.Replanned++;
            }
        }
    }

    private static ContainerReport Container(int number, Random random) => new()
    {
        Name = $"c{number:00000}",
        Runtime = "runc",
        State = "running",
        Pid = 1,
        Bundle = $"/srv/c{number}",
        Rootfs = $"/srv/c{number}/rootfs",
        MemoryBytes = random.NextInt64(GiB / 16, GiB),
        DiskBytes = GiB,
        CpuCores = 0.1,
        Processes = 4,
        Threads = 8,
        Addresses = [$"10.{number >> 16}.{number >> 8 & 255}.{number & 255}/8"],
        Macs = [],
        Bridges = ["br0"],
        Annotations = number % 20 == 0 ? new Dictionary<string, string> { ["evacuator.spread"] = $"group{number / 100}" } : new Dictionary<string, string>(),
        Blockers = [],
    };
}
