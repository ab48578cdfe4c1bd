using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Evacuation;
using Evacuator.Fleet.Etcd;
using Evacuator.Fleet.Membership;
using Evacuator.Hosting;
using Evacuator.Journal;
using Evacuator.Notices;
using Evacuator.Power;
using Evacuator.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Evacuator.Tests.Fakes;

/// <summary>
/// Several whole brains in this process: real journals, real mutual TLS on loopback, real unix sockets; fake agents and management controllers.
/// </summary>
internal sealed class TestFleet : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("evacuator-test-").FullName;
    private readonly Dictionary<string, TestNode> _nodes = [];

    private EtcdServer? _etcd;

    private TestFleet()
    {
    }

    public FakeRack Rack { get; } = new();

    /// <summary>The fleet's store.</summary>
    public EtcdServer Etcd => _etcd ?? throw new InvalidOperationException("this fleet has no etcd");

    /// <summary>Where the fleet's authority is.</summary>
    public string Authority => Path.Combine(_folder, "fleet");

    private int Port { get; set; }

    public TestNode this[string name] => _nodes[name];

    /// <summary>Nodes node1 … nodeN, all running.</summary>
    /// <param name="withEtcd">a real etcd, with the fleet's own certificates, is the fleet's store</param>
    public static async Task<TestFleet> StartAsync(
        int nodes = 3, Func<EvacuatorOptions, EvacuatorOptions>? options = null, Func<BrainTimings, BrainTimings>? timings = null, bool withEtcd = false, Func<string, string>? endpoint = null,
        Func<string, ProtocolVersions>? protocols = null)
    {
        TestFleet fleet = new();
        int port = fleet.Port = FreePort();
        List<Peer> peers = [.. Enumerable.Range(1, nodes).Select(number => new Peer($"node{number}", $"127.0.0.{number}"))];
        new FleetSetup(TimeProvider.System).Init(fleet.Authority, peers);
        Func<EvacuatorOptions, EvacuatorOptions> change = options ?? (same => same);
        if (withEtcd)
        {
            using X509Certificate2 authority = X509Certificate2.CreateFromPemFile(Path.Combine(fleet.Authority, "ca.crt"), Path.Combine(fleet.Authority, "ca.key"));
            fleet._etcd = await EtcdServer.StartAsync(Path.Combine(fleet._folder, "etcd"), authority);
            string url = endpoint?.Invoke(fleet.Etcd.Endpoint) ?? fleet.Etcd.Endpoint;
            Func<EvacuatorOptions, EvacuatorOptions> inner = change;
            change = same => inner(same with { Fleet = same.Fleet with { Store = FleetStore.Etcd, EtcdEndpoints = [url] } });
        }

        foreach (Peer peer in peers)
        {
            await fleet.StartNodeAsync(peer, peers, change, timings, protocols?.Invoke(peer.Name));
        }

        return fleet;
    }

    /// <summary>A node that the authority's directory has a bundle for.</summary>
    public async Task<TestNode> StartNodeAsync(
        Peer peer, IReadOnlyList<Peer> peers, Func<EvacuatorOptions, EvacuatorOptions>? options = null, Func<BrainTimings, BrainTimings>? timings = null,
        ProtocolVersions? protocol = null)
    {
        TestNode node = new(Rack, Path.Combine(_folder, peer.Name), peer, peers, Path.Combine(Authority, $"{peer.Name}.join"), Port, options ?? (same => same));
        node.Timings = timings?.Invoke(node.Timings) ?? node.Timings;
        node.Protocol = protocol ?? ProtocolVersions.Brains;
        _nodes[peer.Name] = node;
        Rack.Bmcs.Machines[$"https://bmc.{peer.Name}"] = new FakeBmc();
        await node.Agent.StartAsync();
        await node.StartAsync();
        return node;
    }

    public FakeBmc Bmc(string node) => Rack.Bmcs.Machines[$"https://bmc.{node}"];

    public async ValueTask DisposeAsync()
    {
        foreach (TestNode node in _nodes.Values)
        {
            await node.StopAsync();
            await node.Agent.DisposeAsync();
        }

        if (_etcd is not null)
            await _etcd.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    public static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}

/// <summary>One node: a brain that can be stopped, killed and started again over the same journal.</summary>
internal sealed class TestNode
{
    private static readonly BrainTimings Fast = new()
    {
        MovePoll = TimeSpan.FromMilliseconds(5),
        Retry = TimeSpan.FromMilliseconds(20),
        ProofGap = TimeSpan.FromMilliseconds(20),
        ProofPatience = TimeSpan.FromMilliseconds(200),
        WitnessPatience = TimeSpan.FromSeconds(20),
        PeerPoll = TimeSpan.FromSeconds(1),
        AgentPoll = TimeSpan.FromMilliseconds(50),
        SoakPoll = TimeSpan.FromMilliseconds(20),
        SignalRecheck = TimeSpan.FromMilliseconds(100),
        BreakerPoll = TimeSpan.FromMilliseconds(20),
        RecentContainers = TimeSpan.Zero,
        NoticePoll = TimeSpan.FromMilliseconds(20),
        NoticeRetry = TimeSpan.FromMilliseconds(20),
        WindowPoll = TimeSpan.FromMilliseconds(20),
        CopyPoll = TimeSpan.FromMilliseconds(20),
        LockPoll = TimeSpan.FromMilliseconds(20),
        EtcdPoll = TimeSpan.FromMilliseconds(100),
        // The shortest that etcd grants.
        EtcdLease = TimeSpan.FromSeconds(2),
        // On a crowded machine etcd itself takes a second at times.
        EtcdLimit = TimeSpan.FromSeconds(10),
    };

    private readonly FakeRack _rack;
    private readonly string _folder;
    private readonly Peer _peer;
    private readonly IReadOnlyList<Peer> _peers;
    private readonly string _bootIdFile;
    private SignedRoster? _roster;
    private FleetTls? _tls;
    private EtcdTls? _etcdTls;
    private WebApplication? _app;

    public TestNode(FakeRack rack, string folder, Peer peer, IReadOnlyList<Peer> peers, string bundle, int port, Func<EvacuatorOptions, EvacuatorOptions> change)
    {
        (_rack, _folder, _peer, _peers) = (rack, folder, peer, peers);
        Directory.CreateDirectory(folder);
        StateDirectory = Path.Combine(folder, "state");
        _bootIdFile = Path.Combine(folder, "boot_id");
        File.WriteAllText(_bootIdFile, "boot-1\n");
        Agent = new FakeAgent(rack, peer.Name, Path.Combine(folder, "agent.sock"));
        WriteTls(bundle);
        Options = change(new EvacuatorOptions
        {
            Node = new NodeOptions { Name = peer.Name },
            Fleet = new FleetOptions { BrainPort = port, AgentPort = port + 1, TlsDirectory = Path.Combine(folder, "tls") },
            Bmc = new BmcSettings { Url = $"https://bmc.{peer.Name}", User = "admin", PollInterval = TimeSpan.FromSeconds(1) },
            Power = new PowerOptions { VerifyInterval = TimeSpan.FromMilliseconds(10), VerifyTimeout = TimeSpan.FromSeconds(20) },
            Log = new LogOptions { Level = "error" },
        });
    }

    public EvacuatorOptions Options { get; set; }

    public FakeAgent Agent { get; }

    public FakeSignals Signals { get; } = new();

    public string Name => _peer.Name;

    public string SocketPath => Path.Combine(_folder, "evacuator.sock");

    public JournalStore? Journal { get; private set; }

    public BrainTimings Timings { get; set; } = Fast;

    /// <summary>A release other than this one.</summary>
    public ProtocolVersions Protocol { get; set; } = ProtocolVersions.Brains;

    /// <summary>From the next start on; null: the system's.</summary>
    public TimeProvider? Clock { get; set; }

    /// <summary>As the service does it at its start; off where a fleet is started node by node, since each new one would wait for those that are not there yet.</summary>
    public bool TakesBackItsJournal { get; set; }

    /// <summary>Where its journal is, on the disk.</summary>
    public string StateDirectory { get; set; }

    /// <summary>Called before (false) and after (true) each write to the journal; what it throws is a crash.</summary>
    public Action<bool>? FaultPoint { get; set; }

    public FleetTls Tls => _tls ?? throw new InvalidOperationException($"{Name} is not running");

    /// <summary>With its key; owned by the caller.</summary>
    public X509Certificate2 BrainCertificate()
    {
        string tls = Path.Combine(_folder, "tls");
        using X509Certificate2 ephemeral = X509Certificate2.CreateFromPemFile(Path.Combine(tls, "brain.crt"), Path.Combine(tls, "brain.key"));
        return X509CertificateLoader.LoadPkcs12(ephemeral.Export(X509ContentType.Pkcs12), null);
    }

    public async Task StartAsync()
    {
        if (!File.Exists(StateDirectory))
            Directory.CreateDirectory(StateDirectory);
        Directory.CreateDirectory(Path.Combine(_folder, "run"));
        Journal = JournalLocation.Open(StateDirectory, Path.Combine(_folder, "run"));
        Journal.FaultPoint = FaultPoint;
        _tls = FleetTls.Load(Options, FleetRole.Brain, _peers, TimeProvider.System, _roster).Value!;
        FleetMembership.Restore(_tls, Journal);
        BrainSetup setup = new()
        {
            Configuration = new ConfigurationResult { Options = Options, Mistakes = [], Values = [] },
            Options = Options,
            Peers = _tls.Roster?.Roster.Nodes ?? _peers,
            Tls = _tls,
            EtcdTls = _etcdTls = Options.Fleet.Store == FleetStore.Etcd ? EtcdTls.Load(Options.Fleet).Value! : null,
            Journal = Journal,
            Bmcs = _ => _rack.Bmcs,
            Signals = _ => Signals,
            RuntimeDirectory = Path.Combine(_folder, "run"),
            SocketPath = SocketPath,
            SocketGroup = null,
            AgentSocketPath = Path.Combine(_folder, "agent.sock"),
            ListenAddress = IPAddress.Parse(_peer.Address),
            BootId = BootId.Find(Path.Combine(_folder, "run"), _bootIdFile),
            Timings = Timings,
            Protocol = Protocol,
            Clock = Clock,
            SystemJournal = new SystemJournal(Path.Combine(_folder, "no-journal")),
            BmcPassword = () => new Checked<string>("secret"),
            Logging = logging => logging.ClearProviders(),
        };
        if (TakesBackItsJournal)
            await ServeHandler.TakeBackAsync(setup);
        _app = BrainHost.Build(setup);
        await _app.StartAsync();
    }

    /// <summary>Ends the process that this stands for. Nothing is journaled on the way out, so it is the same as a kill.</summary>
    public async Task StopAsync()
    {
        if (_app is null)
            return;
        try
        {
            await _app.StopAsync();
        }
        catch (CrashException)
        {
            // It has "crashed" before.
        }

        await _app.DisposeAsync();
        Journal!.Dispose();
        _tls!.Dispose();
        _etcdTls?.Dispose();
        _app = null;
    }

    /// <summary>Between rounds of a test: what the round before left unfinished (a host that "went down") is over.</summary>
    public void EndOpenEvacuations()
    {
        foreach (EvacuationState open in Journal!.Evacuations().Where(evacuation => !evacuation.Phase.IsEnd()))
            Journal.Write(open with { Phase = EvacuationPhase.Failed, Problem = "the round is over" }, []);
        Journal.SetFact("admission-closed", null);
    }

    public async Task RestartAsync()
    {
        await StopAsync();
        await StartAsync();
    }

    /// <summary>The host goes through a reboot.</summary>
    public async Task RebootAsync()
    {
        await StopAsync();
        Agent.Reboot();
        // The kernel outlives the host, as in a lab of containers: only tmpfs tells.
        Directory.Delete(Path.Combine(_folder, "run"), recursive: true);
        await StartAsync();
    }

    public BrainClient Client() => new(SocketPath);

    public T Service<T>() where T : notnull => _app!.Services.GetRequiredService<T>();

    public async Task<StartReply> EvacuateAsync(bool powerOff = false, int? forceAfterSeconds = null, Guid? operation = null, bool? partial = null, bool force = false)
    {
        using BrainClient client = Client();
        return await client.SendAsync<StartReply>(HttpMethod.Post, ApiRoutes.Evacuations,
            new StartRequest { OperationId = operation ?? Guid.NewGuid(), Reason = "DIMM A1", Ticket = "T-1", PowerOff = powerOff, ForceAfterSeconds = forceAfterSeconds, Partial = partial, Force = force }, default);
    }

    public async Task<EvacuationReport> ReportAsync(Guid id)
    {
        using BrainClient client = Client();
        return await client.GetAsync<EvacuationReport>($"{ApiRoutes.Evacuations}/{id:D}", default);
    }

    /// <summary>The first report that fulfils a condition. The limit only keeps a broken test from hanging.</summary>
    public async Task<EvacuationReport> WaitAsync(Guid id, Func<EvacuationReport, bool> until)
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        EvacuationReport? last = null;
        while (!limit.IsCancellationRequested)
        {
            try
            {
                last = await ReportAsync(id);
                if (until(last))
                    return last;
            }
            catch (CliException e) when (e.ExitCode == CliExit.Refused)
            {
                // A witness hears of it only when it is asked to watch.
            }

            await Task.Delay(5);
        }

        throw new TimeoutException($"{Name}: evacuation {id:D} did not get there: {last?.State} {last?.Summary} {last?.Waiting}");
    }

    public Task<EvacuationReport> WaitForEndAsync(Guid id) => WaitAsync(id, report => report.State.IsEnd());

    private void WriteTls(string bundlePath)
    {
        JoinBundle bundle = JoinBundle.Read(bundlePath);
        _roster = SignedRoster.Parse(bundle.Roster!, FleetAuthorities.FromPem(bundle.Authority, bundlePath), bundlePath);
        string tls = Directory.CreateDirectory(Path.Combine(_folder, "tls")).FullName;
        File.WriteAllText(Path.Combine(tls, "ca.crt"), bundle.Authority);
        File.WriteAllText(Path.Combine(tls, "brain.crt"), bundle.Brain.CertificatePem);
        File.WriteAllText(Path.Combine(tls, "brain.key"), bundle.Brain.KeyPem);
        File.SetUnixFileMode(Path.Combine(tls, "brain.key"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }
}

/// <summary>Stands for kill -9 at a fault point.</summary>
internal sealed class CrashException(string where) : Exception(where);

/// <summary>How long a test may hang before it counts as broken; nothing is measured with it.</summary>
internal static class TestLimits
{
    public static readonly TimeSpan Hang = TimeSpan.FromSeconds(60);
}
