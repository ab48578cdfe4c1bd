using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Hosting;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Journal;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.Migration;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.PageStore;
using Evacuator.NodeAgent.Tests.Containers;
using Evacuator.NodeAgent.Transfer;
using Evacuator.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Evacuator.NodeAgent.Tests.Migration;

/// <summary>A source that comes back to a move in the middle, against a destination that answers by a script over real TLS.</summary>
public sealed class SourceRecoveryTests : IAsyncLifetime
{
    private static readonly TimeSpan Hang = TimeSpan.FromSeconds(60);

    private readonly string _root = Directory.CreateTempSubdirectory("evacuator-recovery-").FullName;
    private readonly ManualTime _time = new();
    private readonly NetworkHandover _network = new(TimeProvider.System, NullLogger<NetworkHandover>.Instance);
    private readonly MoveJournal _journal;
    private readonly List<string> _requests = [];
    private WebApplication? _peer;
    private int _connections;

    public SourceRecoveryTests() => _journal = MoveJournal.Open($"{_root}/journal", $"{_root}/journal");

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        if (_peer is not null)
            await _peer.DisposeAsync();
        _journal.Dispose();
        await _network.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    [RootFact]
    public async Task RebootDuringTheFreeze_ForgetIsRefused_AsksAgainAndFindsThatItRunsThere()
    {
        Queue<DestinationPhase> answers = new([DestinationPhase.Ready, DestinationPhase.Running]);
        int port = await PeerAsync(request => request.Method switch
        {
            // A release that was on the wire arrives between the first answer and the request to forget.
            "DELETE" => Results.Json(new ErrorReply("c1 has been released and is Running here"), ApiJson.Options, statusCode: 409),
            "GET" => Answer(answers.Dequeue()),
            _ => Answer(DestinationPhase.Running),
        });
        using SourceMove move = Move(port, SourcePhase.Freezing, boot: "before");

        await RecoverAsync(move);

        Assert.Equal(SourcePhase.Moved, move.Record.Phase);
        Assert.Equal(["GET", "DELETE", "GET", "POST", "POST"], _requests);
    }

    /// <summary>What is remembered of a move stays for weeks; its connections must not.</summary>
    [RootFact]
    public async Task Ended_ItsConnectionsAreClosedThoughItIsRemembered()
    {
        int most = 0;
        int port = await PeerAsync(request =>
        {
            most = Math.Max(most, Volatile.Read(ref _connections));
            return Answer(request.Method == "GET" ? DestinationPhase.Ready : DestinationPhase.Failed);
        });
        using SourceMove move = Move(port, SourcePhase.Freezing, boot: "before");

        await RecoverAsync(move);

        Assert.True(most > 0);
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref _connections) == 0, Hang), $"{_connections} connections are open");
    }

    [RootFact]
    public async Task RebootDuringTheFreeze_Forgotten_StaysAndSaysThatItDoesNotRunHere()
    {
        int port = await PeerAsync(request => Answer(request.Method == "GET" ? DestinationPhase.Ready : DestinationPhase.Failed));
        using SourceMove move = Move(port, SourcePhase.Freezing, boot: "before");

        await RecoverAsync(move);

        Assert.Equal(SourcePhase.Stayed, move.Record.Phase);
        Assert.Contains("it is not running here", move.Record.Detail, StringComparison.Ordinal);
    }

    [RootFact]
    public async Task Gone_WhileTheDestinationAnswers_IsRefusedAndNothingChanges()
    {
        // It is restoring, which may take long; its answer decides.
        int port = await PeerAsync(_ => Answer(DestinationPhase.Resuming));
        using SourceMove move = Move(port, SourcePhase.Released, boot: "now");
        using CancellationTokenSource stop = new();
        Task waiting = move.RecoverAsync(stop.Token);

        string? why = await move.DeclareGoneAsync("by root", default).WaitAsync(Hang);

        Assert.Contains("node2 is not gone, its agent answers (Resuming)", why, StringComparison.Ordinal);
        Assert.Equal(SourcePhase.Released, move.Record.Phase);
        await stop.CancelAsync();
        await waiting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    [RootFact]
    public async Task Gone_AndTheCopyHereIsFrozen_IsThawedHere()
    {
        using TestCgroup cgroup = new();
        Write(cgroup, cgroup.Contain());
        CgroupFreezer freezer = new(TimeProvider.System);
        await freezer.FreezeAsync(cgroup.Path, TimeSpan.FromSeconds(10), default);
        using SourceMove move = Move(port: 1, SourcePhase.Released, boot: "now", cgroup.Path);

        await RecoverAsync(move, () => move.DeclareGoneAsync("by root: its BMC says Off", default));

        Assert.Equal(SourcePhase.Stayed, move.Record.Phase);
        Assert.Contains("node2 was declared gone for good (by root: its BMC says Off)", move.Record.Detail, StringComparison.Ordinal);
        Assert.DoesNotContain("lost", move.Record.Detail, StringComparison.Ordinal);
        Assert.False(CgroupTree.Event(KernelPaths.Default.CgroupDirectory(cgroup.Path), "frozen"));
        Assert.Equal(SourcePhase.Stayed, Assert.Single(_journal.ReadSources()).Phase);
    }

    /// <summary>Whoever looks at its clients wants to know how long it stood still, above all where that was for nothing.</summary>
    [RootTheory]
    [InlineData(true, 3000.0)]
    [InlineData(false, null)]
    public async Task Freezing_AgentWasRestarted_IsThawedAndTellsHowLongItStoodStill(bool frozen, double? stood)
    {
        using TestCgroup cgroup = new();
        Write(cgroup, cgroup.Contain());
        if (frozen)
            await new CgroupFreezer(TimeProvider.System).FreezeAsync(cgroup.Path, TimeSpan.FromSeconds(10), default);
        int port = await PeerAsync(_ => Answer(DestinationPhase.Failed));
        using SourceMove move = Move(port, SourcePhase.Freezing, boot: "now", cgroup.Path, frozenFor: TimeSpan.FromSeconds(3));

        await move.RecoverAsync(default).WaitAsync(Hang);

        Assert.Equal((SourcePhase.Stayed, stood), (move.Record.Phase, move.Record.FreezeMs));
        Assert.Equal(stood, Assert.Single(_journal.ReadSources()).FreezeMs);
        Assert.False(CgroupTree.Event(KernelPaths.Default.CgroupDirectory(cgroup.Path), "frozen"));
    }

    [RootFact]
    public async Task Gone_AndThisHostWasRestartedSince_SaysThatItIsLostAndWhereItsFilesAre()
    {
        using SourceMove move = Move(port: 1, SourcePhase.Released, boot: "before");

        await RecoverAsync(move, () => move.DeclareGoneAsync("by root", default));

        Assert.Equal(SourcePhase.Stayed, move.Record.Phase);
        Assert.Contains($"the host was restarted since, the container is not running here. It is lost; its files are in {_root}/c1", move.Record.Detail, StringComparison.Ordinal);
    }

    [RootFact]
    public async Task Gone_BeforeTheRelease_IsRefused()
    {
        using SourceMove move = Move(port: 1, SourcePhase.Copying, boot: "now");

        Assert.Contains("does not wait for node2", await move.DeclareGoneAsync("by root", default), StringComparison.Ordinal);
    }

    [RootFact]
    public async Task Serving_DestinationFetchesAndThenHasEverything_RemovesOnlyThen()
    {
        List<string> said = [];
        int fetching = 3;
        int port = await PeerAsync(request =>
        {
            if (request.Path.Value!.Contains("/away/", StringComparison.Ordinal))
                return Results.Json(new ErrorReply("not now"), ApiJson.Options, statusCode: Volatile.Read(ref fetching) > 0 ? 503 : 410);
            bool fetches = request.Path.Value.EndsWith("/known", StringComparison.Ordinal) ? Volatile.Read(ref fetching) > 0 : Interlocked.Decrement(ref fetching) > 0;
            lock (said)
                said.Add($"{request.Path.Value.Split('/')[^1]} {fetches}");
            return Results.Json(new PeerReply(DestinationPhase.Running, "", new Dictionary<string, double>(), Fetch: new FetchReport(8192, fetches ? 4096 : 0, 1, 1, 1), Fetches: fetches), ApiJson.Options);
        });
        using SourceMove move = Move(port, SourcePhase.Serving, boot: "now", away: true);

        await RecoverAsync(move);

        Assert.Equal(SourcePhase.Moved, move.Record.Phase);
        Assert.Equal("release True", said[0]);
        Assert.Equal("known False", said[^1]);
        Assert.Single(said, line => line.StartsWith("known", StringComparison.Ordinal));
        Assert.Equal(0, move.Record.Fetch!.BytesLeft);
    }

    /// <summary>What the destination cannot give the container is told by the source, whose report is what people read.</summary>
    [RootFact]
    public async Task Running_ButWithoutItsNetworkThere_MovesAndSaysWhatIsWrong()
    {
        int port = await PeerAsync(_ => Results.Json(new PeerReply(DestinationPhase.Running, "c1 runs on node2, but its network could not be connected", new Dictionary<string, double>()), ApiJson.Options));
        using SourceMove move = Move(port, SourcePhase.Released, boot: "now");

        await RecoverAsync(move);

        Assert.Equal((SourcePhase.Moved, "c1 runs on node2, but its network could not be connected"), (move.Record.Phase, move.Record.Detail));
        Assert.Equal(move.Record.Detail, Assert.Single(_journal.ReadSources()).Detail);
    }

    [RootFact]
    public async Task Serving_DestinationLostItsPower_IsThawedHereAndSaysWhatIsLost()
    {
        using TestCgroup cgroup = new();
        Write(cgroup, cgroup.Contain());
        await new CgroupFreezer(TimeProvider.System).FreezeAsync(cgroup.Path, TimeSpan.FromSeconds(10), default);
        int port = await PeerAsync(_ => Answer(DestinationPhase.Failed));
        using SourceMove move = Move(port, SourcePhase.Serving, boot: "now", cgroup.Path, away: true);

        await RecoverAsync(move);

        Assert.Equal(SourcePhase.Stayed, move.Record.Phase);
        Assert.Contains("goes on here from where it was frozen, and what it has done there since is lost", move.Record.Detail, StringComparison.Ordinal);
        Assert.False(CgroupTree.Event(KernelPaths.Default.CgroupDirectory(cgroup.Path), "frozen"));
    }

    /// <summary>The destination must not be left with a container that waits for ever.</summary>
    [RootTheory]
    [InlineData(SourcePhase.Serving)]
    [InlineData(SourcePhase.Released)]
    public async Task MemoryLeftHere_AndThisHostWasRestarted_TellsTheDestinationAndSaysThatItIsLost(SourcePhase phase)
    {
        List<string> asked = [];
        int port = await PeerAsync(request =>
        {
            lock (asked)
                asked.Add(request.Path.Value!.Split('/')[^1]);
            return Answer(DestinationPhase.Failed);
        });
        using SourceMove move = Move(port, phase, boot: "before", away: true);

        await RecoverAsync(move);

        Assert.Equal(SourcePhase.Stayed, move.Record.Phase);
        Assert.Equal("lost", asked[0]);
        Assert.DoesNotContain("release", asked);
        Assert.Contains($"the container is not running here. It is lost; its files are in {_root}/c1", move.Record.Detail, StringComparison.Ordinal);
    }

    private async Task RecoverAsync(SourceMove move, Func<Task<string?>>? meanwhile = null)
    {
        await using IAsyncDisposable passing = _time.PassWaits(TimeSpan.FromSeconds(30));
        Task recovery = move.RecoverAsync(default);
        if (meanwhile is not null)
            Assert.Null(await meanwhile().WaitAsync(Hang));
        await recovery.WaitAsync(Hang);
    }

    private SourceMove Move(int port, SourcePhase phase, string boot, string cgroup = "", bool away = false, TimeSpan? frozenFor = null)
    {
        MoveRequest request = new()
        {
            MoveId = Guid.NewGuid(), EvacuationId = Guid.NewGuid(), Container = "c1", DestinationNode = "node2", DestinationAddress = $"127.0.0.1:{port}", Token = "t", FreezeBudgetMs = 1000,
        };
        ContainerDescription container = new()
        {
            Name = "c1", State = "running", Bundle = $"{_root}/c1", Rootfs = $"{_root}/c1/rootfs", ConfigJson = "{}", RuncRoot = $"{_root}/state", SystemdCgroup = false,
            CgroupPath = cgroup, InitPid = 1, MemoryBytes = 0, Annotations = new Dictionary<string, string>(), Network = NetworkKind.Isolated, Trees = [], HostPaths = [], SharedPaths = [],
        };
        SourceRecord record = new()
        {
            Request = request, Phase = phase, BootId = boot, Away = away, Description = JsonSerializer.Serialize(container, ApiJson.Options), Started = _time.GetUtcNow(), Updated = _time.GetUtcNow(),
            FreezeBegan = _time.GetUtcNow() - frozenFor,
        };
        _journal.Write(record);
        RuncRuntime runtime = new($"{_root}/state", _network, TimeProvider.System, NullLogger<RuncRuntime>.Instance);
        MoveTools tools = new(runtime, new Preflight(), _network, new CgroupFreezer(TimeProvider.System), _journal, new AgentPaths { Runtime = $"{_root}/run", State = $"{_root}/journal" },
            new FaultPoints($"{_root}/fault-point", TimeProvider.System), _time)
        {
            BootId = "now", RuncRoot = $"{_root}/state", Memory = MemoryFeatures.Probe(), MemoryStreams = 1, LeastSpeedPercent = 50, Systemd = new SystemdNotify(), Descriptors = new DescriptorStore(new SystemdNotify()),
            Dumps = new DumpLadder(DumpRule.Plain, "", (_, _) => throw new InvalidOperationException("nothing is to be tried"), "", [], _time, NullLogger.Instance),
        };
        SocketsHttpHandler tls = new() { SslOptions = new SslClientAuthenticationOptions { TargetHost = "localhost", RemoteCertificateValidationCallback = (_, _, _, _) => true } };
        return new SourceMove(record, tools, new PeerClient($"127.0.0.1:{port}", port, tls, request.MoveId, "t", "c1"), NullLogger.Instance);
    }

    /// <summary>A container as runc keeps it.</summary>
    private void Write(TestCgroup cgroup, int pid)
    {
        string start = File.ReadAllText($"/proc/{pid}/stat").Split(") ")[1].Split(' ')[19];
        Directory.CreateDirectory($"{_root}/state/c1");
        File.WriteAllText($"{_root}/state/c1/state.json", $$$"""
            {"id":"c1","init_process_pid":{{{pid}}},"init_process_start":{{{start}}},"cgroup_paths":{"":"/sys/fs/cgroup{{{cgroup.Path}}}"},"config":{"rootfs":"{{{_root}}}/c1/rootfs","labels":["bundle={{{_root}}}/c1"]}}
            """);
    }

    private async Task<int> PeerAsync(Func<HttpRequest, IResult> answer)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            listen.Use(next => async connection =>
            {
                Interlocked.Increment(ref _connections);
                await next(connection);
                Interlocked.Decrement(ref _connections);
            });
            listen.UseHttps(Certificate());
        }));
        _peer = builder.Build();
        _peer.Run(async context =>
        {
            lock (_requests)
                _requests.Add(context.Request.Method);
            await answer(context.Request).ExecuteAsync(context);
        });
        await _peer.StartAsync();
        return new Uri(_peer.Urls.First()).Port;
    }

    private static X509Certificate2 Certificate()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 made = new CertificateRequest("CN=node2", key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null);
    }

    private static IResult Answer(DestinationPhase phase) => Results.Json(new PeerReply(phase, "", new Dictionary<string, double>()), ApiJson.Options);
}
