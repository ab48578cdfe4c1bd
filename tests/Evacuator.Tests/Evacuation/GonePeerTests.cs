using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Evacuation;

/// <summary>A container released to a host that will never answer.</summary>
public sealed class GonePeerTests
{
    [Fact]
    public async Task Settle_PeerAnswers_IsRefused()
    {
        await using TestFleet fleet = await ReleasedAsync();
        fleet.Bmc("node2").Power = "Off";

        CliException refused = await Assert.ThrowsAsync<CliException>(() => SettleAsync(fleet, bmc: "https://bmc.node2"));

        Assert.Equal(CliExit.Refused, refused.ExitCode);
        Assert.Contains("node2 is not gone, its evacuator answers", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("On", "says On: a host that is gone is off")]
    [InlineData("PoweringOff", "says PoweringOff")]
    [InlineData(null, "cannot be asked")]
    public async Task Settle_BmcDoesNotSayOff_IsRefusedAndTheContainerWaitsOn(string? power, string why)
    {
        await using TestFleet fleet = await ReleasedAsync();
        await fleet["node2"].StopAsync();
        fleet.Bmc("node2").Unreachable = power is null;
        fleet.Bmc("node2").Power = power ?? "Off";

        CliException refused = await Assert.ThrowsAsync<CliException>(() => SettleAsync(fleet, bmc: "https://bmc.node2"));

        Assert.Contains(why, refused.Message, StringComparison.Ordinal);
        using BrainClient client = fleet["node1"].Client();
        EvacuationReport report = (await client.GetAsync<NodeStatus>(ApiRoutes.Status, default)).Evacuation!;
        Assert.Equal(SourcePhase.Released, Assert.Single(report.Containers).Step);
    }

    [Fact]
    public async Task Settle_BmcSaysOff_IsTakenBackAndTheReportSaysBySomeoneAndWhy()
    {
        await using TestFleet fleet = await ReleasedAsync();
        await fleet["node2"].StopAsync();
        fleet.Bmc("node2").Power = "Off";

        SettleReply reply = await SettleAsync(fleet, bmc: "https://bmc.node2");

        Assert.True(reply.RunsHere);
        Assert.Contains("its BMC at https://bmc.node2 said Off twice", reply.Text, StringComparison.Ordinal);
        EvacuationReport report = await fleet["node1"].WaitForEndAsync(fleet["node1"].Journal!.Evacuations()[0].Id);
        Assert.Equal(MovePhase.Stayed, Assert.Single(report.Containers).State);
        Assert.Contains(report.Notes, note => note.Contains("c1: node2 was declared gone for good (by ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Settle_OtherPeerOrOtherContainerOrNoWord_IsRefused()
    {
        await using TestFleet fleet = await ReleasedAsync();
        await fleet["node2"].StopAsync();

        Assert.Contains("on its way to node2, not to node3", (await Assert.ThrowsAsync<CliException>(() => SettleAsync(fleet, gone: "node3"))).Message, StringComparison.Ordinal);
        Assert.Contains("under way: c1 to node2 (released)", (await Assert.ThrowsAsync<CliException>(() => SettleAsync(fleet, container: "c9"))).Message, StringComparison.Ordinal);
        Assert.Equal(CliExit.Usage, (await Assert.ThrowsAsync<CliException>(() => SettleAsync(fleet, unverified: false))).ExitCode);
    }

    [Fact]
    public async Task Settle_NotReleasedYet_IsRefused()
    {
        await using TestFleet fleet = await ReleasedAsync(SourcePhase.Copying);
        await fleet["node2"].StopAsync();

        Assert.Contains("c1 is copying", (await Assert.ThrowsAsync<CliException>(() => SettleAsync(fleet))).Message, StringComparison.Ordinal);
    }

    /// <summary>Nobody is asked to type a host's name for something that is refused anyway.</summary>
    [Fact]
    public async Task SettleVerb_PeerAnswers_IsRefusedBeforeAnythingIsAsked()
    {
        await using TestFleet fleet = await ReleasedAsync();

        (int code, _, string error) = await Tests.Cli.CliRun.RunAsync(fleet["node1"].SocketPath, "settle", "c1", "--gone", "node2", "--unverified");

        Assert.Equal(CliExit.Refused, code);
        Assert.Contains("node2 is not gone", error, StringComparison.Ordinal);
        Assert.DoesNotContain("Type node2", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Settle_LookOnly_ChangesNothing()
    {
        await using TestFleet fleet = await ReleasedAsync();
        await fleet["node2"].StopAsync();
        using BrainClient client = fleet["node1"].Client();

        SettleReply reply = await client.SendAsync<SettleReply>(HttpMethod.Post, ApiRoutes.Settle, new SettleRequest { Container = "c1", Gone = "node2", Unverified = true, LookOnly = true }, default);

        Assert.False(reply.RunsHere);
        Assert.Contains("nothing of that host answers", reply.Text, StringComparison.Ordinal);
        EvacuationReport report = (await client.GetAsync<NodeStatus>(ApiRoutes.Status, default)).Evacuation!;
        Assert.Equal(SourcePhase.Released, Assert.Single(report.Containers).Step);
        Assert.Empty(report.Notes);
    }

    /// <summary>node1 with c1 on its way to node2, held in a phase.</summary>
    private static async Task<TestFleet> ReleasedAsync(SourcePhase phase = SourcePhase.Released)
    {
        TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        fleet["node1"].Agent.Hold = move => move.Phase == phase;
        StartReply started = await fleet["node1"].EvacuateAsync();
        await fleet["node1"].WaitAsync(started.Id, report => report.Containers is [{ } move] && move.Step == phase);
        return fleet;
    }

    private static async Task<SettleReply> SettleAsync(TestFleet fleet, string container = "c1", string gone = "node2", string? bmc = null, bool unverified = true)
    {
        using BrainClient client = fleet["node1"].Client();
        return await client.SendAsync<SettleReply>(HttpMethod.Post, ApiRoutes.Settle,
            new SettleRequest { Container = container, Gone = gone, BmcUrl = bmc, Unverified = unverified && bmc is null }, default);
    }
}
