using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Evacuation;

/// <summary>What a run does when live does not work, when time is over, and when a person says: once more.</summary>
public sealed class LadderTests
{
    [Fact]
    public async Task Live_FailsTwice_IsStoppedWherePermittedAndStaysElsewhere()
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        FakeAgent agent = fleet["node1"].Agent;
        agent.Containers["may"] = FakeRack.Container("may", annotations: ("evacuator.policy", "cold"));
        agent.Containers["not"] = FakeRack.Container("not");
        agent.Containers["only"] = FakeRack.Container("only", annotations: ("evacuator.policy", "stop"));
        agent.Fails = move => move.Request.Mode == MoveMode.Live && move.Phase == SourcePhase.Freezing ? (null, "the freeze budget was over") : null;
        EvacuationReport report = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);

        ContainerMove may = report.Containers.Single(move => move.Name == "may"), only = report.Containers.Single(move => move.Name == "only");
        Assert.Equal((MovePhase.Moved, MoveMode.StopAndStart), (may.State, may.Mode));
        Assert.Equal([MoveMode.Live, MoveMode.Live], may.Rungs.Select(rung => rung.Mode));
        Assert.Equal((MovePhase.Moved, MoveMode.StopAndStart, 0), (only.State, only.Mode, only.Rungs.Count));
        Assert.Equal((EvacuationPhase.Failed, MovePhase.Stayed), (report.State, report.Containers.Single(move => move.Name == "not").State));
    }

    [Fact]
    public async Task Retry_OfAFailedEvacuation_GoesOnToAllThatItWasAskedFor()
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1");
        node.Agent.Containers["c2"] = FakeRack.Container("c2");
        node.Agent.Fails = move => move.Request.Container == "c1" ? (null, "the disk of node2 is slow") : null;
        EvacuationReport failed = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);
        Assert.Equal(EvacuationPhase.Failed, failed.State);

        using BrainClient client = node.Client();
        CliException moved = await Assert.ThrowsAsync<CliException>(() => client.SendAsync<EvacuationReport>(HttpMethod.Post, ApiRoutes.Retry, new RetryRequest("c2"), default));
        Assert.Contains("c2 is moved", moved.Message, StringComparison.Ordinal);
        node.Agent.Fails = _ => null;
        await client.SendAsync<EvacuationReport>(HttpMethod.Post, ApiRoutes.Retry, new RetryRequest("c1"), default);
        EvacuationReport done = await node.WaitAsync(failed.Id, report => report.State is EvacuationPhase.Done);

        Assert.All(done.Containers, move => Assert.Equal(MovePhase.Moved, move.State));
        Assert.Contains(done.Notes, note => note.Contains("retries c1", StringComparison.Ordinal));
        Assert.True(done.Emptiness.Passed);
        Assert.Equal("", done.Problem);
    }

    [Fact]
    public async Task Retry_WhileOthersMove_JoinsThem()
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1");
        node.Agent.Containers["held"] = FakeRack.Container("held");
        bool held = true, fails = true;
        node.Agent.Hold = move => move.Request.Container == "held" && Volatile.Read(ref held);
        node.Agent.Fails = move => move.Request.Container == "c1" && Volatile.Read(ref fails) ? (null, "once") : null;
        Guid id = (await node.EvacuateAsync()).Id;
        await node.WaitAsync(id, report => report.Containers.Any(move => move is { Name: "c1", State: MovePhase.Stayed }));

        Volatile.Write(ref fails, false);
        using BrainClient client = node.Client();
        await client.SendAsync<EvacuationReport>(HttpMethod.Post, ApiRoutes.Retry, new RetryRequest("c1"), default);
        Volatile.Write(ref held, false);
        Assert.Equal(EvacuationPhase.Done, (await node.WaitForEndAsync(id)).State);
    }

    /// <summary>Whoever has mended an annotation expects that it counts, without a new evacuation.</summary>
    [Fact]
    public async Task Retry_AnnotationWasMended_CountsAndIsNoted()
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1", annotations: [("evacuator.freeze-budget", "100ms"), ("evacuator.group", "shop")]);
        node.Agent.Fails = move => move.Request.FreezeBudgetMs < 5000 ? (null, "the freeze budget was over") : null;
        EvacuationReport failed = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);
        Assert.Equal(MovePhase.Stayed, failed.Containers[0].State);

        node.Agent.Containers["c1"] = FakeRack.Container("c1", annotations: [("evacuator.freeze-budget", "5s"), ("other", "x")]);
        using BrainClient client = node.Client();
        await client.SendAsync<EvacuationReport>(HttpMethod.Post, ApiRoutes.Retry, new RetryRequest("c1"), default);
        EvacuationReport done = await node.WaitAsync(failed.Id, report => report.State is EvacuationPhase.Done);

        Assert.Equal(MovePhase.Moved, done.Containers[0].State);
        Assert.Contains(done.Notes, note => note.EndsWith("it had stayed: the freeze budget was over; changed since: evacuator.freeze-budget=5s, no evacuator.group", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("gone", "has ended: it is not on node1 any more")]
    [InlineData("stopped", "has ended: runc has it as stopped")]
    [InlineData("stay", "evacuator.policy=stay forbids to move it")]
    [InlineData("garbage", "c1 cannot be read: config.json ends in the middle")]
    public async Task Retry_OfWhatCannotMoveAnyMore_IsRefusedAndSaysWhy(string how, string says)
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1");
        node.Agent.Fails = _ => (null, "no");
        EvacuationReport failed = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);
        node.Agent.Containers.Clear();
        if (how == "stopped")
            node.Agent.Containers["c1"] = FakeRack.Container("c1") with { State = "stopped" };
        if (how == "stay")
            node.Agent.Containers["c1"] = FakeRack.Container("c1", annotations: ("evacuator.policy", "stay"));

        if (how == "garbage")
            node.Agent.Containers["c1"] = FakeRack.Container("c1") with { Blockers = [new Blocker(BlockerCode.Unreadable, "config.json ends in the middle")] };

        using BrainClient client = node.Client();
        CliException refused = await Assert.ThrowsAsync<CliException>(() => client.SendAsync<EvacuationReport>(HttpMethod.Post, ApiRoutes.Retry, new RetryRequest("c1"), default));

        Assert.Equal(CliExit.Refused, refused.ExitCode);
        Assert.Contains(says, refused.Message, StringComparison.Ordinal);
        Assert.Equal((EvacuationPhase.Failed, MovePhase.Stayed), ((await node.ReportAsync(failed.Id)).State, (await node.ReportAsync(failed.Id)).Containers[0].State));
    }

    /// <summary>Nothing was begun, so nothing can go on: neither is the host closed for it, nor is a reason replaced by a worse one.</summary>
    [Fact]
    public async Task Retry_AfterThePlanWasRefusedWhole_IsRefusedAndLeavesEverythingAsItWas()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(options: options => options with { Evacuation = options.Evacuation with { Partial = false } });
        TestNode node = fleet["node1"];
        node.Agent.Containers["web"] = FakeRack.Container("web");
        node.Agent.Containers["red"] = FakeRack.Container("red", annotations: ("evacuator.zone", "z9"));
        EvacuationReport failed = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);
        Assert.Contains("mend what keeps red here", failed.Next, StringComparison.Ordinal);
        Assert.DoesNotContain("make room", failed.Next, StringComparison.Ordinal);
        using BrainClient client = node.Client();

        // As it was refused, and after its annotation was mended: the others would stay behind in either case.
        foreach (ContainerReport red in (ContainerReport[])[node.Agent.Containers["red"], FakeRack.Container("red")])
        {
            node.Agent.Containers["red"] = red;
            CliException refused = await Assert.ThrowsAsync<CliException>(() => client.SendAsync<EvacuationReport>(HttpMethod.Post, ApiRoutes.Retry, new RetryRequest("red"), default));
            Assert.Equal(CliExit.Refused, refused.ExitCode);
            Assert.Contains("nothing was begun", refused.Message, StringComparison.Ordinal);
            Assert.Contains("\"evacuator start\" again", refused.Message, StringComparison.Ordinal);
        }

        EvacuationReport after = await node.ReportAsync(failed.Id);
        Assert.Equal((failed.State, failed.Problem, failed.Ended), (after.State, after.Problem, after.Ended));
        Assert.True(node.Agent.InboundOpen);
        Assert.Equal(EvacuationPhase.Done, (await node.WaitForEndAsync((await node.EvacuateAsync()).Id)).State);
    }

    /// <summary>The host was opened since: it is not closed for a retry that nobody can take.</summary>
    [Theory]
    [InlineData("evacuator.zone", "z9", "evacuator.zone")]
    [InlineData("evacuator.policy", "lve", "evacuator.policy=lve is none of live, cold, stop, stay")]
    public async Task Retry_OfWhatNoPeerMayTake_IsRefusedWithTheReasonAndTheHostStaysOpen(string key, string value, string says)
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1");
        node.Agent.Fails = _ => (null, "no");
        await node.WaitForEndAsync((await node.EvacuateAsync()).Id);
        node.Agent.Containers["c1"] = FakeRack.Container("c1", annotations: (key, value));
        using BrainClient client = node.Client();
        await client.PostAsync(ApiRoutes.Reopen, default);

        CliException refused = await Assert.ThrowsAsync<CliException>(() => client.SendAsync<EvacuationReport>(HttpMethod.Post, ApiRoutes.Retry, new RetryRequest("c1"), default));

        Assert.Contains(says, refused.Message, StringComparison.Ordinal);
        Assert.True(node.Agent.InboundOpen);
        NodeStatus status = await client.GetAsync<NodeStatus>(ApiRoutes.Status, default);
        Assert.Equal(key == "evacuator.policy" ? ["evacuator.policy=lve is none of live, cold, stop, stay: it is left alone"] : [], status.Containers[0].Blockers.Select(blocker => blocker.Text));
    }

    [Fact]
    public async Task Container_EndsBeforeItsMove_IsGoneAndNothingIsLeft()
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1");
        node.Agent.Fails = move =>
        {
            node.Agent.Containers.TryRemove("c1", out _);
            return (new Blocker(BlockerCode.NotRunning, "there is no container c1 on this host"), "there is no container c1 on this host");
        };
        EvacuationReport report = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);

        Assert.Equal((EvacuationPhase.Done, MovePhase.Gone), (report.State, report.Containers[0].State));
        Assert.All(fleet.Rack.Agents.Values, agent => Assert.Equal(0, agent.OpenReservations));
    }

    [Fact]
    public async Task Deadline_Over_StopsWhatMayBeStoppedAndTheRestStays()
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        TestNode node = fleet["node1"];
        node.Agent.Containers["may"] = FakeRack.Container("may", annotations: ("evacuator.policy", "cold"));
        node.Agent.Containers["not"] = FakeRack.Container("not");
        node.Agent.Hold = move => move.Request.Mode == MoveMode.Live;
        using BrainClient client = node.Client();
        StartReply started = await client.SendAsync<StartReply>(HttpMethod.Post, ApiRoutes.Evacuations,
            new StartRequest { OperationId = Guid.NewGuid(), Reason = "fan", DeadlineSeconds = 4 }, default);
        EvacuationReport report = await node.WaitForEndAsync(started.Id);

        Assert.Equal((MovePhase.Moved, MoveMode.StopAndStart), (report.Containers.Single(move => move.Name == "may").State, report.Containers.Single(move => move.Name == "may").Mode));
        ContainerMove not = report.Containers.Single(move => move.Name == "not");
        Assert.Equal((EvacuationPhase.Failed, MovePhase.Stayed, BlockerCode.DeadlineOver), (report.State, not.State, not.Blockers[0].Code));
        Assert.Equal(["node1"], fleet.Rack.WhereIs("not"));
    }

    [Fact]
    public async Task Group_AMemberStays_TheLaterOnesDoNotLeave()
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        TestNode node = fleet["node1"];
        for (int i = 1; i <= 3; i++)
            node.Agent.Containers[$"m{i}"] = FakeRack.Container($"m{i}", annotations: [("evacuator.group", "shop"), ("evacuator.order", $"{i}")]);
        node.Agent.Fails = move => move.Request.Container == "m2" ? (null, "no") : null;
        EvacuationReport report = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);

        Assert.Equal([MovePhase.Moved, MovePhase.Stayed, MovePhase.Blocked], report.Containers.OrderBy(move => move.Name).Select(move => move.State));
        Assert.Equal(BlockerCode.GroupRule, report.Containers.Single(move => move.Name == "m3").Blockers[0].Code);
        Assert.Equal(1, node.Agent.MostMovesAtOnce);
    }
}
