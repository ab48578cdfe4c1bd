using System.Net;
using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Evacuation;

/// <summary>What can go wrong on the way, one fault a test.</summary>
public sealed class FlowTests
{
    [Fact]
    public async Task Start_TheSameOperationTwice_IsOneEvacuation()
    {
        await using TestFleet fleet = await WithContainersAsync(1);
        Guid operation = Guid.NewGuid();
        StartReply first = await fleet["node1"].EvacuateAsync(operation: operation);
        await fleet["node1"].WaitForEndAsync(first.Id);
        StartReply second = await fleet["node1"].EvacuateAsync(operation: operation);

        Assert.Equal((first.Id, true), (second.Id, second.Existing));
    }

    [Fact]
    public async Task Start_WhileOneRuns_JoinsItUnlessItGoesFurther()
    {
        await using TestFleet fleet = await WithContainersAsync(1);
        fleet["node1"].Agent.Hold = _ => true;
        StartReply first = await fleet["node1"].EvacuateAsync();
        StartReply second = await fleet["node1"].EvacuateAsync();
        CliException refused = await Assert.ThrowsAsync<CliException>(() => fleet["node1"].EvacuateAsync(powerOff: true));

        Assert.Equal((first.Id, true), (second.Id, second.Existing));
        Assert.Equal(CliExit.Refused, refused.ExitCode);
    }

    [Fact]
    public async Task Reservation_Refused_GoesToTheNextPeerAndKeepsTheReason()
    {
        await using TestFleet fleet = await WithContainersAsync(1);
        fleet["node2"].Agent.Refuses = _ => new Blocker(BlockerCode.AddressTaken, "10.0.0.7 answers");
        EvacuationReport report = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);

        Assert.Equal(EvacuationPhase.Done, report.State);
        Assert.Equal("node3", report.Containers[0].To);
        Attempt refusal = Assert.Single(report.Containers[0].Refusals);
        Assert.Equal(("node2", BlockerCode.AddressTaken), (refusal.Peer, refusal.Blockers[0].Code));
    }

    [Fact]
    public async Task Reservation_RefusedByAll_ContainerKeepsRunningNamedAndHostStaysOn()
    {
        await using TestFleet fleet = await WithContainersAsync(2);
        foreach (string node in (string[])["node2", "node3"])
            fleet[node].Agent.Refuses = request => request.Container.Name == "c1" ? new Blocker(BlockerCode.NotEnoughMemory, "0 B free") : null;
        EvacuationReport report = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync(powerOff: true)).Id);

        Assert.Equal(EvacuationPhase.Failed, report.State);
        Assert.Contains("c1: node2: 0 B free; node3: 0 B free", report.Problem, StringComparison.Ordinal);
        Assert.Equal(["node1"], fleet.Rack.WhereIs("c1"));
        Assert.Equal(MovePhase.Moved, report.Containers.Single(move => move.Name == "c2").State);
        Assert.False(fleet["node1"].Agent.PoweredOff);
        Assert.False(report.Emptiness.Passed);
    }

    [Fact]
    public async Task Move_FailsAfterTheFreeze_StaysAndIsNotTriedElsewhere()
    {
        await using TestFleet fleet = await WithContainersAsync(2);
        fleet["node1"].Agent.Fails = move =>
        {
            if (move.Request.Container != "c1" || move.Phase != SourcePhase.Freezing)
                return null;
            move.FrozenBefore = true;
            return (null, "node2 could not restore it: /etc/missing does not exist; thawed");
        };
        EvacuationReport report = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);

        ContainerMove c1 = report.Containers.Single(move => move.Name == "c1");
        Assert.Equal(EvacuationPhase.Failed, report.State);
        Assert.Equal((MovePhase.Stayed, 212.5), (c1.State, c1.FreezeMs));
        Assert.Contains("/etc/missing", report.Problem, StringComparison.Ordinal);
        Assert.Equal(2, fleet["node1"].Agent.MovesStarted);
        Assert.Equal(MovePhase.Moved, report.Containers.Single(move => move.Name == "c2").State);
        Assert.All(fleet.Rack.Agents.Values, agent => Assert.Equal(0, agent.OpenReservations));
    }

    /// <summary>The link to one peer is no reason to stay; two freezes for nothing are.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Move_PeerIsLostInTheFreeze_IsTriedAtOneOtherPeer(bool both)
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 4);
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        fleet["node1"].Agent.Fails = move =>
        {
            if (move.Phase != SourcePhase.Freezing || (!both && move.Request.DestinationNode != "node2"))
                return null;
            move.FrozenBefore = true;
            return (new Blocker(BlockerCode.PeerUnreachable, "the connection failed: reset by peer"), "the connection failed: reset by peer");
        };
        EvacuationReport report = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);

        ContainerMove c1 = report.Containers[0];
        Assert.Equal((both ? MovePhase.Stayed : MovePhase.Moved, 2), (c1.State, fleet["node1"].Agent.MovesStarted));
        Assert.Equal(212.5, Assert.Single(c1.Rungs).FreezeMs);
        Assert.Equal("node2", c1.Rungs[0].Peer);
        Assert.Equal(both ? ["node1"] : [c1.To!], fleet.Rack.WhereIs("c1"));
        Assert.All(fleet.Rack.Agents.Values, agent => Assert.Equal(0, agent.OpenReservations));
    }

    [Fact]
    public async Task Move_RefusedBeforeTheFreeze_IsTriedAtTheNextPeer()
    {
        await using TestFleet fleet = await WithContainersAsync(1);
        fleet["node1"].Agent.Fails = move => move.Request.DestinationNode == "node2" ? (new Blocker(BlockerCode.NotEnoughDisk, "node2 is full"), "node2 is full") : null;
        EvacuationReport report = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);

        Assert.Equal((EvacuationPhase.Done, "node3"), (report.State, report.Containers[0].To));
    }

    [Fact]
    public async Task Moves_Several_NeverMoreAtOnceThanTheSetting()
    {
        await using TestFleet fleet = await WithContainersAsync(8, options => options with { Move = options.Move with { Parallel = 2 } });
        await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);
        Assert.Equal(2, fleet["node1"].Agent.MostMovesAtOnce);
    }

    [Fact]
    public async Task Cancel_BeforeRelease_AllStayAndTheNodeIsOpenAgain()
    {
        await using TestFleet fleet = await WithContainersAsync(5);
        fleet["node1"].Agent.Hold = move => move.Phase == SourcePhase.Copying;
        Guid id = (await fleet["node1"].EvacuateAsync(powerOff: true)).Id;
        await fleet["node1"].WaitAsync(id, report => report.Containers.Count(move => move.Step == SourcePhase.Copying) == 3);
        await CancelAsync(fleet["node1"]);
        EvacuationReport report = await fleet["node1"].WaitForEndAsync(id);

        Assert.Equal(EvacuationPhase.Cancelled, report.State);
        Assert.Equal(Environment.UserName, report.CancelledBy);
        Assert.All(report.Containers, move => Assert.Equal(MovePhase.Cancelled, move.State));
        Assert.Equal(5, fleet["node1"].Agent.Containers.Count);
        Assert.True(fleet["node1"].Agent.InboundOpen);
        Assert.False(fleet["node1"].Agent.PoweredOff);
        Assert.All(fleet.Rack.Agents.Values, agent => Assert.Equal(0, agent.OpenReservations));
    }

    [Fact]
    public async Task Cancel_AfterRelease_TheMoveEndsAndTheEvacuationIsStillCancelled()
    {
        await using TestFleet fleet = await WithContainersAsync(1);
        bool hold = true;
        fleet["node1"].Agent.Hold = move => move.Phase == SourcePhase.Released && Volatile.Read(ref hold);
        Guid id = (await fleet["node1"].EvacuateAsync()).Id;
        await fleet["node1"].WaitAsync(id, report => report.Containers is [{ Step: SourcePhase.Released }]);
        await CancelAsync(fleet["node1"]);
        await fleet["node1"].WaitAsync(id, report => report.State == EvacuationPhase.Cancelling);
        Volatile.Write(ref hold, false);
        EvacuationReport report = await fleet["node1"].WaitForEndAsync(id);

        Assert.Equal((EvacuationPhase.Cancelled, MovePhase.Moved), (report.State, report.Containers[0].State));
        Assert.Single(fleet.Rack.WhereIs("c1"));
    }

    [Fact]
    public async Task Cancel_ServiceRestartsMeanwhile_EndsAsCancelled()
    {
        await using TestFleet fleet = await WithContainersAsync(2);
        fleet["node1"].Agent.Hold = move => move.Phase == SourcePhase.Released;
        Guid id = (await fleet["node1"].EvacuateAsync()).Id;
        await fleet["node1"].WaitAsync(id, report => report.Containers.Count(move => move.Step == SourcePhase.Released) == 2);
        await CancelAsync(fleet["node1"]);
        await fleet["node1"].RestartAsync();
        fleet["node1"].Agent.Hold = _ => false;

        Assert.Equal(EvacuationPhase.Cancelled, (await fleet["node1"].WaitForEndAsync(id)).State);
    }

    [Fact]
    public async Task Container_StartedByHandDuringTheDrain_IsMovedToo()
    {
        await using TestFleet fleet = await WithContainersAsync(1);
        fleet["node1"].Agent.Hold = move =>
        {
            if (move.Request.Container == "c1" && move.Phase == SourcePhase.Copying)
                fleet["node1"].Agent.Containers.TryAdd("late", FakeRack.Container("late"));
            return false;
        };
        EvacuationReport report = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);

        Assert.Equal(EvacuationPhase.Done, report.State);
        Assert.Equal(MovePhase.Moved, report.Containers.Single(move => move.Name == "late").State);
        Assert.Contains(report.Notes, note => note.Contains("late", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Proof_ResidueInTheKernel_NeverPowersOff()
    {
        await using TestFleet fleet = await WithContainersAsync(1);
        fleet["node1"].Agent.Residue = "veth7 leads into a foreign netns";
        EvacuationReport report = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync(powerOff: true)).Id);

        Assert.Equal(EvacuationPhase.Failed, report.State);
        Assert.Contains("veth7", report.Problem, StringComparison.Ordinal);
        Assert.False(fleet["node1"].Agent.PoweredOff);
        Assert.Null(report.Power.Witness);
    }

    [Fact]
    public async Task PowerOff_SomethingCameBackAfterTheProof_HostStaysOnAndTheWitnessIsCalledOff()
    {
        await using TestFleet fleet = await WithContainersAsync(1);
        int looks = 0;
        fleet["node1"].Agent.OnEmptiness = () =>
        {
            if (Interlocked.Increment(ref looks) == 2)
                _ = Task.Run(() => fleet["node1"].Agent.Residue = "a process in a foreign cgroup");
        };
        EvacuationReport report = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync(powerOff: true)).Id);

        Assert.Equal(EvacuationPhase.Failed, report.State);
        Assert.Contains("foreign cgroup", report.Problem, StringComparison.Ordinal);
        Assert.False(fleet["node1"].Agent.PoweredOff);
        Assert.False(fleet.Bmc("node1").Lit);
        if (report.Power.Witness is { } witness)
            Assert.Equal(WitnessPhase.Withdrawn, fleet[witness].Journal!.Witness(report.Id)!.Phase);
    }

    [Fact]
    public async Task Plan_DoesNotFitAndPartialIsOff_NothingIsTouched()
    {
        await using TestFleet fleet = await WithContainersAsync(2, options => options with { Evacuation = options.Evacuation with { Partial = false } });
        fleet["node1"].Agent.Containers["huge"] = FakeRack.Container("huge", 1L << 40);
        EvacuationReport report = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);

        Assert.Equal(EvacuationPhase.Failed, report.State);
        Assert.Contains("huge", report.Problem, StringComparison.Ordinal);
        Assert.Contains("What would help", report.Problem, StringComparison.Ordinal);
        Assert.Equal(MovePhase.Blocked, report.Containers.Single(move => move.Name == "huge").State);
        Assert.Equal(2, report.Containers.Count(move => move.State == MovePhase.Cancelled));
        Assert.Equal(0, fleet["node1"].Agent.MovesStarted);
        Assert.True(fleet["node1"].Agent.InboundOpen);
    }

    [Fact]
    public async Task Peers_ThatCannotBeUsed_AreLeftOutWithTheReason()
    {
        await using TestFleet fleet = await WithContainersAsync(1);
        fleet["node2"].Agent.Requirements = [new Requirement("criu", false, "3.17", "install criu (>= 4)", BlockerCode.CriuTooOld)];
        await fleet["node3"].StopAsync();
        EvacuationReport report = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);

        Assert.Equal(EvacuationPhase.Failed, report.State);
        Assert.Equal([BlockerCode.CriuTooOld, BlockerCode.PeerUnreachable], report.ExcludedPeers.Select(peer => peer.Code));
        Assert.Equal(BlockerCode.NoPeer, report.Containers[0].Blockers[0].Code);
    }

    [Fact]
    public async Task Nodes_BothBeingEmptied_DoNotSendToEachOther()
    {
        await using TestFleet fleet = await WithContainersAsync(2);
        fleet["node2"].Agent.Containers["d1"] = FakeRack.Container("d1");
        fleet["node2"].Agent.Hold = _ => true;
        await fleet["node2"].WaitAsync((await fleet["node2"].EvacuateAsync()).Id, report => report.State == EvacuationPhase.Moving);
        EvacuationReport report = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);

        Assert.Equal(EvacuationPhase.Done, report.State);
        Assert.All(report.Containers, move => Assert.Equal("node3", move.To));
        Assert.Equal(BlockerCode.AdmissionClosed, Assert.Single(report.ExcludedPeers).Code);
    }

    [Fact]
    public async Task Agent_RestartsOpenWhileTheNodeIsClosed_IsClosedAgainUntilReopened()
    {
        await using TestFleet fleet = await WithContainersAsync(1);
        await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);
        await fleet["node1"].RebootAsync();
        await UntilAsync(() => !fleet["node1"].Agent.InboundOpen);
        using BrainClient client = fleet["node1"].Client();
        Assert.NotNull((await client.GetAsync<NodeStatus>(ApiRoutes.Status, default)).Closed);

        await client.PostAsync(ApiRoutes.Reopen, default);

        Assert.True(fleet["node1"].Agent.InboundOpen);
        Assert.Null((await client.GetAsync<NodeStatus>(ApiRoutes.Status, default)).Closed);
    }

    [Fact]
    public async Task Host_RestartsInTheMiddleOfAMove_IsSaidAndTheArrivedContainerCountsAsMoved()
    {
        await using TestFleet fleet = await WithContainersAsync(1);
        // The destination has it, and before the source could note that, its host goes down.
        fleet["node1"].Agent.Hold = move => move.Phase == SourcePhase.Removing;
        Guid id = (await fleet["node1"].EvacuateAsync()).Id;
        await fleet["node1"].WaitAsync(id, report => report.Containers is [{ Step: SourcePhase.Removing }]);
        await fleet["node1"].RebootAsync();
        EvacuationReport report = await fleet["node1"].WaitForEndAsync(id);

        Assert.Equal((EvacuationPhase.Done, MovePhase.Moved), (report.State, report.Containers[0].State));
        Assert.Contains(report.Notes, note => note.Contains("the host was restarted in phase moving", StringComparison.Ordinal));
    }

    /// <summary>Post-copy: that it runs there is not enough, when what it still needed is gone with this host's memory.</summary>
    [Fact]
    public async Task Host_RestartsWhileItsMemoryIsFetched_TheAgentsEndOfItCountsAndNotThatItRunsThere()
    {
        await using TestFleet fleet = await WithContainersAsync(1);
        FakeMove? served = null;
        fleet["node1"].Agent.KeepsMoves = true;
        fleet["node1"].Agent.Hold = move =>
        {
            (served = move).Rung = MoveRung.PostCopy;
            return move.Phase == SourcePhase.Removing;
        };
        Guid id = (await fleet["node1"].EvacuateAsync()).Id;
        await fleet["node1"].WaitAsync(id, report => report.Containers is [{ Step: SourcePhase.Removing }]);
        await fleet["node1"].RebootAsync();
        EvacuationReport meanwhile = await fleet["node1"].WaitAsync(id, report => report.Containers is [{ Waiting: not null }]);

        fleet[meanwhile.Containers[0].To!].Agent.Lose(served!);
        // The word before the phase: whoever asks in between must not see an end without a reason.
        (served!.Detail, served.Phase) = ("it is lost with its memory", SourcePhase.Stayed);
        EvacuationReport report = await fleet["node1"].WaitForEndAsync(id);

        Assert.Equal(MovePhase.Moving, meanwhile.Containers[0].State);
        Assert.Equal(MovePhase.Gone, report.Containers[0].State);
        Assert.Contains("it is lost with its memory", report.Containers[0].Detail, StringComparison.Ordinal);
        // The host is empty, but not because they have moved.
        Assert.Equal(EvacuationPhase.Failed, report.State);
        Assert.Contains("was restarted before they had moved", report.Problem, StringComparison.Ordinal);
        Assert.Contains(report.Containers[0].Name, report.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Agent_ForgetsTheMove_NobodyIsToldThatItArrived()
    {
        await using TestFleet fleet = await WithContainersAsync(1);
        fleet["node1"].Agent.Hold = move => move.Phase == SourcePhase.Released;
        Guid id = (await fleet["node1"].EvacuateAsync()).Id;
        await fleet["node1"].WaitAsync(id, report => report.Containers is [{ Step: SourcePhase.Released }]);
        await fleet[(await fleet["node1"].ReportAsync(id)).Containers[0].To!].StopAsync();
        fleet["node1"].Agent.Reset();
        EvacuationReport report = await fleet["node1"].WaitForEndAsync(id);

        Assert.Equal((EvacuationPhase.Failed, MovePhase.Unknown), (report.State, report.Containers[0].State));
        Assert.Contains("runc list", report.Problem, StringComparison.Ordinal);
    }

    private static async Task<TestFleet> WithContainersAsync(int count, Func<Common.Configuration.EvacuatorOptions, Common.Configuration.EvacuatorOptions>? options = null)
    {
        TestFleet fleet = await TestFleet.StartAsync(options: options);
        for (int i = 1; i <= count; i++)
            fleet["node1"].Agent.Containers[$"c{i}"] = FakeRack.Container($"c{i}");
        return fleet;
    }

    private static async Task CancelAsync(TestNode node)
    {
        using BrainClient client = node.Client();
        await client.SendAsync<EvacuationReport>(HttpMethod.Post, ApiRoutes.Cancel, null, default);
    }

    [Fact]
    public async Task Closed_ByASecondEvacuation_NamesThatOneSinceTheFirst()
    {
        await using TestFleet fleet = await WithContainersAsync(1);
        TestNode node = fleet["node1"];
        node.Agent.Residue = "veth x";
        StartReply first = await node.EvacuateAsync();
        await node.WaitForEndAsync(first.Id);
        using BrainClient client = node.Client();
        ClosedAdmission before = (await client.GetAsync<NodeStatus>(ApiRoutes.Status, default)).Closed!;

        StartReply second = await node.EvacuateAsync();
        await node.WaitForEndAsync(second.Id);

        ClosedAdmission after = (await client.GetAsync<NodeStatus>(ApiRoutes.Status, default)).Closed!;
        Assert.Contains($"{second.Id:D}", after.Reason, StringComparison.Ordinal);
        Assert.Equal(before.Since, after.Since);
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        while (!condition())
            await Task.Delay(5, limit.Token);
    }
}
