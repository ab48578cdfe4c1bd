using System.Diagnostics;
using System.Text.Json.Nodes;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Testing;

namespace Evacuator.Common.Tests.Fleet;

public sealed class SignedRosterTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly ManualTime _time = new();
    private readonly FleetAuthority _authority;

    public SignedRosterTests() => _authority = FleetAuthority.Create(_time);

    private FleetRoster Roster => new() { Number = 7, Made = _time.GetUtcNow(), Authority = "10.0.0.1:7363", Nodes = [new("node1", "10.0.0.1"), new("node2", "10.0.0.2")] };

    public void Dispose()
    {
        _authority.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void Parse_WhatWasSigned_IsTheSame()
    {
        FleetRoster roster = Roster.WithRevoked("node3", _time.GetUtcNow());

        SignedRoster read = SignedRoster.Parse(SignedRoster.Sign(roster, _authority).Text, FleetAuthorities.Of(_authority.Certificate), "test");

        Assert.Equal(roster.Nodes, read.Roster.Nodes);
        Assert.Equal(roster.Revoked, read.Roster.Revoked);
        Assert.Equal((roster.Number, roster.Made, roster.Authority), (read.Roster.Number, read.Roster.Made, read.Roster.Authority));
    }

    [Theory]
    [InlineData("statement", "node2", "node9", "not signed by this fleet's authority")]
    [InlineData("signature", "M", "N", "")]
    [InlineData("magic", "fleet", "else", "is not a fleet's list")]
    public void Parse_Changed_IsRefused(string property, string from, string to, string expected)
    {
        JsonObject envelope = JsonNode.Parse(SignedRoster.Sign(Roster, _authority).Text)!.AsObject();
        string text = envelope[property]!.GetValue<string>();
        Assert.Contains(from, text, StringComparison.Ordinal);
        envelope[property] = text.Replace(from, to, StringComparison.Ordinal);

        Assert.Contains(expected, Assert.Throws<FleetSetupException>(() => SignedRoster.Parse(envelope.ToJsonString(), FleetAuthorities.Of(_authority.Certificate), "test")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"magic\":\"evacuator-fleet\",\"version\":1,\"statement\":\"x\",\"signature\":\"AA==\",\"also\":[null]}")]
    [InlineData("{\"magic\":\"evacuator-fleet\",\"version\":1,\"statement\":null,\"signature\":null}")]
    [InlineData("null")]
    [InlineData("")]
    [InlineData(null)]
    public void Parse_WhatAPeerSaysInstead_IsRefusedAndNoOtherError(string? text) =>
        Assert.Throws<FleetSetupException>(() => SignedRoster.Parse(text!, FleetAuthorities.Of(_authority.Certificate), "test"));

    [Theory]
    [InlineData("{\"number\":1,\"made\":\"2026-03-01T12:00:00Z\",\"nodes\":[],\"authorities\":null}")]
    [InlineData("{\"number\":1,\"made\":\"2026-03-01T12:00:00Z\",\"nodes\":[],\"authorities\":[null]}")]
    public void ReadAuthorities_NoneInIt_IsRefused(string statement) => Assert.Throws<FleetSetupException>(() => SignedRoster.ReadAuthorities(
        new JsonObject { ["magic"] = "evacuator-fleet", ["version"] = 1, ["statement"] = statement, ["signature"] = "AA==" }.ToJsonString(), "test"));

    [Fact]
    public void Parse_OfAnotherFleet_IsRefused()
    {
        using FleetAuthority other = FleetAuthority.Create(_time);

        Assert.Contains("not signed by this fleet's authority",
            Assert.Throws<FleetSetupException>(() => SignedRoster.Parse(SignedRoster.Sign(Roster, other).Text, FleetAuthorities.Of(_authority.Certificate), "test")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("[1,2]")]
    [InlineData("{\"magic\":\"evacuator-fleet\",\"version\":2,\"statement\":\"\",\"signature\":\"\"}")]
    public void Parse_Garbage_IsRefused(string text) => Assert.Throws<FleetSetupException>(() => SignedRoster.Parse(text, FleetAuthorities.Of(_authority.Certificate), "test"));

    [Fact]
    public void Signature_ByOpenSsl_IsGood()
    {
        JsonObject envelope = JsonNode.Parse(SignedRoster.Sign(Roster, _authority).Text)!.AsObject();
        string data = Path.Combine(_folder.Path, "data"), signature = Path.Combine(_folder.Path, "signature"), key = Path.Combine(_folder.Path, "key");
        File.WriteAllText(data, $"evacuator-fleet\n{envelope["statement"]!.GetValue<string>()}");
        File.WriteAllBytes(signature, Convert.FromBase64String(envelope["signature"]!.GetValue<string>()));
        using (System.Security.Cryptography.ECDsa ec = System.Security.Cryptography.X509Certificates.ECDsaCertificateExtensions.GetECDsaPublicKey(_authority.Certificate)!)
            File.WriteAllText(key, ec.ExportSubjectPublicKeyInfoPem());

        using Process openssl = Process.Start(new ProcessStartInfo("openssl", ["dgst", "-sha256", "-verify", key, "-signature", signature, data]) { RedirectStandardOutput = true })!;
        string said = openssl.StandardOutput.ReadToEnd();
        openssl.WaitForExit();

        Assert.Equal("Verified OK", said.Trim());
    }

    [Fact]
    public void Next_AuthorityFromAnOldCopy_DoesNotFallBehind()
    {
        FleetRoster old = Roster.Next(_time.GetUtcNow());
        FleetRoster lost = old.Next(_time.GetUtcNow()).Next(_time.GetUtcNow());
        _time.Advance(TimeSpan.FromMinutes(1));

        Assert.True(old.Next(_time.GetUtcNow()).Number > lost.Number);
        // And in a clock that stands still, or went back, it grows all the same.
        Assert.True(lost.Next(_time.GetUtcNow() - TimeSpan.FromDays(1)).Number > lost.Number);
    }

    [Fact]
    public void WithRevoked_IssuedBeforeIsVoid_IssuedSinceIsNot()
    {
        using AuthorityDirectory directory = AuthorityDirectory.Open(Path.Combine(_folder.Path, "a"), create: true, _time);
        directory.Change(_ => Roster);
        // All within one second, over and over: each is void for the next.
        for (int round = 0; round < 5; round++)
        {
            DateTimeOffset began = NotBefore(directory);
            Assert.False(IsVoid(directory.Roster, began));
            directory.Change(roster => roster.WithRevoked("node2", _time.GetUtcNow()));
            Assert.True(IsVoid(directory.Roster, began));
            _time.Advance(TimeSpan.FromMilliseconds(round * 130));
        }

        Assert.Single(directory.Roster.Revoked);
        Assert.True(NotBefore(directory) <= _time.GetUtcNow());
    }

    [Fact]
    public void Load_ListBesideThePeersFile_HoldsInsteadOfIt()
    {
        FleetSetup setup = new(_time);
        setup.Init(Path.Combine(_folder.Path, "fleet"), [new("node1", "10.0.0.1"), new("node2", "10.0.0.2")]);
        setup.Join(Path.Combine(_folder.Path, "fleet", "node1.join"), Path.Combine(_folder.Path, "etc"), group: null);
        EvacuatorOptions options = new()
        {
            Fleet = new FleetOptions { TlsDirectory = Path.Combine(_folder.Path, "etc", "tls"), PeersFile = Path.Combine(_folder.Path, "etc", "peers.conf") },
        };
        File.WriteAllText(options.Fleet.PeersFile, "[node1]\naddress = 10.0.0.1\n[intruder]\naddress = 10.0.0.9\n");

        Assert.Equal(["node1", "node2"], FleetMembers.Load(options).Value!.Peers.Select(peer => peer.Name));

        // A list that was changed by hand is no reason to believe the peers file.
        string path = FleetMembers.RosterPath(options);
        File.WriteAllText(path, File.ReadAllText(path).Replace("node2", "node9", StringComparison.Ordinal));
        Assert.Contains("not signed", Assert.Single(FleetMembers.Load(options).Mistakes).Text, StringComparison.Ordinal);

        File.Delete(path);
        Assert.Equal(["node1", "intruder"], FleetMembers.Load(options).Value!.Peers.Select(peer => peer.Name));
    }

    private static DateTimeOffset NotBefore(AuthorityDirectory directory)
    {
        string pem = directory.Sign(new PeerIdentity("node2", FleetRole.Brain), NodeRequest.Make(new PeerIdentity("node2", FleetRole.Brain)).RequestPem);
        using System.Security.Cryptography.X509Certificates.X509Certificate2 certificate = System.Security.Cryptography.X509Certificates.X509Certificate2.CreateFromPem(pem);
        return new DateTimeOffset(certificate.NotBefore.ToUniversalTime());
    }

    private static bool IsVoid(FleetRoster roster, DateTimeOffset notBefore) => roster.Find("node2") is { } revoked && notBefore < revoked.Before;
}
