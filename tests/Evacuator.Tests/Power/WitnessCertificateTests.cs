using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Evacuator.Cli;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Power;
using Evacuator.Testing;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Power;

public sealed class WitnessCertificateTests : IDisposable
{
    private static readonly DateTimeOffset Now = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly Guid Evacuation = Guid.Parse("9b2f0f0e-7a53-4a43-9a5a-0d2f3a0c7e11");

    private readonly ManualTime _time = new(Now);
    private readonly FleetAuthority _authority;
    private readonly X509Certificate2 _witness;

    public WitnessCertificateTests()
    {
        _authority = FleetAuthority.Create(_time);
        _witness = Own("node2", FleetRole.Brain);
    }

    private static WitnessStatement Statement => new(
        WitnessStatement.CurrentVersion, Evacuation, "node1", "Off", [new(Now, "/redfish/v1/Systems/1", "Off"), new(Now.AddSeconds(5), "/redfish/v1/Systems/1", "Off")],
        "https://bmc.node1", "AB12", null, "node2");

    public void Dispose()
    {
        _witness.Dispose();
        _authority.Dispose();
    }

    [Fact]
    public void Check_Good_SaysWhatAndWho()
    {
        WitnessCheck check = Check(WitnessCertificate.Sign(Statement, _witness));

        Assert.NotNull(check.Statement);
        Assert.Equal("node1 was Off in 2 reads from 2026-03-01 12:00:00Z to 2026-03-01 12:00:05Z on the BMC https://bmc.node1 (AB12); signed by node2", check.Text);
        Assert.Equal("", check.Note);
    }

    [Fact]
    public void Check_YearsLater_IsStillGood()
    {
        WitnessCertificate certificate = WitnessCertificate.Sign(Statement, _witness);
        _time.Advance(TimeSpan.FromDays(9 * 365));

        Assert.NotNull(Check(certificate).Statement);
    }

    public static TheoryData<string, string> Lies => new()
    {
        { "other-evacuation", "is about evacuation" },
        { "other-host", "of node9" },
        { "on", "says On" },
        { "one-read-on", "says Off" },
        { "one-read", "fewer than two reads" },
        { "no-read", "fewer than two reads" },
        { "same-time", "of the same time" },
        { "itself", "no host can see itself off" },
        { "other-witness", "speaks for node3 and is signed by node2" },
        { "agent", "not of a node's brain" },
        { "other-fleet", "not from this fleet's authority" },
        { "before-its-time", "is not valid before" },
        { "changed", "the signature is not of node2" },
        { "other-version", "of version 2" },
        { "damaged", "it is damaged" },
    };

    [Theory]
    [MemberData(nameof(Lies))]
    public void Check_AnythingElse_IsNotGood(string lie, string expected)
    {
        using FleetAuthority foreign = FleetAuthority.Create(_time);
        using X509Certificate2 agent = Own("node2", FleetRole.Agent), host = Own("node1", FleetRole.Brain), other = foreign.IssueOwn(new PeerIdentity("node2", FleetRole.Brain), TimeSpan.FromDays(1));
        PowerSight first = Statement.Reads[0], last = Statement.Reads[1];
        WitnessCertificate good = WitnessCertificate.Sign(Statement, _witness);
        WitnessCertificate certificate = lie switch
        {
            "other-evacuation" => WitnessCertificate.Sign(Statement with { Evacuation = Guid.NewGuid() }, _witness),
            "other-host" => WitnessCertificate.Sign(Statement with { Host = "node9" }, _witness),
            "on" => WitnessCertificate.Sign(Statement with { Power = "On" }, _witness),
            "one-read-on" => WitnessCertificate.Sign(Statement with { Reads = [first, last with { Value = "On" }] }, _witness),
            "one-read" => WitnessCertificate.Sign(Statement with { Reads = [first] }, _witness),
            "no-read" => WitnessCertificate.Sign(Statement with { Reads = [first, null!, last] }, _witness),
            "same-time" => WitnessCertificate.Sign(Statement with { Reads = [first, first] }, _witness),
            "itself" => WitnessCertificate.Sign(Statement with { Witness = "node1" }, host),
            "other-witness" => WitnessCertificate.Sign(Statement with { Witness = "node3" }, _witness),
            "agent" => WitnessCertificate.Sign(Statement, agent),
            "other-fleet" => WitnessCertificate.Sign(Statement, other),
            "before-its-time" => WitnessCertificate.Sign(Statement with { Reads = [first with { At = Now.AddDays(-9) }, last with { At = Now.AddDays(-8) }] }, _witness),
            "changed" => good with { Statement = good.Statement.Replace("AB12", "AB13", StringComparison.Ordinal) },
            "other-version" => WitnessCertificate.Sign(Statement with { Version = 2 }, _witness),
            _ => good with { Signature = "?" },
        };

        WitnessCheck check = Check(certificate);

        Assert.Null(check.Statement);
        Assert.Contains(expected, check.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Check_WitnessRevoked_OnlyCountsIfItWasBefore()
    {
        WitnessCertificate certificate = WitnessCertificate.Sign(Statement, _witness);
        FleetRoster roster = new() { Number = 1, Made = Now, Nodes = [] };

        WitnessCheck since = Check(certificate, roster.WithRevoked("node2", Now.AddDays(1)));
        Assert.NotNull(since.Statement);
        Assert.Contains("was revoked at 2026-03-02 12:00:00Z, after it signed this", since.Note, StringComparison.Ordinal);

        Assert.Null(Check(certificate, roster.WithRevoked("node2", Now)).Statement);
    }

    [Fact]
    public void Check_AuthorityRetired_OnlyCountsIfItWasBefore()
    {
        WitnessCertificate certificate = WitnessCertificate.Sign(Statement, _witness);
        using FleetAuthority newest = FleetAuthority.Create(_time);
        FleetRoster roster = new() { Number = 1, Made = Now, Nodes = [] };
        FleetRoster RetiredAt(DateTimeOffset at) => roster with { Retired = [new(_authority.CertificatePem, FleetAuthorities.FingerprintOf(_authority.Certificate), at)] };
        WitnessCheck Check(FleetRoster known) => certificate.Check(Evacuation, "node1", FleetAuthorities.Of(newest.Certificate), known);

        WitnessCheck since = Check(RetiredAt(Now.AddDays(1)));
        Assert.NotNull(since.Statement);
        Assert.Contains("was retired at 2026-03-02 12:00:00Z", since.Note, StringComparison.Ordinal);

        Assert.Contains("had been retired", Check(RetiredAt(Now)).Text, StringComparison.Ordinal);
        Assert.Contains("not from this fleet's authority", Check(roster).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Evacuation_PoweredOff_TheWitnessAndLaterTheHostHaveIt_AndTheVerbChecksIt()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        fleet["node1"].Agent.OnPowerOff = () => fleet.Bmc("node1").Power = "Off";
        Guid id = (await fleet["node1"].EvacuateAsync(powerOff: true)).Id;
        EvacuationReport seen = await fleet["node2"].WaitForEndAsync(id);
        fleet.Bmc("node1").Power = "On";
        await fleet["node1"].RebootAsync();
        EvacuationReport own = await fleet["node1"].WaitForEndAsync(id);

        Assert.Equal(EvacuationPhase.Done, own.State);
        Assert.Equal(seen.Power.Certificate, own.Power.Certificate);
        using TemporaryFolder folder = new();
        string file = Path.Combine(folder.Path, "report.json"), ca = Path.Combine(fleet.Authority, "ca.crt");
        await File.WriteAllTextAsync(file, JsonSerializer.Serialize(own, ApiJson.Indented));
        (int code, string output) = await RunAsync("report", "--verify", "--from", file, "--ca", ca);
        Assert.Equal((CliExit.Ok, true), (code, output.StartsWith("GOOD: node1 was Off in 2 reads from", StringComparison.Ordinal)));
        Assert.Contains("signed by node2", output, StringComparison.Ordinal);

        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file)).Replace("\"node\": \"node1\"", "\"node\": \"node7\"", StringComparison.Ordinal));
        Assert.Equal(CliExit.Failed, (await RunAsync("report", "--verify", "--from", file, "--ca", ca)).Code);
        EvacuationReport unsigned = own with { Power = own.Power with { Certificate = null } };
        await File.WriteAllTextAsync(file, JsonSerializer.Serialize(unsigned, ApiJson.Indented));
        Assert.Equal(CliExit.Failed, (await RunAsync("report", "--verify", "--from", file, "--ca", ca)).Code);
    }

    private static async Task<(int Code, string Output)> RunAsync(params string[] words)
    {
        StringWriter output = new();
        int code = await EvacuatorCommand.Create().Parse(words).InvokeAsync(new System.CommandLine.InvocationConfiguration { Output = output, Error = output });
        return (code, output.ToString());
    }

    private X509Certificate2 Own(string node, FleetRole role) => _authority.IssueOwn(new PeerIdentity(node, role), TimeSpan.FromDays(365));

    private WitnessCheck Check(WitnessCertificate certificate, FleetRoster? roster = null) => certificate.Check(Evacuation, "node1", FleetAuthorities.Of(_authority.Certificate), roster);
}
