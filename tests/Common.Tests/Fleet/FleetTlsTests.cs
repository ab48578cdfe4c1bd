using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Evacuator.Common.Tests.Fleet;

/// <summary>Real handshakes over loopback between two nodes of a fleet, and everybody else who tries.</summary>
public sealed class FleetTlsTests : IDisposable
{
    private static readonly Peer[] Peers = [new("node1", "10.0.0.1"), new("node2", "10.0.0.2"), new("node3", "10.0.0.3")];

    private readonly TemporaryFolder _folder = new();

    // Kernel and OpenSSL know no other clock than the wall's, and SslStream looks at it besides ours.
    private readonly ManualTime _time = new(DateTimeOffset.UtcNow);

    private readonly List<IDisposable> _owned = [];

    public void Dispose()
    {
        foreach (IDisposable owned in _owned)
            owned.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData(FleetRole.Brain)]
    [InlineData(FleetRole.Agent)]
    public async Task Handshake_TwoNodesSameRole_BothKnowEachOther(FleetRole role)
    {
        Init("fleet");
        Outcome outcome = await Handshake(Tls("fleet", "node1", role).ForServer(), Tls("fleet", "node2", role).ForClient("node1"));

        Assert.Null(outcome.ServerError);
        Assert.Null(outcome.ClientError);
        Assert.Equal(new PeerIdentity("node2", role), outcome.SeenByServer);
        Assert.Equal(new PeerIdentity("node1", role), outcome.SeenByClient);
        Assert.Equal(SslProtocols.Tls13, outcome.Protocol);
    }

    [Fact]
    public async Task Handshake_OtherRole_IsRefusedByName()
    {
        Init("fleet");
        Outcome outcome = await Handshake(Tls("fleet", "node1", FleetRole.Agent).ForServer(), Tls("fleet", "node2", FleetRole.Brain).ForClient("node1"));

        Assert.Contains("node1/agent has the wrong role", outcome.ClientError, StringComparison.Ordinal);
        Assert.NotNull(outcome.ServerError);
    }

    [Fact]
    public async Task Handshake_ServerMeetsOtherRole_IsRefusedByName()
    {
        Init("fleet");
        SslClientAuthenticationOptions careless = Tls("fleet", "node2", FleetRole.Brain).ForClient("node1");
        careless.RemoteCertificateValidationCallback = (_, _, _, _) => true;

        Outcome outcome = await Handshake(Tls("fleet", "node1", FleetRole.Agent).ForServer(), careless);

        Assert.Contains("node2/brain has the wrong role", outcome.ServerError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Handshake_AnotherFleet_IsRefusedOnBothSides()
    {
        Init("fleet");
        Init("other");
        SslClientAuthenticationOptions careless = Tls("other", "node2", FleetRole.Agent).ForClient("node1");
        careless.RemoteCertificateValidationCallback = (_, _, _, _) => true;

        Outcome atServer = await Handshake(Tls("fleet", "node1", FleetRole.Agent).ForServer(), careless);
        Outcome atClient = await Handshake(Tls("fleet", "node1", FleetRole.Agent).ForServer(), Tls("other", "node2", FleetRole.Agent).ForClient("node1"));

        Assert.Contains("not from this fleet's authority", atServer.ServerError, StringComparison.Ordinal);
        Assert.Contains("not from this fleet's authority", atClient.ClientError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Handshake_NoCertificate_IsRefused()
    {
        Init("fleet");
        SslClientAuthenticationOptions anonymous = new() { TargetHost = "node1", RemoteCertificateValidationCallback = (_, _, _, _) => true };

        Outcome outcome = await Handshake(Tls("fleet", "node1", FleetRole.Agent).ForServer(), anonymous);

        Assert.Contains("showed no certificate", outcome.ServerError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Handshake_NodeTakenOutOfPeersFile_IsRefused()
    {
        Init("fleet");
        FleetTls server = Tls("fleet", "node1", FleetRole.Agent, Peers[..1]);
        SslClientAuthenticationOptions client = Tls("fleet", "node2", FleetRole.Agent).ForClient("node1");

        Outcome outcome = await Handshake(server.ForServer(), client);

        Assert.Contains("node2 is not in the peers file of node1", outcome.ServerError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Handshake_AnotherNodeAnswers_IsRefused()
    {
        Init("fleet");
        Outcome outcome = await Handshake(Tls("fleet", "node3", FleetRole.Agent).ForServer(), Tls("fleet", "node2", FleetRole.Agent).ForClient("node1"));

        Assert.Contains("expected node1, but node3 answered", outcome.ClientError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Handshake_OlderTls_IsRefused()
    {
        Init("fleet");
        SslClientAuthenticationOptions old = Tls("fleet", "node2", FleetRole.Agent).ForClient("node1");
        old.EnabledSslProtocols = SslProtocols.Tls12;

        Outcome outcome = await Handshake(Tls("fleet", "node1", FleetRole.Agent).ForServer(), old);

        Assert.NotNull(outcome.ServerError);
        Assert.NotNull(outcome.ClientError);
    }

    [Fact]
    public void WhyNot_Expired_SaysWhen()
    {
        Init("fleet");
        FleetTls server = Tls("fleet", "node1", FleetRole.Agent);
        using X509Certificate2 certificate = X509CertificateLoader.LoadCertificateFromFile(Path.Combine(Etc("fleet", "node1"), "tls", "agent.crt"));
        _time.Advance(FleetAuthority.NodeLifetime);

        Assert.Equal($"the certificate of \"node1\" expired on {certificate.NotAfter.ToUniversalTime():u}", server.WhyNot(certificate, "node1"));
    }

    [Fact]
    public void WhyNot_NotYetValid_SpeaksOfClocks()
    {
        _time.Advance(TimeSpan.FromDays(2));
        Init("fleet");
        FleetTls server = Tls("fleet", "node1", FleetRole.Agent);
        using X509Certificate2 certificate = X509CertificateLoader.LoadCertificateFromFile(Path.Combine(Etc("fleet", "node1"), "tls", "agent.crt"));
        ManualTime behind = new(DateTimeOffset.UtcNow);
        using X509Certificate2 authority = X509CertificateLoader.LoadCertificateFromFile(Path.Combine(Etc("fleet", "node1"), "tls", "ca.crt"));

        Assert.Null(server.WhyNot(certificate, "node1"));
        Assert.Contains("compare the clocks", FleetAuthorities.Of(authority).WhyNot(certificate, behind.GetUtcNow()), StringComparison.Ordinal);
    }

    [Fact]
    public void WhyNot_TheAuthorityItself_IsNoNode()
    {
        Init("fleet");
        using X509Certificate2 authority = X509CertificateLoader.LoadCertificateFromFile(Path.Combine(Etc("fleet", "node1"), "tls", "ca.crt"));

        Assert.NotNull(Tls("fleet", "node1", FleetRole.Agent).WhyNot(authority, null));
    }

    [Fact]
    public void WhyNot_SignedByANode_IsNotFromTheAuthority()
    {
        // A node's own certificate must not serve to make further ones.
        Init("fleet");
        string tls = Path.Combine(Etc("fleet", "node2"), "tls");
        using X509Certificate2 node = X509Certificate2.CreateFromPemFile(Path.Combine(tls, "agent.crt"), Path.Combine(tls, "agent.key"));
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=node1", key, HashAlgorithmName.SHA256);
        SubjectAlternativeNameBuilder names = new();
        names.AddUri(new PeerIdentity("node1", FleetRole.Agent).Uri);
        request.CertificateExtensions.Add(names.Build());
        using X509Certificate2 forged = request.Create(
            node.SubjectName, X509SignatureGenerator.CreateForECDsa(node.GetECDsaPrivateKey()!), node.NotBefore, node.NotAfter, [1, 2, 3]);

        Assert.Contains("not from this fleet's authority", Tls("fleet", "node3", FleetRole.Agent).WhyNot(forged, null), StringComparison.Ordinal);
    }

    [Fact]
    public void From_TwoIdentities_IsNobody()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=node1", key, HashAlgorithmName.SHA256);
        SubjectAlternativeNameBuilder names = new();
        names.AddUri(new PeerIdentity("node1", FleetRole.Agent).Uri);
        names.AddUri(new PeerIdentity("node2", FleetRole.Agent).Uri);
        request.CertificateExtensions.Add(names.Build());
        using X509Certificate2 certificate = request.CreateSelfSigned(_time.GetUtcNow(), _time.GetUtcNow().AddDays(1));

        Assert.Null(PeerIdentity.From(certificate));
    }

    [Fact]
    public async Task UseOn_KestrelWithHttpClient_RequestCarriesTheIdentity()
    {
        Init("fleet");
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        FleetTls server = Tls("fleet", "node1", FleetRole.Brain);
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, server.UseOn));
        await using WebApplication app = builder.Build();
        app.MapGet("/", (HttpContext context) => FleetTls.IdentityOf(context).ToString());
        await app.StartAsync();
        int port = new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single()).Port;

        using HttpClient known = new(Tls("fleet", "node2", FleetRole.Brain).HttpHandlerFor("node1"));
        Assert.Equal("node2/brain", await known.GetStringAsync($"https://127.0.0.1:{port}/"));
        using HttpClient wrong = new(Tls("fleet", "node2", FleetRole.Brain).HttpHandlerFor("node3"));
        HttpRequestException error = await Assert.ThrowsAsync<HttpRequestException>(() => wrong.GetStringAsync($"https://127.0.0.1:{port}/"));
        Assert.Contains("expected node3, but node1 answered", error.ToString(), StringComparison.Ordinal);
        using HttpClient stranger = new(new SocketsHttpHandler { SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true } });
        await Assert.ThrowsAsync<HttpRequestException>(() => stranger.GetStringAsync($"https://127.0.0.1:{port}/"));
    }

    [Fact]
    public void Load_NothingThere_AllFilesNamed()
    {
        EvacuatorOptions options = Options("fleet", "node1") with { Node = new NodeOptions { Name = "node9" } };

        string[] mistakes = [.. FleetTls.Load(options, FleetRole.Brain, Peers, _time).Mistakes.Select(mistake => mistake.ToString())];

        string tls = options.Fleet.TlsDirectory;
        Assert.Equal(
            [
                $"{tls}/ca.crt: does not exist: join the fleet with \"evacuator fleet join\"",
                $"{tls}/brain.crt: does not exist: join the fleet with \"evacuator fleet join\"",
                $"{tls}/brain.key: does not exist: join the fleet with \"evacuator fleet join\"",
                $"{options.Fleet.PeersFile}: does not name this node, \"node9\"",
            ],
            mistakes);
    }

    [Fact]
    public void Load_CertificateOfAnotherNode_IsAMistake()
    {
        Init("fleet");
        EvacuatorOptions options = Options("fleet", "node1") with { Node = new NodeOptions { Name = "node2" } };

        Assert.Contains("speaks for node1/agent, this is node2/agent", Assert.Single(FleetTls.Load(options, FleetRole.Agent, Peers, _time).Mistakes).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_KeyOfAnother_IsAMistakeOfTheKey()
    {
        Init("fleet");
        string tls = Options("fleet", "node1").Fleet.TlsDirectory;
        File.Copy(Path.Combine(tls, "brain.key"), Path.Combine(tls, "agent.key"), overwrite: true);

        ConfigurationMistake mistake = Assert.Single(FleetTls.Load(Options("fleet", "node1"), FleetRole.Agent, Peers, _time).Mistakes);

        Assert.Equal($"{tls}/agent.key", mistake.File);
        Assert.Contains("is not the key of", mistake.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_KeyThatOthersRead_IsAMistake()
    {
        Init("fleet");
        string key = Path.Combine(Options("fleet", "node1").Fleet.TlsDirectory, "agent.key");
        File.SetUnixFileMode(key, File.GetUnixFileMode(key) | UnixFileMode.OtherRead);

        Assert.Contains("others may read", Assert.Single(FleetTls.Load(Options("fleet", "node1"), FleetRole.Agent, Peers, _time).Mistakes).Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ca.crt")]
    [InlineData("agent.crt")]
    [InlineData("agent.key")]
    public void Load_Garbage_NamesTheFile(string file)
    {
        Init("fleet");
        string path = Path.Combine(Options("fleet", "node1").Fleet.TlsDirectory, file);
        File.WriteAllText(path, "garbage");

        Assert.Equal(path, Assert.Single(FleetTls.Load(Options("fleet", "node1"), FleetRole.Agent, Peers, _time).Mistakes).File);
    }

    [Fact]
    public async Task Handshake_RevokedNode_IsRefusedWithoutARestart()
    {
        Init("fleet");
        FleetTls server = Tls("fleet", "node1", FleetRole.Agent);
        SslClientAuthenticationOptions client = Tls("fleet", "node2", FleetRole.Agent).ForClient("node1");
        Assert.Null((await Handshake(server.ForServer(), client)).ServerError);

        Assert.True(server.Accept(Change("fleet", roster => Without(roster, "node2"))));

        Assert.Contains("node2 had until", (await Handshake(server.ForServer(), client)).ServerError, StringComparison.Ordinal);
        Assert.Null((await Handshake(server.ForServer(), Tls("fleet", "node3", FleetRole.Agent).ForClient("node1"))).ServerError);
    }

    [Fact]
    public async Task Handshake_RevokedAndTakenInAgain_OnlyTheNewCertificateCounts()
    {
        Init("fleet");
        SslClientAuthenticationOptions earlier = Tls("fleet", "node2", FleetRole.Agent).ForClient("node1");
        Change("fleet", roster => Without(roster, "node2"));
        FleetSetup setup = new(_time);
        setup.Init(Path.Combine(_folder.Path, "fleet"), Peers);
        setup.Join(Path.Combine(_folder.Path, "fleet", "node2.join"), Etc("fleet", "node2"), group: null);
        FleetTls server = Tls("fleet", "node1", FleetRole.Agent);
        Assert.True(server.Accept(Roster("fleet")));

        Assert.Contains("revoked", (await Handshake(server.ForServer(), earlier)).ServerError, StringComparison.Ordinal);
        Assert.Null((await Handshake(server.ForServer(), Tls("fleet", "node2", FleetRole.Agent).ForClient("node1"))).ServerError);
    }

    [Fact]
    public void Accept_OlderList_ChangesNothing()
    {
        Init("fleet");
        FleetTls tls = Tls("fleet", "node1", FleetRole.Agent);
        SignedRoster first = Roster("fleet"), second = Change("fleet", roster => Without(roster, "node2"));

        Assert.True(tls.Accept(second));
        Assert.False(tls.Accept(first));
        Assert.False(tls.Accept(second));

        Assert.Equal(second.Roster.Number, tls.Roster!.Roster.Number);
    }

    [Fact]
    public async Task Accept_NodeIsRevoked_WhatStandsWithItIsCutOnBothSides()
    {
        Init("fleet");
        FleetTls server = Tls("fleet", "node1", FleetRole.Brain), client = Tls("fleet", "node2", FleetRole.Brain), bystander = Tls("fleet", "node3", FleetRole.Brain);
        await using WebApplication app = Listen(server, app => app.MapGet("/wait", async (HttpContext context) =>
        {
            await context.Response.WriteAsync("begun");
            await context.Response.Body.FlushAsync();
            await Task.Delay(Timeout.Infinite, context.RequestAborted);
        }));
        await app.StartAsync();
        using HttpClient revoked = new(client.HttpHandlerFor("node1"));
        using HttpClient other = new(bystander.HttpHandlerFor("node1"));
        await using Stream begun = await revoked.GetStreamAsync($"https://127.0.0.1:{PortOf(app)}/wait");
        await using Stream stays = await other.GetStreamAsync($"https://127.0.0.1:{PortOf(app)}/wait");
        await begun.ReadExactlyAsync(new byte[5]);
        await stays.ReadExactlyAsync(new byte[5]);
        Task<int> reading = stays.ReadAsync(new byte[1]).AsTask();

        server.Accept(Change("fleet", roster => Without(roster, "node2")));

        await Assert.ThrowsAnyAsync<IOException>(() => begun.ReadAsync(new byte[1]).AsTask().WaitAsync(TimeSpan.FromSeconds(30)));
        await Assert.ThrowsAsync<HttpRequestException>(() => revoked.GetStringAsync($"https://127.0.0.1:{PortOf(app)}/wait"));
        Assert.False(reading.IsCompleted);

        // The other way round: a client cuts what it has with a server that is out of its list.
        bystander.Accept(Change("fleet", roster => Without(roster, "node1")));
        await Assert.ThrowsAnyAsync<Exception>(() => reading.WaitAsync(TimeSpan.FromSeconds(30)));
        await Assert.ThrowsAsync<HttpRequestException>(() => other.GetStringAsync($"https://127.0.0.1:{PortOf(app)}/wait"));
    }

    [Fact]
    public async Task Accept_AuthorityIsReplaced_WhatStandsGoesOnUntilItIsRetired()
    {
        Init("fleet");
        FleetTls server = Tls("fleet", "node1", FleetRole.Agent), client = Tls("fleet", "node2", FleetRole.Agent), renews = Tls("fleet", "node3", FleetRole.Agent);
        await using WebApplication app = Listen(server, app => app.MapGet("/wait", async (HttpContext context) =>
        {
            await context.Response.WriteAsync("begun");
            await context.Response.Body.FlushAsync();
            await Task.Delay(Timeout.Infinite, context.RequestAborted);
        }));
        await app.StartAsync();
        string at = $"https://127.0.0.1:{PortOf(app)}/wait";
        using HttpClient old = new(client.HttpHandlerFor("node1")), other = new(renews.HttpHandlerFor("node1"));
        await using Stream begun = await old.GetStreamAsync(at);
        await begun.ReadExactlyAsync(new byte[5]);
        Task<int> reading = begun.ReadAsync(new byte[1]).AsTask();

        // 1. Both are trusted: what stands stands, and counts as old.
        Replace("fleet", directory => directory.AddAuthority());
        foreach (FleetTls node in new[] { server, client, renews })
            Assert.True(node.Accept(SignedRoster.Parse(Roster("fleet").Text, node.Authorities, "test")));
        Assert.Equal((1, 1, 0), (server.OldConnections, client.OldConnections, renews.OldConnections));

        // 2. One renews; its connection is new, on both sides as soon as the server has renewed as well.
        Replace("fleet", directory => directory.IssueByNewest());
        FleetSetup setup = new(_time);
        setup.Init(Path.Combine(_folder.Path, "fleet"), Peers);
        foreach (string node in new[] { "node1", "node3" })
            setup.Join(Path.Combine(_folder.Path, "fleet", node + ".join"), Etc("fleet", node), group: null);
        Assert.True(server.Reload().Replaced && renews.Reload().Replaced);
        await using Stream stays = await other.GetStreamAsync(at);
        await stays.ReadExactlyAsync(new byte[5]);
        using CancellationTokenSource stop = new();
        Task<int> staying = stays.ReadAsync(new byte[1], stop.Token).AsTask();
        Assert.Equal((1, 0), (server.OldConnections, renews.OldConnections));
        Assert.False(reading.IsCompleted);

        // 3. Retired: the old one is cut at once, the new one is not.
        Replace("fleet", directory => directory.RetireOld());
        Assert.True(server.Accept(SignedRoster.Parse(Roster("fleet").Text, server.Authorities, "test")));
        await Assert.ThrowsAnyAsync<IOException>(() => reading.WaitAsync(TimeSpan.FromSeconds(30)));
        await Assert.ThrowsAsync<HttpRequestException>(() => old.GetStreamAsync(at));
        Assert.False(staying.IsCompleted);
        Assert.Equal(0, server.OldConnections);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => staying);
    }

    [Fact]
    public async Task Reload_NewCertificate_IsUsedFromTheNextHandshakeOnAndWhatStandsGoesOn()
    {
        Init("fleet");
        FleetTls server = Tls("fleet", "node1", FleetRole.Brain), client = Tls("fleet", "node2", FleetRole.Brain);
        await using WebApplication app = Listen(server, app =>
        {
            app.MapGet("/", (HttpContext context) => context.Connection.ClientCertificate!.SerialNumber);
            app.MapGet("/wait", async (HttpContext context, TaskCompletionSource end) =>
            {
                await context.Response.WriteAsync("begun");
                await context.Response.Body.FlushAsync();
                await end.Task;
            });
        });
        TaskCompletionSource end = app.Services.GetRequiredService<TaskCompletionSource>();
        await app.StartAsync();
        string at = $"https://127.0.0.1:{PortOf(app)}/";
        using HttpClient standing = new(client.HttpHandlerFor("node1"));
        await using Stream begun = await standing.GetStreamAsync(at + "wait");
        await begun.ReadExactlyAsync(new byte[5]);
        Assert.Equal((false, 0), (client.Reload().Replaced, client.Reload().Mistakes.Count));

        Init("fleet"); // issues all anew, with other keys
        Assert.True(client.Reload().Replaced);
        Assert.True(server.Reload().Replaced);

        // The second request goes over a connection of its own: the first is busy.
        Assert.Equal(client.Certificate.SerialNumber, await standing.GetStringAsync(at));
        end.SetResult();
        Assert.Equal(0, await begun.ReadAsync(new byte[1]));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ReadPair_KilledWhileBothAreReplaced_StillAPair(bool beforeTheCertificate)
    {
        Init("fleet");
        string tls = Options("fleet", "node1").Fleet.TlsDirectory;
        FleetFiles files = new(tls, FleetRole.Agent);
        using X509Certificate2 before = files.ReadPair([])!.Certificate;
        string old = File.ReadAllText(Path.Combine(tls, "agent.crt")), oldKey = File.ReadAllText(Path.Combine(tls, "agent.key"));
        JoinBundle bundle = JoinBundle.Read(Path.Combine(_folder.Path, "fleet", "node1.join"));
        using FleetAuthority authority = FleetAuthority.FromPem(
            bundle.Authority, File.ReadAllText(Path.Combine(_folder.Path, "fleet", "ca.key")), _time);
        IssuedCertificate renewed = authority.Issue(new PeerIdentity("node1", FleetRole.Agent));
        files.Replace(renewed, group: null);
        using (X509Certificate2 after = files.ReadPair([])!.Certificate)
            Assert.NotEqual(before.SerialNumber, after.SerialNumber);

        // As a kill leaves it: the new key beside the old one; the certificate not yet, or already, replaced.
        File.Move(Path.Combine(tls, "agent.key"), Path.Combine(tls, "agent.key.next"));
        File.WriteAllText(Path.Combine(tls, "agent.key"), oldKey);
        File.SetUnixFileMode(Path.Combine(tls, "agent.key"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        if (beforeTheCertificate)
            File.WriteAllText(Path.Combine(tls, "agent.crt"), old);

        List<ConfigurationMistake> mistakes = [];
        using X509Certificate2? read = files.ReadPair(mistakes)?.Certificate;
        Assert.Empty(mistakes);
        Assert.Equal(beforeTheCertificate, read!.SerialNumber == before.SerialNumber);
    }

    [Fact]
    public void Reload_FilesThatDoNotFit_KeepTheEarlier()
    {
        Init("fleet");
        FleetTls tls = Tls("fleet", "node1", FleetRole.Agent);
        string serial = tls.Certificate.SerialNumber;
        string directory = Options("fleet", "node1").Fleet.TlsDirectory;
        foreach (string broken in new[] { "garbage", File.ReadAllText(Path.Combine(Etc("fleet", "node2"), "tls", "agent.crt")) })
        {
            File.WriteAllText(Path.Combine(directory, "agent.crt"), broken);
            (bool replaced, IReadOnlyList<ConfigurationMistake> mistakes) = tls.Reload();
            Assert.False(replaced);
            Assert.NotEmpty(mistakes);
        }

        Assert.Equal(serial, tls.Certificate.SerialNumber);
    }

    [Fact]
    public void Load_RevokedNode_SaysWhenAndWhatToDo()
    {
        Init("fleet");
        SignedRoster roster = Change("fleet", roster => Without(roster, "node1"));

        Assert.Contains("taken out of the fleet on", Assert.Single(FleetTls.Load(Options("fleet", "node1"), FleetRole.Agent, Peers, _time, roster).Mistakes).Text, StringComparison.Ordinal);
    }

    private FleetRoster Without(FleetRoster roster, string node) =>
        roster.WithRevoked(node, _time.GetUtcNow()) with { Nodes = [.. roster.Nodes.Where(peer => peer.Name != node)] };

    private SignedRoster Change(string fleet, Func<FleetRoster, FleetRoster> change)
    {
        using AuthorityDirectory directory = AuthorityDirectory.Open(Path.Combine(_folder.Path, fleet), create: false, _time);
        directory.Change(change);
        return directory.Signed;
    }

    private void Replace(string fleet, Action<AuthorityDirectory> change)
    {
        using AuthorityDirectory directory = AuthorityDirectory.Open(Path.Combine(_folder.Path, fleet), create: false, _time);
        change(directory);
    }

    private SignedRoster Roster(string fleet)
    {
        using AuthorityDirectory directory = AuthorityDirectory.Open(Path.Combine(_folder.Path, fleet), create: false, _time);
        return directory.Signed;
    }

    private static WebApplication Listen(FleetTls tls, Action<WebApplication> map)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton<TaskCompletionSource>();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, tls.UseOn));
        WebApplication app = builder.Build();
        map(app);
        return app;
    }

    private static int PortOf(WebApplication app) => new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single()).Port;

    private void Init(string fleet)
    {
        FleetSetup setup = new(_time);
        setup.Init(Path.Combine(_folder.Path, fleet), Peers);
        foreach (Peer peer in Peers)
            setup.Join(Path.Combine(_folder.Path, fleet, peer.Name + ".join"), Etc(fleet, peer.Name), group: null);
    }

    private string Etc(string fleet, string node) => Path.Combine(_folder.Path, fleet, "etc-" + node);

    private EvacuatorOptions Options(string fleet, string node) => new()
    {
        Node = new NodeOptions { Name = node },
        Fleet = new FleetOptions { TlsDirectory = Path.Combine(Etc(fleet, node), "tls"), PeersFile = Path.Combine(Etc(fleet, node), "peers.conf") },
    };

    private FleetTls Tls(string fleet, string node, FleetRole role, Peer[]? peers = null)
    {
        Checked<FleetTls> tls = FleetTls.Load(Options(fleet, node), role, peers ?? Peers, _time);
        Assert.Empty(tls.Mistakes);
        _owned.Add(tls.Value!);
        return tls.Value!;
    }

    private sealed record Outcome(string? ServerError, string? ClientError, PeerIdentity? SeenByServer, PeerIdentity? SeenByClient, SslProtocols Protocol);

    /// <summary>One byte each way after the handshake: with TLS 1.3 a client learns of a refusal only when it reads.</summary>
    private static async Task<Outcome> Handshake(SslServerAuthenticationOptions serverOptions, SslClientAuthenticationOptions clientOptions)
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        using TcpClient clientSocket = new();
        Task<TcpClient> accepting = listener.AcceptTcpClientAsync();
        await clientSocket.ConnectAsync((IPEndPoint)listener.LocalEndpoint);
        using TcpClient serverSocket = await accepting;
        await using SslStream server = new(serverSocket.GetStream());
        await using SslStream client = new(clientSocket.GetStream());
        PeerIdentity? seenByServer = null, seenByClient = null;
        Task<string?> serving = Try(serverSocket, async () =>
        {
            await server.AuthenticateAsServerAsync(serverOptions);
            seenByServer = PeerIdentity.From(X509CertificateLoader.LoadCertificate(server.RemoteCertificate!.GetRawCertData()));
            await server.WriteAsync(new byte[1]);
            await server.ReadExactlyAsync(new byte[1]);
        });
        string? clientError = await Try(clientSocket, async () =>
        {
            await client.AuthenticateAsClientAsync(clientOptions);
            seenByClient = PeerIdentity.From(X509CertificateLoader.LoadCertificate(client.RemoteCertificate!.GetRawCertData()));
            await client.WriteAsync(new byte[1]);
            await client.ReadExactlyAsync(new byte[1]);
        });
        string? serverError = await serving;
        return new Outcome(serverError, clientError, seenByServer, seenByClient, serverError is null ? server.SslProtocol : SslProtocols.None);
    }

    private static async Task<string?> Try(TcpClient socket, Func<Task> work)
    {
        try
        {
            await work();
            return null;
        }
        catch (Exception e) when (e is AuthenticationException or IOException)
        {
            socket.Close();
            return e.ToString();
        }
    }
}
