using System.Security.Cryptography.X509Certificates;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Testing;

namespace Evacuator.Common.Tests.Fleet;

/// <summary>The fleet's authority is replaced: what its directory, lists and nodes' files do, also where a process dies between two of them.</summary>
public sealed class AuthorityReplacementTests : IDisposable
{
    private static readonly Peer[] Peers = [new("node1", "10.0.0.1"), new("node2", "10.0.0.2")];

    private readonly TemporaryFolder _folder = new();
    private readonly ManualTime _time = new(DateTimeOffset.UtcNow);
    private readonly List<IDisposable> _owned = [];

    public AuthorityReplacementTests()
    {
        FleetSetup setup = new(_time);
        setup.Init(Fleet, Peers);
        foreach (Peer peer in Peers)
            setup.Join(Path.Combine(Fleet, peer.Name + ".join"), Etc(peer.Name), group: null);
    }

    private string Fleet => Path.Combine(_folder.Path, "fleet");

    public void Dispose()
    {
        foreach (IDisposable owned in _owned)
            owned.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void Directory_AddIssueRetire_WhoSignsAndWhoIsTrusted()
    {
        string first, second;
        FleetAuthorities onlyFirst = FleetAuthorities.FromFile(Path.Combine(Fleet, "ca.crt"));
        using (AuthorityDirectory directory = Open())
        {
            first = directory.Fingerprint;
            directory.AddAuthority();
            second = directory.Trusted.Fingerprints[0];

            // A node that has heard of nothing takes it, and one that has needs the new one's word.
            Assert.Equal([second, first], SignedRoster.Parse(directory.Signed.Text, onlyFirst, "test").Authorities.Fingerprints);
            Assert.Equal([second, first], SignedRoster.Parse(directory.Signed.Text, directory.Trusted, "test").Authorities.Fingerprints);
            Assert.Equal((first, first), (FleetAuthorities.FingerprintOf(directory.Anchor.Certificate), FleetAuthorities.FingerprintOf(directory.Issuer.Certificate)));
            directory.AddAuthority();
            Assert.Equal([second, first], directory.Trusted.Fingerprints);
        }

        using (AuthorityDirectory directory = Open())
        {
            directory.IssueByNewest();
            Assert.Equal((first, second), (FleetAuthorities.FingerprintOf(directory.Anchor.Certificate), FleetAuthorities.FingerprintOf(directory.Issuer.Certificate)));
            directory.Change(roster => roster.WithRevoked("node9", _time.GetUtcNow()));
            Assert.Equal([second, first], SignedRoster.Parse(directory.Signed.Text, onlyFirst, "test").Authorities.Fingerprints);
        }

        using (AuthorityDirectory directory = Open())
        {
            FleetAuthorities both = directory.Trusted;
            directory.RetireOld();
            Assert.Equal([second], SignedRoster.Parse(directory.Signed.Text, both, "test").Authorities.Fingerprints);
            Assert.Throws<FleetSetupException>(() => SignedRoster.Parse(directory.Signed.Text, onlyFirst, "test"));
            Assert.Equal(first, Assert.Single(directory.Roster.Retired).Fingerprint);
        }

        Assert.False(File.Exists(Path.Combine(Fleet, "old.key")) || File.Exists(Path.Combine(Fleet, "old.crt")));
        using (AuthorityDirectory directory = Open())
            Assert.Equal((second, second), (directory.Fingerprint, FleetAuthorities.FingerprintOf(directory.Issuer.Certificate)));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(Fleet, "ca.key")));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Add_KilledAfterSoManyFiles_TheFirstCountsAndAgainFinishes(int written)
    {
        string[] order = ["old.key", "old.crt", "ca.key", "ca.crt"];
        string first = Fingerprint();
        Dictionary<string, string?> before = order.Append("fleet.json").ToDictionary(name => name, Read);
        using (AuthorityDirectory directory = Open())
            directory.AddAuthority();
        foreach (string name in order.Skip(written).Append("fleet.json"))
        {
            if (before[name] is { } text)
                File.WriteAllText(Path.Combine(Fleet, name), text);
            else
                File.Delete(Path.Combine(Fleet, name));
        }

        using (AuthorityDirectory directory = Open())
        {
            Assert.Equal([first], directory.Trusted.Fingerprints);
            Assert.Equal(first, FleetAuthorities.FingerprintOf(directory.Issuer.Certificate));
            directory.AddAuthority();
            Assert.Equal(2, directory.Trusted.Fingerprints.Count);
            Assert.Equal(first, directory.Trusted.Fingerprints[1]);
        }

        using (AuthorityDirectory directory = Open())
        {
            directory.IssueByNewest();
            Assert.NotEqual(first, FleetAuthorities.FingerprintOf(directory.Issuer.Certificate));
        }
    }

    [Fact]
    public void Retire_KilledBeforeTheOldKeyIsDeleted_ItCountsNoMoreAndAgainDeletesIt()
    {
        string old = Fingerprint();
        using (AuthorityDirectory directory = Open())
            directory.AddAuthority();
        string key = Read("old.key")!, certificate = Read("old.crt")!;
        using (AuthorityDirectory directory = Open())
            directory.RetireOld();
        File.WriteAllText(Path.Combine(Fleet, "old.key"), key);
        File.WriteAllText(Path.Combine(Fleet, "old.crt"), certificate);

        using (AuthorityDirectory directory = Open())
        {
            Assert.DoesNotContain(old, directory.Trusted.Fingerprints);
            directory.Change(roster => roster with { Nodes = [.. roster.Nodes, new Peer("node3", "10.0.0.3")] });
            Assert.Throws<FleetSetupException>(() => SignedRoster.Parse(directory.Signed.Text, FleetAuthorities.FromPem(certificate, "old"), "test"));
            directory.RetireOld();
        }

        Assert.Null(Read("old.key"));
    }

    [Fact]
    public void Parse_WhoHasTheOldKey_CannotTakeTheNewOneAway()
    {
        using FleetAuthority leaked = FleetAuthority.FromPem(Read("ca.crt")!, Read("ca.key")!, _time);
        FleetAuthorities both;
        FleetRoster roster;
        using (AuthorityDirectory directory = Open())
        {
            directory.AddAuthority();
            (both, roster) = (directory.Trusted, directory.Roster);
        }

        string forged = SignedRoster.Sign(roster with { Number = long.MaxValue, Authorities = [leaked.CertificatePem], Retired = [] }, leaked).Text;

        Assert.Contains("not signed by this fleet's authority", Assert.Throws<FleetSetupException>(() => SignedRoster.Parse(forged, both, "test")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void LostKey_OnlyAPersonsWordBringsTheNewOneIn_AndARunningServiceTakesIt()
    {
        FleetTls running = Load("node1");
        X509Certificate2 lost = running.Authorities.Newest;
        FleetRoster last = FleetMembers.Load(Options("node1")).Value!.Roster!.Roster;
        string elsewhere = Path.Combine(_folder.Path, "elsewhere");
        string made;
        SignedRoster list;
        using (AuthorityDirectory directory = AuthorityDirectory.OpenWithoutKey(elsewhere, lost, last, "10.0.0.2:7363", _time))
        {
            made = directory.Trusted.Fingerprints[0];
            list = SignedRoster.Parse(directory.Signed.Text, FleetAuthorities.Of(directory.Newest.Certificate), "test");
        }

        Assert.Throws<FleetSetupException>(() => SignedRoster.Parse(list.Text, running.Authorities, "test"));
        FleetMembers.Write(Options("node1"), list);
        Assert.Empty(running.Reload().Mistakes);

        Assert.Equal([made, FleetAuthorities.FingerprintOf(lost)], running.Authorities.Fingerprints);
        Assert.Equal("10.0.0.2:7363", running.Roster!.Roster.Authority);
        using AuthorityDirectory again = AuthorityDirectory.Open(elsewhere, create: false, _time);
        Assert.Equal((made, made), (again.Fingerprint, FleetAuthorities.FingerprintOf(again.Issuer.Certificate)));
        Assert.Throws<FleetSetupException>(() => AuthorityDirectory.OpenWithoutKey(Fleet, lost, last, null, _time));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Write_DiskFullBetweenTheFiles_TheServicesStillStart(bool retires)
    {
        SignedRoster both, last;
        using (AuthorityDirectory directory = Open())
        {
            directory.AddAuthority();
            both = directory.Signed;
            directory.RetireOld();
            last = directory.Signed;
        }

        // What is put where the temporary file would be keeps the second of the two from being written.
        if (retires)
        {
            FleetMembers.Write(Options("node1"), both);
            Directory.CreateDirectory(Path.Combine(Etc("node1"), "tls", ".ca.crt.new"));
        }
        else
        {
            Directory.CreateDirectory(Path.Combine(Etc("node1"), ".fleet.json.new"));
        }

        Assert.ThrowsAny<Exception>(() => FleetMembers.Write(Options("node1"), retires ? last : both));

        Checked<FleetMembers> members = FleetMembers.Load(Options("node1"));
        Assert.Empty(members.Mistakes);
        Assert.Equal(2, FleetAuthorities.FromFile(Path.Combine(Etc("node1"), "tls", "ca.crt")).All.Count);
        Assert.Equal(retires ? last.Roster.Number : FleetMembers.Load(Options("node2")).Value!.Roster!.Roster.Number, members.Value!.Roster!.Roster.Number);
    }

    [Fact]
    public void Accept_ReplaceRenewRetire_WhoIsLetIn()
    {
        FleetTls server = Load("node1"), old = Load("node2");
        SignedRoster both, issues, retired;
        IssuedCertificate renewed;
        using (AuthorityDirectory directory = Open())
        {
            directory.AddAuthority();
            both = directory.Signed;
            directory.IssueByNewest();
            issues = directory.Signed;
            NodeRequest request = NodeRequest.Make(new PeerIdentity("node2", FleetRole.Brain));
            renewed = new IssuedCertificate(directory.Sign(new PeerIdentity("node2", FleetRole.Brain), request.RequestPem), request.KeyPem);
            directory.RetireOld();
            retired = directory.Signed;
        }

        using X509Certificate2 fresh = X509Certificate2.CreateFromPem(renewed.CertificatePem, renewed.KeyPem);
        Assert.Contains("not from this fleet's authority", server.WhyNot(fresh, "node2"), StringComparison.Ordinal);
        Assert.Equal(["node2"], server.Strangers);

        Assert.True(server.Accept(Parse(both)) && server.Accept(Parse(issues)));
        Assert.Null(server.WhyNot(fresh, "node2"));
        Assert.Null(server.WhyNot(old.Certificate, "node2"));
        Assert.Empty(server.Strangers);
        Assert.Null(server.WhyOut);

        Assert.True(server.Accept(Parse(retired)));
        Assert.Null(server.WhyNot(fresh, "node2"));
        Assert.Contains("is from the one that was retired at", server.WhyNot(old.Certificate, "node2"), StringComparison.Ordinal);
        Assert.Contains("was retired at", server.WhyOut, StringComparison.Ordinal);

        SignedRoster Parse(SignedRoster list) => SignedRoster.Parse(list.Text, server.Authorities, "test");
    }

    [Fact]
    public void Load_OwnCertificateOfARetiredAuthority_SaysSo()
    {
        using (AuthorityDirectory directory = Open())
        {
            directory.AddAuthority();
            FleetMembers.Write(Options("node1"), directory.Signed);
            directory.RetireOld();
            FleetMembers.Write(Options("node1"), directory.Signed);
        }

        FleetMembers members = FleetMembers.Load(Options("node1")).Value!;
        Assert.Contains("is from the one that was retired at", Assert.Single(FleetTls.Load(Options("node1"), FleetRole.Brain, members.Peers, _time, members.Roster).Mistakes).Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("garbage")]
    [InlineData("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")]
    public void FromPem_Damage_IsRefused(string pem) => Assert.Throws<FleetSetupException>(() => FleetAuthorities.FromPem(pem, "test"));

    [Fact]
    public void FromPem_ManyOrANode_IsRefused()
    {
        string one = Read("ca.crt")!;
        Assert.Contains("holds 5 authorities", Assert.Throws<FleetSetupException>(() => FleetAuthorities.FromPem(string.Concat(Enumerable.Repeat(one, 5)), "test")).Message, StringComparison.Ordinal);
        string node = File.ReadAllText(Path.Combine(Etc("node1"), "tls", "brain.crt"));
        Assert.Contains("\"node1\" is not the certificate of an authority", Assert.Throws<FleetSetupException>(() => FleetAuthorities.FromPem(one + node, "test")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Join_InTheMiddle_TheNodeTrustsBoth_AndItsFilesSayIt()
    {
        using (AuthorityDirectory directory = Open())
            directory.AddAuthority();
        FleetSetup setup = new(_time);
        setup.Init(Fleet, [new Peer("node3", "10.0.0.3")]);
        setup.Join(Path.Combine(Fleet, "node3.join"), Etc("node3"), group: null);
        // And one that has the old authority only is no stranger to the bundle.
        setup.Join(Path.Combine(Fleet, "node1.join"), Etc("node1"), group: null);

        Assert.Equal(2, Load("node3").Authorities.All.Count);
        Assert.Equal(2, FleetAuthorities.FromFile(Path.Combine(Etc("node1"), "tls", "ca.crt")).All.Count);
    }

    private AuthorityDirectory Open() => AuthorityDirectory.Open(Fleet, create: false, _time);

    private string Fingerprint()
    {
        using AuthorityDirectory directory = Open();
        return directory.Fingerprint;
    }

    private string? Read(string name) => File.Exists(Path.Combine(Fleet, name)) ? File.ReadAllText(Path.Combine(Fleet, name)) : null;

    private string Etc(string node) => Path.Combine(_folder.Path, "etc-" + node);

    private EvacuatorOptions Options(string node) => new()
    {
        Node = new NodeOptions { Name = node },
        Fleet = new FleetOptions { TlsDirectory = Path.Combine(Etc(node), "tls"), PeersFile = Path.Combine(Etc(node), "peers.conf") },
    };

    private FleetTls Load(string node)
    {
        FleetMembers members = FleetMembers.Load(Options(node)).Value!;
        Checked<FleetTls> tls = FleetTls.Load(Options(node), FleetRole.Brain, members.Peers, _time, members.Roster);
        Assert.Empty(tls.Mistakes);
        _owned.Add(tls.Value!);
        return tls.Value!;
    }
}
