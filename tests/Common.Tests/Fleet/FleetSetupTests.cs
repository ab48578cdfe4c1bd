using System.Text.Json.Nodes;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Testing;

namespace Evacuator.Common.Tests.Fleet;

public sealed class FleetSetupTests : IDisposable
{
    private static readonly Peer[] Two = [new("node1", "10.0.0.1"), new("node2", "10.0.0.2")];

    private readonly TemporaryFolder _folder = new();
    private readonly ManualTime _time = new();
    private readonly FleetSetup _setup;

    public FleetSetupTests() => _setup = new FleetSetup(_time);

    private string Fleet => Path.Combine(_folder.Path, "fleet");

    private string Etc => Path.Combine(_folder.Path, "etc");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Init_NewDirectory_SecretsAreTheOwnersAlone()
    {
        FleetInitResult result = _setup.Init(Fleet, Two);

        Assert.True(result.NewAuthority);
        Assert.Equal([Path.Combine(Fleet, "node1.join"), Path.Combine(Fleet, "node2.join")], result.Bundles);
        const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        Assert.Equal(Private | UnixFileMode.UserExecute, File.GetUnixFileMode(Fleet));
        Assert.All([.. result.Bundles, Path.Combine(Fleet, "ca.key")], path => Assert.Equal(Private, File.GetUnixFileMode(path)));
        Assert.Equal([".lock", "ca.crt", "ca.key", "fleet.json", "node1.join", "node2.join", "peers.conf"], Names(Fleet));
    }

    [Fact]
    public void Init_Again_KeepsTheAuthorityAndAddsNodes()
    {
        string first = _setup.Init(Fleet, Two).Fingerprint;

        FleetInitResult result = _setup.Init(Fleet, [new("node3", "10.0.0.3"), new("node2", "10.0.0.22")]);

        Assert.False(result.NewAuthority);
        Assert.Equal(first, result.Fingerprint);
        Peer[] expected = [new("node1", "10.0.0.1"), new("node2", "10.0.0.22"), new("node3", "10.0.0.3")];
        Assert.Equal(expected, result.Peers);
        Assert.All(result.Bundles, path => Assert.Equal(expected, JoinBundle.Read(path).Peers));
        Assert.Equal(3, result.Bundles.Count);
    }

    [Fact]
    public void Init_Contradictions_AreRefused()
    {
        Assert.Contains("same address", Assert.Throws<FleetSetupException>(() => _setup.Init(Fleet, [Two[0], new("node2", "10.0.0.1")])).Message, StringComparison.Ordinal);
        Assert.Contains("named twice", Assert.Throws<FleetSetupException>(() => _setup.Init(Fleet, [Two[0], Two[0]])).Message, StringComparison.Ordinal);
        Assert.Contains("at least one", Assert.Throws<FleetSetupException>(() => _setup.Init(Fleet, [])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Init_AuthorityWithoutItsKey_DoesNotMakeAnother()
    {
        _setup.Init(Fleet, Two);
        byte[] before = File.ReadAllBytes(Path.Combine(Fleet, "ca.crt"));
        File.Delete(Path.Combine(Fleet, "ca.key"));

        Assert.Contains("its key is not", Assert.Throws<FleetSetupException>(() => _setup.Init(Fleet, Two)).Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(Path.Combine(Fleet, "ca.crt")));
    }

    [Fact]
    public void Join_FreshNode_WritesAllFilesThatTheServicesRead()
    {
        _setup.Init(Fleet, Two);

        FleetJoinResult result = Join("node2");

        Assert.Equal("node2", result.Node);
        Assert.Equal(["agent.crt", "agent.key", "brain.crt", "brain.key", "ca.crt"], Names(Path.Combine(Etc, "tls")));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(Etc, "tls", "agent.key")));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead, File.GetUnixFileMode(Path.Combine(Etc, "tls", "brain.key")));
        Assert.Equal(["evacuator.conf.d", "fleet.json", "peers.conf", "tls"], Names(Etc));

        File.WriteAllText(Path.Combine(Etc, "evacuator.conf"), "");
        EvacuatorOptions options = ConfigurationLoader.Load(Path.Combine(Etc, "evacuator.conf")).Options!;
        Assert.Equal("node2", options.Node.Name);
        Checked<IReadOnlyList<Peer>> peers = PeersFile.Load(Path.Combine(Etc, "peers.conf"));
        Assert.Equal(Two, peers.Value);
        options = options with { Fleet = options.Fleet with { TlsDirectory = Path.Combine(Etc, "tls") } };
        foreach (FleetRole role in new[] { FleetRole.Brain, FleetRole.Agent })
        {
            Checked<FleetTls> tls = FleetTls.Load(options, role, peers.Value!, _time);
            Assert.Empty(tls.Mistakes);
            tls.Value!.Dispose();
        }
    }

    [Fact]
    public void Join_Again_GivesTheSameFilesAndTakesTheLongerList()
    {
        _setup.Init(Fleet, Two);
        Join("node1");
        IEnumerable<string> before = Directory.EnumerateFiles(Etc, "*", SearchOption.AllDirectories).Order().Select(File.ReadAllText).ToArray();
        Join("node1");
        Assert.Equal(before, Directory.EnumerateFiles(Etc, "*", SearchOption.AllDirectories).Order().Select(File.ReadAllText));

        _setup.Init(Fleet, [new("node3", "10.0.0.3")]);
        Join("node1");

        Assert.Equal(["node1", "node2", "node3"], PeersFile.Load(Path.Combine(Etc, "peers.conf")).Value!.Select(peer => peer.Name));
    }

    [Fact]
    public void Join_HostOfAnotherFleetOrName_OnlyIfTold()
    {
        _setup.Init(Fleet, Two);
        Join("node1");
        string other = Path.Combine(_folder.Path, "other");
        _setup.Init(other, Two);
        string[] before = [.. Directory.EnumerateFiles(Etc, "*", SearchOption.AllDirectories).Order().Select(File.ReadAllText)];

        Assert.Contains("another fleet", Assert.Throws<FleetSetupException>(() => _setup.Join(Path.Combine(other, "node1.join"), Etc, group: null)).Message, StringComparison.Ordinal);
        Assert.Contains("this host is node1", Assert.Throws<FleetSetupException>(() => Join("node2")).Message, StringComparison.Ordinal);
        Assert.Equal(before, Directory.EnumerateFiles(Etc, "*", SearchOption.AllDirectories).Order().Select(File.ReadAllText));

        Assert.Equal("node2", _setup.Join(Path.Combine(other, "node2.join"), Etc, replaceFleet: true, group: null).Node);
    }

    [Fact]
    public void Join_Expired_IsRefused()
    {
        _setup.Init(Fleet, Two);
        _time.Advance(FleetAuthority.NodeLifetime);

        Assert.Contains("expired", Assert.Throws<FleetSetupException>(() => Join("node1")).Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, string?, string> Damages => new()
    {
        { "magic", "\"else\"", "is not a join bundle" },
        { "version", "2", "another version" },
        { "node", "\"node2\"", "a certificate is not for node2/brain" },
        { "node", "\"../../etc\"", "is not a node's name" },
        { "node", null, "is damaged" },
        { "peers", "[]", "list of nodes is not sound" },
        { "peers", """[{"name":"node2","address":"10.0.0.2"}]""", "does not name node1" },
        { "peers", """[{"name":"node1","address":"10.0.0.1\n[node9]\naddress = 10.0.0.9"}]""", "list of nodes is not sound" },
        { "authority", "\"garbage\"", "is damaged" },
        { "brain", """{"certificatePem":"x","keyPem":"y"}""", "is damaged" },
    };

    [Theory]
    [MemberData(nameof(Damages))]
    public void Join_DamagedBundle_ChangesNothing(string property, string? value, string expected)
    {
        _setup.Init(Fleet, Two);
        string path = Path.Combine(Fleet, "node1.join");
        JsonObject bundle = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        bundle.Remove(property);
        if (value is not null)
            bundle[property] = JsonNode.Parse(value);
        File.WriteAllText(path, bundle.ToJsonString());

        Assert.Contains(expected, Assert.Throws<FleetSetupException>(() => Join("node1")).Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Etc));
    }

    [Fact]
    public void Join_CertificatesOfTwoFleets_AreRefused()
    {
        _setup.Init(Fleet, Two);
        string other = Path.Combine(_folder.Path, "other");
        _setup.Init(other, Two);
        string path = Path.Combine(Fleet, "node1.join");
        JsonObject bundle = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        bundle["agent"] = JsonNode.Parse(File.ReadAllText(Path.Combine(other, "node1.join")))!["agent"]!.DeepClone();
        File.WriteAllText(path, bundle.ToJsonString());

        Assert.Contains("node1/agent is not from this fleet's authority", Assert.Throws<FleetSetupException>(() => Join("node1")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Join_CannotWrite_LeavesNothingBehind()
    {
        _setup.Init(Fleet, Two);
        // A directory where a file belongs: fails for root as well.
        Directory.CreateDirectory(Path.Combine(Etc, "tls", "brain.crt", "x"));

        Assert.Throws<FleetSetupException>(() => Join("node1"));

        Assert.DoesNotContain(Directory.EnumerateFiles(Etc, "*", SearchOption.AllDirectories), path => path.EndsWith(".new", StringComparison.Ordinal));
        Assert.False(File.Exists(Path.Combine(Etc, "tls", "agent.crt")));
    }

    [Theory]
    [InlineData("node1=10.0.0.1", "node1", "10.0.0.1")]
    [InlineData("a.b=fd00::1", "a.b", "fd00::1")]
    [InlineData("n=host.example", "n", "host.example")]
    public void ParseNode_NameAndAddress_IsAPeer(string text, string name, string address) => Assert.Equal(new Peer(name, address), FleetSetup.ParseNode(text));

    [Theory]
    [InlineData("node1")]
    [InlineData("=10.0.0.1")]
    [InlineData("Node1=10.0.0.1")]
    [InlineData("../x=10.0.0.1")]
    [InlineData("node1=")]
    [InlineData("node1=10.0.0.1:80")]
    [InlineData("node1=10.0.0.1 10.0.0.2")]
    public void ParseNode_AnythingElse_IsRefused(string text) => Assert.Throws<FleetSetupException>(() => FleetSetup.ParseNode(text));

    private FleetJoinResult Join(string node) => _setup.Join(Path.Combine(Fleet, node + ".join"), Etc, group: null);

    private static string[] Names(string folder) => [.. Directory.EnumerateFileSystemEntries(folder).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];
}
