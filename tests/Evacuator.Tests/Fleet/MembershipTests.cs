using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;
using Evacuator.Evacuation;
using Evacuator.Fleet;
using Evacuator.Fleet.Membership;
using Evacuator.Journal;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Fleet;

/// <summary>Who is in the fleet changes while whole brains run, over real mutual TLS.</summary>
public sealed class MembershipTests
{
    [Fact]
    public async Task Revoke_ToldOnOneNode_AllOthersAndTheirAgentsKnowIt_TheNodeCanDoNothing()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 4);
        using PeerClient revoked = new(new Peer("node2", "127.0.0.2"), fleet["node4"].Options.Fleet.BrainPort, fleet["node4"].Tls.HttpHandlerFor("node2"));
        await revoked.GetCapacityAsync(default);

        RosterSpread spread = await TellAsync(fleet["node1"], Revoke(fleet, "node4"));

        Assert.Equal((2, 0), (spread.Told, spread.NotTold.Count));
        await UntilAsync(() => fleet["node3"].Agent.FleetNumber == spread.Number && fleet["node1"].Agent.FleetNumber == spread.Number);
        // Its standing connection is gone, and no new one comes about.
        Assert.Equal(BlockerCode.PeerUnreachable, (await Assert.ThrowsAsync<PeerException>(() => revoked.GetCapacityAsync(default))).Code);
        foreach (string name in new[] { "node1", "node2", "node3" })
        {
            Assert.DoesNotContain("node4", fleet[name].Service<PeerDirectory>().Names);
            using PeerClient there = new(new Peer("node4", "127.0.0.4"), fleet[name].Options.Fleet.BrainPort, fleet[name].Tls.HttpHandlerFor("node4"));
            Assert.Contains("revoked", (await Assert.ThrowsAsync<PeerException>(() => there.GetCapacityAsync(default))).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Revoke_HeardByNobodyAtFirst_IsPassedOnByWhoHasIt()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 3);
        SignedRoster roster = Revoke(fleet, "node3");

        // As if the authority had answered this node alone.
        await fleet["node1"].Service<FleetMembership>().AcceptAsync(roster.Text, spread: false, default);

        await UntilAsync(() => fleet["node2"].Tls.Roster!.Roster.Number == roster.Roster.Number);
        // First the handshakes, then whom it asks.
        await UntilAsync(() => !fleet["node2"].Service<PeerDirectory>().Names.Contains("node3"));
    }

    [Fact]
    public async Task Revoke_InTheMiddleOfAnEvacuation_TheRestGoesElsewhere()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 3);
        for (int number = 1; number <= 4; number++)
            fleet["node1"].Agent.Containers[$"c{number}"] = FakeRack.Container($"c{number}");
        bool hold = true;
        fleet["node1"].Agent.Hold = move => hold && move.Phase == SourcePhase.Copying;
        Guid id = (await fleet["node1"].EvacuateAsync()).Id;
        await fleet["node1"].WaitAsync(id, report => report.Containers.Any(move => move.State == MovePhase.Moving && move.To == "node3"));

        await TellAsync(fleet["node2"], Revoke(fleet, "node3"));
        await UntilAsync(() => !fleet["node1"].Service<PeerDirectory>().Names.Contains("node3"));
        // What was on its way there breaks off, as at a link that is cut; the agent's part of that has tests of its own.
        fleet["node1"].Agent.Fails = move => move.Request.DestinationNode == "node3" && move.Phase == SourcePhase.Copying ? (null, "the connection was cut") : null;
        hold = false;
        EvacuationReport report = await fleet["node1"].WaitForEndAsync(id);

        Assert.All(report.Containers, move => Assert.True(move.To != "node3" || move.State != MovePhase.Moved, $"{move.Name} went to a node that is out of the fleet"));
        Assert.Contains(report.Containers, move => move.State == MovePhase.Moved && move.To == "node2");
    }

    [Fact]
    public async Task Restart_TheListFromTheJournalHoldsAgain()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 3);
        SignedRoster roster = Revoke(fleet, "node3");
        await TellAsync(fleet["node1"], roster);

        await fleet["node1"].RestartAsync();

        Assert.Equal(roster.Roster.Number, fleet["node1"].Tls.Roster!.Roster.Number);
        Assert.Equal(["node2"], fleet["node1"].Service<PeerDirectory>().Names);
    }

    [Fact]
    public async Task Join_ANewNode_IsAPeerOfAllWithoutARestart()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        Peer newcomer = new("node3", "127.0.0.3");
        IReadOnlyList<Peer> peers = new FleetSetup(TimeProvider.System).Init(fleet.Authority, [newcomer]).Peers;
        TestNode node = await fleet.StartNodeAsync(newcomer, peers);

        // It has the newer list, and nobody lets it in before he has it.
        await TellAsync(fleet["node1"], node.Tls.Roster!);

        await UntilAsync(() => fleet["node2"].Service<PeerDirectory>().Standings.Any(standing => standing is { Name: "node3", Reachable: true }));
        await UntilAsync(() => node.Service<PeerDirectory>().Standings.Count(standing => standing.Reachable) == 2);
    }

    [Fact]
    public async Task Accept_ListOfAnotherFleetOrChanged_IsRefusedByPeersAndOperators()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        using FleetAuthority other = FleetAuthority.Create(TimeProvider.System);
        string forged = SignedRoster.Sign(new FleetRoster { Number = long.MaxValue, Made = DateTimeOffset.UtcNow, Nodes = [new("node1", "127.0.0.1")] }, other).Text;
        long number = fleet["node2"].Tls.Roster!.Roster.Number;
        using PeerClient peer = new(new Peer("node2", "127.0.0.2"), fleet["node1"].Options.Fleet.BrainPort, fleet["node1"].Tls.HttpHandlerFor("node2"));

        Assert.Contains("not signed by this fleet's authority", (await Assert.ThrowsAsync<PeerException>(() => peer.TellRosterAsync(forged, default))).Message, StringComparison.Ordinal);
        using BrainClient client = fleet["node2"].Client();
        CliException refused = await Assert.ThrowsAsync<CliException>(() => client.SendAsync<RosterSpread>(HttpMethod.Post, ApiRoutes.Fleet, new RosterMessage(forged), default));

        Assert.Equal(CliExit.Refused, refused.ExitCode);
        Assert.Equal(number, fleet["node2"].Tls.Roster!.Roster.Number);
    }

    [Fact]
    public async Task Leave_WithAGuestOrAnEvacuation_IsRefusedAndTheNodeStaysOpen()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        EvacuationReport moved = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);
        Assert.Equal(MovePhase.Moved, Assert.Single(moved.Containers).State);

        using BrainClient host = fleet["node2"].Client();
        CliException refused = await Assert.ThrowsAsync<CliException>(() => host.PostAsync(ApiRoutes.Leave, default));
        Assert.Contains("c1 belongs to node1", refused.Message, StringComparison.Ordinal);
        Assert.True(fleet["node2"].Agent.InboundOpen);

        // Its own containers keep nobody: they run on.
        using BrainClient emptied = fleet["node1"].Client();
        fleet["node1"].Agent.Containers["own"] = FakeRack.Container("own");
        await emptied.PostAsync(ApiRoutes.Leave, default);
        Assert.False(fleet["node1"].Agent.InboundOpen);
        Assert.NotNull(fleet["node1"].Service<Admission>().Closed);
    }

    [Fact]
    public async Task Status_SaysHowItStandsInTheFleet_AndThatItIsOut()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        using BrainClient client = fleet["node1"].Client();
        NodeStatus before = await client.GetAsync<NodeStatus>(ApiRoutes.Status, default);
        Assert.Equal("", before.Fleet!.Out);
        Assert.Equal(fleet["node1"].Tls.Roster!.Roster.Number, before.Fleet.Number);

        await TellAsync(fleet["node1"], Revoke(fleet, "node1"));

        NodeStatus after = await client.GetAsync<NodeStatus>(ApiRoutes.Status, default);
        Assert.Contains("revoked", after.Fleet!.Out, StringComparison.Ordinal);
        Assert.Contains(after.Notices, notice => notice.Contains("can do nothing in the fleet any more", StringComparison.Ordinal));
    }

    private static SignedRoster Revoke(TestFleet fleet, string node) => new Evacuator.Fleet.Authority.Registrar(fleet.Authority, TimeProvider.System).Revoke(node);

    private static async Task<RosterSpread> TellAsync(TestNode node, SignedRoster roster)
    {
        using BrainClient client = node.Client();
        return await client.SendAsync<RosterSpread>(HttpMethod.Post, ApiRoutes.Fleet, new RosterMessage(roster.Text), default);
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        while (!condition())
            await Task.Delay(5, limit.Token);
    }
}
