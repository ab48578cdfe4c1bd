using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Power;

public sealed class WitnessTests
{
    [Fact]
    public async Task Host_HangsInShutdown_IsForcedOffOnlyAfterTheTimeThatWasGiven()
    {
        await using TestFleet fleet = await StartAsync();
        fleet.Bmc("node1").Hangs = true;
        EvacuationReport report = await EndAtWitnessAsync(fleet, forceAfterSeconds: 0);

        Assert.Equal((EvacuationPhase.Done, "Off", true), (report.State, report.Power.State, report.Power.Forced));
        Assert.Equal(1, fleet.Bmc("node1").Forced);
    }

    [Fact]
    public async Task Host_HangsAndForceWasNotAllowed_IsNotForcedAndNotCalledOff()
    {
        await using TestFleet fleet = await StartAsync(verifyTimeout: TimeSpan.FromMilliseconds(1));
        fleet.Bmc("node1").Hangs = true;
        Guid id = (await fleet["node1"].EvacuateAsync(powerOff: true)).Id;
        EvacuationReport report = await fleet["node1"].WaitForEndAsync(id);

        Assert.Equal(EvacuationPhase.Failed, report.State);
        Assert.Contains("still up", report.Problem, StringComparison.Ordinal);
        Assert.Equal(0, fleet.Bmc("node1").Forced);
        EvacuationReport seen = await fleet["node2"].WaitAsync(id, report => report.Summary.StartsWith("not verified", StringComparison.Ordinal));
        Assert.Null(seen.Power.VerifiedBy);
        Assert.Equal(WitnessPhase.NotOff, fleet["node2"].Journal!.Witness(id)!.Phase);
    }

    [Fact]
    public async Task Bmc_CannotBeReadByAnyPeer_HostStaysOn()
    {
        await using TestFleet fleet = await StartAsync();
        fleet.Bmc("node1").Unreachable = true;
        EvacuationReport report = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync(powerOff: true)).Id);

        Assert.Equal(EvacuationPhase.Failed, report.State);
        Assert.True(report.Emptiness.Passed);
        Assert.Contains("stays on", report.Problem, StringComparison.Ordinal);
        Assert.False(fleet["node1"].Agent.PoweredOff);
    }

    [Fact]
    public async Task Bmc_SaysOffWhileTheHostTalks_IsAnotherMachines()
    {
        await using TestFleet fleet = await StartAsync();
        fleet.Bmc("node1").Power = "Off";
        EvacuationReport report = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync(powerOff: true)).Id);

        Assert.Contains("another machine", report.Problem, StringComparison.Ordinal);
        Assert.False(fleet["node1"].Agent.PoweredOff);
    }

    [Fact]
    public async Task Bmc_UnreachableForAWhileAfterTheShutdown_UnknownIsNotOff()
    {
        await using TestFleet fleet = await StartAsync();
        fleet.Bmc("node1").Hangs = true;
        Guid id = (await fleet["node1"].EvacuateAsync(powerOff: true)).Id;
        await fleet["node1"].WaitAsync(id, report => report.Waiting?.For == "the host to go down");
        fleet.Bmc("node1").Unreachable = true;
        fleet.Bmc("node1").Power = "Off";
        await fleet["node2"].StopAsync();
        await fleet["node2"].StartAsync();
        await fleet["node2"].WaitAsync(id, _ => fleet["node2"].Journal!.Witness(id)!.LastPowerState == "Unknown");
        Assert.Equal(WitnessPhase.Watching, fleet["node2"].Journal!.Witness(id)!.Phase);
        fleet.Bmc("node1").Unreachable = false;

        Assert.Equal("Off", (await fleet["node2"].WaitForEndAsync(id)).Power.State);
    }

    [Fact]
    public async Task Host_ComesBack_HearsFromTheWitnessAndStaysClosed()
    {
        await using TestFleet fleet = await StartAsync();
        Guid id = (await fleet["node1"].EvacuateAsync(powerOff: true)).Id;
        await fleet["node2"].WaitAsync(id, report => report.State == EvacuationPhase.Done);
        fleet.Bmc("node1").Power = "On";
        await fleet["node1"].RebootAsync();
        EvacuationReport report = await fleet["node1"].WaitForEndAsync(id);

        Assert.Equal((EvacuationPhase.Done, "Off", "node2"), (report.State, report.Power.State, report.Power.VerifiedBy));
        using Evacuator.Cli.BrainClient client = fleet["node1"].Client();
        Assert.NotNull((await client.GetAsync<Evacuator.Api.NodeStatus>(Evacuator.Api.ApiRoutes.Status, default)).Closed);
    }

    [Fact]
    public async Task Witness_AfterItsEnd_KeepsNoPassword()
    {
        await using TestFleet fleet = await StartAsync();
        EvacuationReport report = await EndAtWitnessAsync(fleet);

        Assert.Empty(Directory.GetFiles(Path.Combine(Path.GetDirectoryName(fleet["node2"].SocketPath)!, "run", "witness")));
        Assert.DoesNotContain("secret", System.Text.Json.JsonSerializer.Serialize(fleet["node2"].Journal!.Witness(report.Id)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Start_WithPowerOffAndNoPeer_IsRefusedBeforeAnythingHappens()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 1);
        Evacuator.Cli.CliException refused = await Assert.ThrowsAsync<Evacuator.Cli.CliException>(() => fleet["node1"].EvacuateAsync(powerOff: true));
        Assert.Contains("no peer", refused.Message, StringComparison.Ordinal);
        Assert.True(fleet["node1"].Agent.InboundOpen);
    }

    private static async Task<TestFleet> StartAsync(TimeSpan? verifyTimeout = null)
    {
        TestFleet fleet = await TestFleet.StartAsync(nodes: 2, options => verifyTimeout is { } timeout ? options with { Power = options.Power with { VerifyTimeout = timeout } } : options);
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        return fleet;
    }

    private static async Task<EvacuationReport> EndAtWitnessAsync(TestFleet fleet, int? forceAfterSeconds = null)
    {
        Guid id = (await fleet["node1"].EvacuateAsync(powerOff: true, forceAfterSeconds)).Id;
        await fleet["node1"].WaitAsync(id, report => report.Power.Witness is not null);
        return await fleet["node2"].WaitForEndAsync(id);
    }
}
