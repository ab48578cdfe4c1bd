using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;
using Evacuator.Evacuation;
using Evacuator.Fleet;
using Evacuator.Fleet.Authority;
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
    public async Task Revoke_TheNodeItselfClaimsANewerList_DoesNotKeepItFromWhoMissedIt()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 3);
        using FleetAuthority own = FleetAuthority.Create(TimeProvider.System);
        fleet["node3"].Tls.Accept(SignedRoster.Sign(fleet["node3"].Tls.Roster!.Roster with { Number = long.MaxValue, Authorities = [fleet["node3"].Tls.Authorities.Pem] }, own));
        await UntilAsync(() => fleet["node2"].Service<PeerDirectory>().Standings.Any(standing => standing is { Name: "node3", FleetNumber: long.MaxValue }));

        SignedRoster roster = Revoke(fleet, "node3");
        await fleet["node1"].Service<FleetMembership>().AcceptAsync(roster.Text, spread: false, default);

        await UntilAsync(() => fleet["node2"].Tls.Roster!.Roster.Number == roster.Roster.Number);
    }

    [Theory]
    [InlineData("{\"text\":null}")]
    [InlineData("{}")]
    public void Answer_OfAPeerWithNothingWhereSomethingBelongs_IsNoAnswer(string answer) =>
        Assert.Throws<System.Text.Json.JsonException>(() => System.Text.Json.JsonSerializer.Deserialize<RosterMessage>(answer, ApiJson.OfOthers));

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

    [Fact]
    public async Task Authority_ReplacedRenewedRetired_WhoHasRenewedGoesOn_WhoHasNotIsOutAndToldSo()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 3);
        TestNode[] nodes = [fleet["node1"], fleet["node2"], fleet["node3"]];
        Registrar registrar = new(fleet.Authority, TimeProvider.System);
        string old = fleet["node1"].Tls.Authorities.Fingerprints[0];
        foreach (TestNode node in nodes)
            node.Agent.CertificateBy = old;

        // 1. Told on one node, all trust both.
        AuthorityState state = registrar.AddAuthority();
        Assert.Equal(2, (await TellAsync(fleet["node1"], state.Signed)).Told);
        await UntilAsync(() => nodes.All(node => node.Tls.Authorities.Has(state.Newest) && node.Agent.Authorities?.Contains(state.Newest) == true));
        Assert.Empty(AuthorityReplacement.WhyNot(retires: false, state.Newest, await NodesAsync(fleet["node1"])));

        // 2. Two of them renew.
        state = registrar.IssueByNewest();
        await TellAsync(fleet["node1"], state.Signed);
        foreach (TestNode node in nodes[..2])
            Renew(fleet, node, state.Newest);
        await UntilAsync(() => nodes.All(node => node.Service<PeerDirectory>().Standings.Count(standing => standing.Reachable) == 2));
        AuthorityObstacle obstacle = Assert.Single(AuthorityReplacement.WhyNot(retires: true, state.Newest, await NodesAsync(fleet["node1"])));
        Assert.Equal(("node3", AuthorityHold.OldCertificate), (obstacle.Node, obstacle.Hold));
        using (BrainClient client = fleet["node1"].Client())
        {
            NodeStatus status = await client.GetAsync<NodeStatus>(ApiRoutes.Status, default);
            Assert.Equal((state.Newest, old), (status.Fleet!.Trust!.BrainBy, status.Peers.Single(peer => peer.Name == "node3").Trust!.BrainBy));
        }

        // 3. By force: the third hears of it before it is cut off.
        RosterSpread last = await TellAsync(fleet["node1"], registrar.RetireOld().Signed);
        Assert.DoesNotContain(last.NotTold, missing => missing.StartsWith("node2", StringComparison.Ordinal));
        await UntilAsync(() => fleet["node3"].Tls.WhyOut is not null && fleet["node2"].Tls.Authorities.Fingerprints.Count == 1);
        Assert.Null(fleet["node2"].Tls.WhyOut);
        await UntilAsync(() => Reaches("node1", "node2") && Reaches("node2", "node1") && !Reaches("node1", "node3") && !Reaches("node3", "node1"));
        using BrainClient outside = fleet["node3"].Client();
        Assert.Contains((await outside.GetAsync<NodeStatus>(ApiRoutes.Status, default)).Notices, notice => notice.Contains("the authority that node3 has its certificate from was retired at", StringComparison.Ordinal));

        bool Reaches(string from, string to) => fleet[from].Service<PeerDirectory>().Standings.Any(standing => standing.Name == to && standing.Reachable);
    }

    [Fact]
    public async Task Authority_ReplacedWithoutANode_ItSaysWhomItDoesNotKnow_AndAListMendsIt()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        Registrar registrar = new(fleet.Authority, TimeProvider.System);
        registrar.AddAuthority();
        AuthorityState state = registrar.IssueByNewest();
        await fleet["node1"].Service<FleetMembership>().AcceptAsync(state.Signed.Text, spread: false, default);
        // As if the other had been away meanwhile.
        Renew(fleet, fleet["node1"], state.Newest);
        if (!fleet["node2"].Tls.Authorities.Has(state.Newest))
        {
            await UntilAsync(() => fleet["node2"].Tls.Authorities.Has(state.Newest) || fleet["node2"].Service<FleetMembership>().Notices().Any(notice => notice.Contains("node1 shows a certificate of an authority that this node does not know", StringComparison.Ordinal)));
            await TellAsync(fleet["node2"], state.Signed);
        }

        await UntilAsync(() => fleet["node2"].Service<PeerDirectory>().Standings.Any(standing => standing is { Name: "node1", Reachable: true }));
        Assert.DoesNotContain(fleet["node2"].Service<FleetMembership>().Notices(), notice => notice.Contains("does not know", StringComparison.Ordinal));
    }

    private static async Task<IReadOnlyList<AskedNode>> NodesAsync(TestNode node)
    {
        using BrainClient client = node.Client();
        return (await client.GetAsync<AskedNodes>(ApiRoutes.Fleet + "/nodes", default)).Nodes;
    }

    /// <summary>Both services of a node have a certificate of the newest authority from now on.</summary>
    private static void Renew(TestFleet fleet, TestNode node, string newest)
    {
        using (AuthorityDirectory directory = AuthorityDirectory.Open(fleet.Authority, create: false, TimeProvider.System))
        {
            NodeRequest request = NodeRequest.Make(node.Tls.Identity);
            new FleetFiles(node.Options.Fleet.TlsDirectory, FleetRole.Brain).Replace(new IssuedCertificate(directory.Sign(node.Tls.Identity, request.RequestPem), request.KeyPem), group: null);
        }

        node.Tls.Reload();
        Assert.Equal(newest, node.Tls.IssuedBy);
        node.Agent.CertificateBy = newest;
    }

    private static SignedRoster Revoke(TestFleet fleet, string node) => new Registrar(fleet.Authority, TimeProvider.System).Revoke(node);

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
