using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Cli.Membership;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Fleet.Authority;
using Evacuator.Testing;
using Evacuator.Tests.Fakes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Tests.Fleet;

/// <summary>The authority's service on loopback, real TLS, and nodes that join it, renew, and leave: files, keys and messages as on hosts.</summary>
public sealed class AuthorityTests : IAsyncLifetime
{
    private readonly TemporaryFolder _folder = new();

    // TLS knows no other clock than the wall's: this one starts there.
    private readonly ManualTime _time = new(DateTimeOffset.UtcNow);
    private readonly ConcurrentQueue<string> _told = new();
    private readonly int _port = TestFleet.FreePort();
    private WebApplication? _app;

    private string Directory => Path.Combine(_folder.Path, "authority");

    private DnsEndPoint At => new("127.0.0.1", _port);

    private Registrar Registrar => new(Directory, _time);

    public async Task InitializeAsync()
    {
        using (AuthorityDirectory directory = AuthorityDirectory.Open(Directory, create: true, _time))
            new FleetSetup(_time).Found(directory, new Peer("node1", "10.0.0.1"), $"127.0.0.1:{_port}", Etc("node1"), group: null, replaceFleet: false);
        EvacuatorOptions options = Options("node1");
        options = options with { Fleet = options.Fleet with { AuthorityPort = _port }, Log = new LogOptions { Level = "error" } };
        _app = AuthorityHost.Build(new AuthoritySetup(Directory, options, IPAddress.Loopback, (roster, _) =>
        {
            _told.Enqueue(roster);
            return Task.CompletedTask;
        }, logging => logging.ClearProviders()), _time);
        await _app.StartAsync();
    }

    public async Task DisposeAsync()
    {
        await _app!.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public async Task Join_GoodToken_IsANodeWithItsOwnKeysAndTheFleetIsTold()
    {
        FleetJoinResult result = await JoinAsync(Token(), "node2");

        Assert.Equal(["node1", "node2"], result.Peers.Select(peer => peer.Name));
        using FleetTls first = Load("node1", FleetRole.Brain), second = Load("node2", FleetRole.Brain);
        Assert.Equal(new PeerIdentity("node2", FleetRole.Brain), second.Identity);
        // The first hears of it with the list that the fleet is told, and only then lets it in.
        Assert.Contains("not in the fleet", first.WhyNot(second.Certificate, null), StringComparison.Ordinal);
        Assert.True(first.Accept(SignedRoster.Parse(Assert.Single(_told), first.Authorities, "told")));
        Assert.Null(first.WhyNot(second.Certificate, "node2"));
        Assert.Null(second.WhyNot(first.Certificate, "node1"));
        // The key was made there and nowhere else.
        string key = File.ReadAllText(Path.Combine(Etc("node2"), "tls", "agent.key"));
        Assert.DoesNotContain(System.IO.Directory.EnumerateFiles(Directory, "*", SearchOption.AllDirectories), file => File.ReadAllText(file).Contains(key.Split('\n')[1], StringComparison.Ordinal));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(Etc("node2"), "tls", "agent.key")));
    }

    [Fact]
    public async Task Join_UsedToken_IsRefusedAndNothingIsWritten()
    {
        JoinToken token = Token();
        await JoinAsync(token, "node2");

        FleetSetupException refused = await Assert.ThrowsAsync<FleetSetupException>(() => JoinAsync(token, "node3"));

        Assert.Contains("was used at", refused.Message, StringComparison.Ordinal);
        Assert.Contains("by node2", refused.Message, StringComparison.Ordinal);
        Assert.False(System.IO.Directory.Exists(Etc("node3")));
        Assert.Equal(["node1", "node2"], Registrar.Roster().Nodes.Select(node => node.Name));
    }

    [Fact]
    public async Task Join_ExpiredToken_IsRefused()
    {
        JoinToken token = Registrar.MakeToken(null, TimeSpan.FromMinutes(1));
        _time.Advance(TimeSpan.FromMinutes(2));

        Assert.Contains("expired at", (await Assert.ThrowsAsync<FleetSetupException>(() => JoinAsync(token, "node2"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Join_TokenOfAnotherFleet_NothingIsSentToThisOne()
    {
        using AuthorityDirectory other = AuthorityDirectory.Open(Path.Combine(_folder.Path, "other"), create: true, _time);
        JoinToken token = JoinToken.Make(other.Fingerprint);

        FleetSetupException refused = await Assert.ThrowsAsync<FleetSetupException>(() => JoinAsync(token, "node2"));

        Assert.Contains("is not the authority that made this token", refused.Message, StringComparison.Ordinal);
        Assert.Contains(other.Fingerprint, refused.Message, StringComparison.Ordinal);
        Assert.False(System.IO.Directory.Exists(Etc("node2")));
    }

    [Fact]
    public async Task Join_SomebodyRepeatsTheAuthoritysCertificate_HisOwnIsFoundOut()
    {
        // The certificate is public: who shows it without its key has to speak with another one.
        using FleetAuthority liar = FleetAuthority.Create(_time);
        using X509Certificate2 shown = liar.IssueOwn(new PeerIdentity("node1", FleetRole.Authority), TimeSpan.FromDays(1));
        string introduction = System.Text.Json.JsonSerializer.Serialize(
            new Introduction(File.ReadAllText(Path.Combine(Directory, "ca.crt")), _time.GetUtcNow()), Common.AgentApi.ApiJson.Options);
        List<string> heard = [];
        int port = TestFleet.FreePort();
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, listen => listen.UseHttps(shown)));
        await using WebApplication app = builder.Build();
        app.MapGet(AuthorityRoutes.Introduction, () => Microsoft.AspNetCore.Http.Results.Text(introduction, "application/json"));
        app.MapPost(AuthorityRoutes.Join, () => heard.Add("join"));
        await app.StartAsync();

        FleetSetupException refused = await Assert.ThrowsAnyAsync<FleetSetupException>(() => JoinAsync(Token(), "node2", at: new DnsEndPoint("127.0.0.1", port)));

        Assert.Contains("not from this fleet's authority", refused.Message, StringComparison.Ordinal);
        Assert.Empty(heard);
    }

    [Fact]
    public async Task Join_ClockFarOff_IsRefusedBeforeTheTokenIsUsed()
    {
        JoinToken token = Token();
        foreach (TimeSpan off in new[] { TimeSpan.FromMinutes(30), TimeSpan.FromMinutes(-30) })
        {
            FleetSetupException refused = await Assert.ThrowsAsync<FleetSetupException>(() => JoinAsync(token, "node2", clock: new ManualTime(_time.GetUtcNow() + off)));
            Assert.Contains(off > TimeSpan.Zero ? "30min ahead of" : "30min behind", refused.Message, StringComparison.Ordinal);
        }

        // A little is no harm: certificates are backdated.
        Assert.Equal("node2", (await JoinAsync(token, "node2", clock: new ManualTime(_time.GetUtcNow() - TimeSpan.FromMinutes(4)))).Node);
    }

    [Fact]
    public async Task Join_NameThatTheFleetHas_OnlyWithATokenForIt_AndTheEarlierCertificatesAreVoid()
    {
        await JoinAsync(Token(), "node2");
        using FleetTls earlier = Load("node2", FleetRole.Agent);

        Assert.Contains("made with --for node2 replaces it", (await Assert.ThrowsAsync<FleetSetupException>(() => JoinAsync(Token(), "node2", address: "10.0.0.22"))).Message, StringComparison.Ordinal);
        Assert.Contains("the token is for node9", (await Assert.ThrowsAsync<FleetSetupException>(() => JoinAsync(Token("node9"), "node2"))).Message, StringComparison.Ordinal);
        Assert.Contains("is the address of node1", (await Assert.ThrowsAsync<FleetSetupException>(() => JoinAsync(Token(), "node3", address: "10.0.0.1"))).Message, StringComparison.Ordinal);
        await JoinAsync(Token("node2"), "node2", address: "10.0.0.22");

        using FleetTls first = Load("node1", FleetRole.Agent), again = Load("node2", FleetRole.Agent);
        first.Accept(SignedRoster.Parse(Registrar.RosterText(), first.Authorities, "test"));
        Assert.Contains("were revoked", first.WhyNot(earlier.Certificate, "node2"), StringComparison.Ordinal);
        Assert.Null(first.WhyNot(again.Certificate, "node2"));
        Assert.Equal("10.0.0.22", Registrar.Roster().Nodes.Single(node => node.Name == "node2").Address);
    }

    [Fact]
    public async Task Join_ManyWrongTokens_TheAddressHasToWait()
    {
        string fingerprint = Token().Fingerprint;
        for (int attempt = 0; attempt < JoinGuard.MaxFailures; attempt++)
            Assert.Contains("knows no such token", (await Assert.ThrowsAsync<FleetSetupException>(() => JoinAsync(JoinToken.Make(fingerprint), "node2"))).Message, StringComparison.Ordinal);

        JoinToken good = Token();
        Assert.Contains("too many wrong tokens", (await Assert.ThrowsAsync<FleetSetupException>(() => JoinAsync(good, "node2"))).Message, StringComparison.Ordinal);
        _time.Advance(JoinGuard.Window);
        Assert.Equal("node2", (await JoinAsync(good, "node2")).Node);
    }

    [Fact]
    public async Task Join_AnswerLost_TheSameKeysMayAskAgainAndGetTheSamePlace()
    {
        JoinToken token = Token();
        NodeRequest brain = NodeRequest.Make(new PeerIdentity("node2", FleetRole.Brain)), agent = NodeRequest.Make(new PeerIdentity("node2", FleetRole.Agent));
        JoinRequest request = new(token.Id, token.Secret, "node2", "10.0.0.2", brain.RequestPem, agent.RequestPem);
        Acquaintance met = await AuthorityClient.MeetAsync(At, token.Fingerprint, default);
        using X509Certificate2 authority = met.Authority;
        using AuthorityClient client = new(At, FleetAuthorities.Of(authority), null, _time);

        JoinReply first = await client.JoinAsync(request, default);
        JoinReply second = await client.JoinAsync(request, default);

        Assert.Equal(first.Roster, second.Roster);
        FleetSetup.Verify("test", "node2", FleetAuthorities.FromFile(Path.Combine(Directory, "ca.crt")), new IssuedCertificate(second.Brain, brain.KeyPem), new IssuedCertificate(second.Agent, agent.KeyPem), _time);
        NodeRequest stolen = NodeRequest.Make(new PeerIdentity("node2", FleetRole.Brain));
        Assert.Contains("was used", (await Assert.ThrowsAsync<FleetSetupException>(() => client.JoinAsync(request with { Brain = stolen.RequestPem }, default))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("../../etc", "10.0.0.2", "a node's name must be")]
    [InlineData("node2", "10.0.0.2\n[node9]", "must be a host name or an IP address")]
    public async Task Join_NameOrAddressThatIsNone_IsRefusedByTheAuthority(string name, string address, string expected)
    {
        JoinToken token = Token();
        using X509Certificate2 authority = (await AuthorityClient.MeetAsync(At, token.Fingerprint, default)).Authority;
        using AuthorityClient client = new(At, FleetAuthorities.Of(authority), null, _time);
        string pem = NodeRequest.Make(new PeerIdentity("x", FleetRole.Brain)).RequestPem;

        Assert.Contains(expected, (await Assert.ThrowsAsync<FleetSetupException>(() => client.JoinAsync(new JoinRequest(token.Id, token.Secret, name, address, pem, pem), default))).Message, StringComparison.Ordinal);
        Assert.Contains("request is damaged", (await Assert.ThrowsAsync<FleetSetupException>(() => client.JoinAsync(new JoinRequest(token.Id, token.Secret, "node2", "10.0.0.2", "x", "y"), default))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Renew_WhenDue_NewKeysThatARunningServiceTakes()
    {
        await JoinAsync(Token(), "node2");
        using FleetTls running = Load("node2", FleetRole.Brain);
        string before = running.Certificate.SerialNumber, key = File.ReadAllText(Path.Combine(Etc("node2"), "tls", "brain.key"));

        Assert.All(await RenewVerb.RenewAsync(Options("node2"), ifDue: true, group: null, _time, default), line => Assert.Contains("not due", line, StringComparison.Ordinal));
        Assert.False(running.Reload().Replaced);

        Assert.All(await RenewVerb.RenewAsync(Options("node2"), ifDue: false, group: null, _time, default), line => Assert.Contains("renewed until", line, StringComparison.Ordinal));
        Assert.True(running.Reload().Replaced);
        Assert.NotEqual(before, running.Certificate.SerialNumber);
        Assert.NotEqual(key, File.ReadAllText(Path.Combine(Etc("node2"), "tls", "brain.key")));
        using FleetTls first = Load("node1", FleetRole.Brain);
        first.Accept(running.Roster!);
        Assert.Null(first.WhyNot(running.Certificate, "node2"));
    }

    [Fact]
    public async Task Renew_Revoked_IsRefusedAndTheFilesStay()
    {
        await JoinAsync(Token(), "node2");
        string key = File.ReadAllText(Path.Combine(Etc("node2"), "tls", "brain.key"));
        Registrar.Revoke("node2");

        Assert.Contains("were revoked then", (await Assert.ThrowsAsync<FleetSetupException>(() => RenewVerb.RenewAsync(Options("node2"), ifDue: false, group: null, _time, default))).Message, StringComparison.Ordinal);
        Assert.Equal(key, File.ReadAllText(Path.Combine(Etc("node2"), "tls", "brain.key")));
    }

    [Fact]
    public async Task Renew_OneRole_NeverGetsAnother()
    {
        // A brain that was taken over must not become an agent: what it asks for is of its own role, whatever the request says.
        await JoinAsync(Token(), "node2");
        using FleetTls brain = Load("node2", FleetRole.Brain);
        using AuthorityClient client = new(At, brain.Authorities, brain.Certificate, _time);
        NodeRequest asAgent = NodeRequest.Make(new PeerIdentity("node1", FleetRole.Agent));

        using X509Certificate2 issued = X509Certificate2.CreateFromPem((await client.RenewAsync(asAgent.RequestPem, default)).Certificate);

        Assert.Equal(new PeerIdentity("node2", FleetRole.Brain), PeerIdentity.From(issued));
        Assert.Contains("the agent's certificate may", (await Assert.ThrowsAsync<FleetSetupException>(() => client.LeaveAsync(default))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Replace_NodeThatHasHeardOfNothing_HearsOfItRenewsAndOutlivesTheOld()
    {
        await JoinAsync(Token(), "node2");
        using FleetTls running = Load("node2", FleetRole.Brain);
        string old = running.Authorities.Fingerprints[0];
        AuthorityState added = Registrar.AddAuthority();
        string made = added.Newest;
        Assert.Equal((old, false), (added.Old, added.NewestIssues));

        // 1. The service still speaks with a certificate of the old one, so who knows that alone can ask.
        using (AuthorityClient client = new(At, running.Authorities, running.Certificate, _time))
        {
            SignedRoster list = SignedRoster.Parse(await client.RosterAsync(default), running.Authorities, "test");
            Assert.True(running.Accept(list));
            FleetMembers.Write(Options("node2"), list);
        }

        Assert.Equal([made, old], running.Authorities.Fingerprints);
        // Nobody has a reason to renew before the new one issues.
        Assert.All(await RenewVerb.RenewAsync(Options("node2"), ifDue: true, group: null, _time, default), line => Assert.Contains("not due", line, StringComparison.Ordinal));

        // 2. It issues, and what is of the old one is due.
        FleetMembers.Write(Options("node2"), SignedRoster.Parse(Registrar.IssueByNewest().Signed.Text, running.Authorities, "test"));
        Assert.All(await RenewVerb.RenewAsync(Options("node2"), ifDue: true, group: null, _time, default), line => Assert.Contains("by the new authority", line, StringComparison.Ordinal));
        Assert.All(await RenewVerb.RenewAsync(Options("node2"), ifDue: true, group: null, _time, default), line => Assert.Contains("not due", line, StringComparison.Ordinal));
        Assert.True(running.Reload().Replaced);
        Assert.Equal(made, running.IssuedBy);

        // 3. The old one is gone: its node goes on, and the service is of the new one at once.
        Assert.True(running.Accept(SignedRoster.Parse(Registrar.RetireOld().Signed.Text, running.Authorities, "test")));
        Assert.Null(running.WhyOut);
        using (AuthorityClient client = new(At, running.Authorities, running.Certificate, _time))
            Assert.Equal([made], SignedRoster.Parse(await client.RosterAsync(default), running.Authorities, "test").Authorities.Fingerprints);
        Assert.Equal("node3", (await JoinAsync(Token(), "node3", address: "10.0.0.3")).Node);
    }

    [Fact]
    public async Task Renew_NewAuthorityThatTheNodeHasNotHeardOf_IsNotPutIntoItsFiles()
    {
        await JoinAsync(Token(), "node2");
        string certificate = File.ReadAllText(Path.Combine(Etc("node2"), "tls", "brain.crt"));
        Registrar.AddAuthority();
        Registrar.IssueByNewest();

        FleetSetupException refused = await Assert.ThrowsAsync<FleetSetupException>(() => RenewVerb.RenewAsync(Options("node2"), ifDue: false, group: null, _time, default));

        Assert.Contains("has not heard of the new one", refused.Message, StringComparison.Ordinal);
        Assert.Equal(certificate, File.ReadAllText(Path.Combine(Etc("node2"), "tls", "brain.crt")));
    }

    [Fact]
    public async Task Retired_NodeThatSlept_IsToldToJoinAgain_AndGetsNothingElse()
    {
        await JoinAsync(Token(), "node2");
        using FleetTls slept = Load("node2", FleetRole.Agent);
        FleetAuthorities both = Registrar.AddAuthority().Signed.Authorities;
        Registrar.RetireOld();

        // 1. It knows the old one only: the authority itself is a stranger to it.
        using (AuthorityClient client = new(At, slept.Authorities, slept.Certificate, _time))
            await Assert.ThrowsAsync<AuthorityChangedException>(() => client.RosterAsync(default));

        // 2. It knows both, and its certificate is void: whatever it asks for, it hears why.
        using (AuthorityClient client = new(At, both, slept.Certificate, _time))
        {
            string request = NodeRequest.Make(slept.Identity).RequestPem;
            foreach (Func<Task> call in new Func<Task>[] { () => client.RosterAsync(default), () => client.RenewAsync(request, default), () => client.LeaveAsync(default) })
            {
                AuthorityChangedException refused = await Assert.ThrowsAsync<AuthorityChangedException>(call);
                Assert.Contains("it is from the one that was retired at", refused.Message, StringComparison.Ordinal);
                Assert.Contains("evacuator fleet token --for node2", refused.Message, StringComparison.Ordinal);
            }
        }

        Assert.Equal(2, Registrar.Roster().Nodes.Count);
        Assert.Contains("--replace makes it a node of", (await Assert.ThrowsAsync<FleetSetupException>(() => JoinAsync(Token("node2"), "node2"))).Message, StringComparison.Ordinal);
        await JoinAsync(Token("node2"), "node2", replace: true);
        using FleetTls again = Load("node2", FleetRole.Agent);
        Assert.Null(again.WhyOut);
    }

    [Fact]
    public async Task Certificate_OfAnotherFleet_IsNobody()
    {
        using FleetAuthority other = FleetAuthority.Create(_time);
        using X509Certificate2 stranger = other.IssueOwn(new PeerIdentity("node1", FleetRole.Agent), TimeSpan.FromDays(1));
        using FleetTls first = Load("node1", FleetRole.Agent);
        using AuthorityClient client = new(At, first.Authorities, stranger, _time);

        Assert.Contains("not from this fleet's authority", (await Assert.ThrowsAsync<AuthorityChangedException>(() => client.RosterAsync(default))).Message, StringComparison.Ordinal);
        Assert.Contains("not from this fleet's authority", (await Assert.ThrowsAsync<AuthorityChangedException>(() => client.LeaveAsync(default))).Message, StringComparison.Ordinal);
        Assert.Equal(["node1"], Registrar.Roster().Nodes.Select(node => node.Name));
    }

    [Fact]
    public async Task Join_WhileItIsReplaced_TrustsBothAndHasACertificateThatAllAccept()
    {
        JoinToken before = Token();
        Registrar.AddAuthority();
        await JoinAsync(before, "node2");
        Registrar.IssueByNewest();
        await JoinAsync(Token(), "node3", address: "10.0.0.3");

        using FleetTls second = Load("node2", FleetRole.Brain), third = Load("node3", FleetRole.Brain);
        Assert.Equal(second.Authorities.Fingerprints, third.Authorities.Fingerprints);
        Assert.Equal((third.Authorities.Fingerprints[1], third.Authorities.Fingerprints[0]), (second.IssuedBy, third.IssuedBy));
        second.Accept(third.Roster!);
        Assert.Null(second.WhyNot(third.Certificate, "node3"));
        Assert.Null(third.WhyNot(second.Certificate, "node2"));
    }

    [Fact]
    public void Vouch_ListOfANewAuthority_OnlyWithItsFingerprintAndOfThisFleet()
    {
        FleetMembers known = FleetMembers.Load(Options("node1")).Value!;
        string elsewhere = Path.Combine(_folder.Path, "elsewhere");
        SignedRoster list = new Registrar(elsewhere, _time).AddWithoutKey(known.Roster!.Authorities.Newest, known.Roster.Roster, null).Signed;
        using FleetAuthority other = FleetAuthority.Create(_time);
        string foreign = SignedRoster.Sign(new FleetRoster { Number = long.MaxValue, Made = _time.GetUtcNow(), Nodes = [], Authorities = [other.CertificatePem] }, other).Text;

        Assert.Contains("is not a list of authority", Assert.Throws<FleetSetupException>(() => AcceptVerb.Vouch(Options("node1"), list.Text, new string('A', 64), "test")).Message, StringComparison.Ordinal);
        Assert.Contains("of another fleet", Assert.Throws<FleetSetupException>(() => AcceptVerb.Vouch(Options("node1"), foreign, FleetAuthorities.FingerprintOf(other.Certificate), "test")).Message, StringComparison.Ordinal);
        // Who has signed it matters, not whom it names.
        string borrowed = SignedRoster.Sign(list.Roster, other).Text;
        Assert.Contains("not signed", Assert.Throws<FleetSetupException>(() => AcceptVerb.Vouch(Options("node1"), borrowed, list.Authorities.Fingerprints[0], "test")).Message, StringComparison.Ordinal);
        Assert.Single(FleetAuthorities.FromFile(Path.Combine(Etc("node1"), "tls", "ca.crt")).All);

        AcceptVerb.Vouch(Options("node1"), list.Text, string.Join(':', list.Authorities.Fingerprints[0].ToLowerInvariant().Chunk(2).Select(pair => new string(pair))), "test");
        AcceptVerb.Vouch(Options("node1"), list.Text, list.Authorities.Fingerprints[0], "test");
        using FleetTls first = Load("node1", FleetRole.Brain);
        Assert.Equal(list.Authorities.Fingerprints, first.Authorities.Fingerprints);
    }

    [Fact]
    public async Task Leave_OfItself_IsOutAndMayAskAgain()
    {
        await JoinAsync(Token(), "node2");
        _told.Clear();

        await LeaveVerb.TakeOutAsync(Options("node2"), $"127.0.0.1:{_port}", _time, default);
        await LeaveVerb.TakeOutAsync(Options("node2"), $"127.0.0.1:{_port}", _time, default);

        Assert.Equal(["node1"], Registrar.Roster().Nodes.Select(node => node.Name));
        using FleetTls first = Load("node1", FleetRole.Agent);
        first.Accept(SignedRoster.Parse(_told.First(), first.Authorities, "told"));
        using X509Certificate2 left = X509CertificateLoader.LoadCertificateFromFile(Path.Combine(Etc("node2"), "tls", "agent.crt"));
        Assert.Contains("were revoked", first.WhyNot(left, null), StringComparison.Ordinal);
        FleetSetup.Uninstall(Etc("node2"));
        Assert.Empty(System.IO.Directory.EnumerateFiles(Etc("node2"), "*", SearchOption.AllDirectories));
        Assert.Equal("node2", (await JoinAsync(Token(), "node2")).Node);
    }

    [Theory]
    [InlineData(AuthorityRoutes.Roster)]
    [InlineData(AuthorityRoutes.Renew)]
    [InlineData(AuthorityRoutes.Leave)]
    public async Task WithoutACertificate_OnlyJoiningIsThere(string route)
    {
        using HttpClient http = new(new SocketsHttpHandler { SslOptions = new SslClientAuthenticationOptions { RemoteCertificateValidationCallback = (_, _, _, _) => true } });
        using HttpRequestMessage request = new(route == AuthorityRoutes.Roster ? HttpMethod.Get : HttpMethod.Post, $"https://127.0.0.1:{_port}{route}");
        if (route == AuthorityRoutes.Renew)
            request.Content = System.Net.Http.Json.JsonContent.Create(new RenewRequest("x"), options: Common.AgentApi.ApiJson.Options);

        Assert.Equal(HttpStatusCode.Unauthorized, (await http.SendAsync(request)).StatusCode);
    }

    [Fact]
    public async Task Join_TwoTokensAtOnce_BothAreInTheList()
    {
        await Task.WhenAll(Enumerable.Range(2, 6).Select(number => JoinAsync(Token(), $"node{number}", address: $"10.0.0.{number}")));

        Assert.Equal(7, Registrar.Roster().Nodes.Count);
    }

    [Theory]
    [InlineData("host", "host", 7363)]
    [InlineData("host:1", "host", 1)]
    [InlineData("10.0.0.1:99", "10.0.0.1", 99)]
    [InlineData("fd00::1", "fd00::1", 7363)]
    [InlineData("[fd00::1]:99", "fd00::1", 99)]
    public void ParseAddress_Forms_AreUnderstood(string text, string host, int port)
    {
        DnsEndPoint at = AuthorityClient.ParseAddress(text);
        Assert.Equal((host, port), (at.Host, at.Port));
        Assert.Equal(at, AuthorityClient.ParseAddress(AuthorityClient.Text(at)));
    }

    private JoinToken Token(string? forNode = null) => Registrar.MakeToken(forNode, TimeSpan.FromHours(1));

    private Task<FleetJoinResult> JoinAsync(JoinToken token, string node, string? address = null, DnsEndPoint? at = null, TimeProvider? clock = null, bool replace = false) =>
        JoinVerb.JoinAsync(new JoinVerb.TokenJoin(token, at ?? At, node, address ?? $"10.0.0.{node[^1]}", Etc(node), null, replace), clock ?? _time, default);

    private string Etc(string node) => Path.Combine(_folder.Path, "etc-" + node);

    private EvacuatorOptions Options(string node) => new()
    {
        Node = new NodeOptions { Name = node },
        Fleet = new FleetOptions { TlsDirectory = Path.Combine(Etc(node), "tls"), PeersFile = Path.Combine(Etc(node), "peers.conf") },
    };

    private FleetTls Load(string node, FleetRole role)
    {
        FleetMembers members = FleetMembers.Load(Options(node)).Value!;
        Checked<FleetTls> tls = FleetTls.Load(Options(node), role, members.Peers, _time, members.Roster);
        Assert.Empty(tls.Mistakes);
        return tls.Value!;
    }
}
