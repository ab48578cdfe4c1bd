using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Evacuation;
using Evacuator.Fleet;
using Evacuator.Health;
using Evacuator.Homecoming;
using Evacuator.Journal;
using Evacuator.Power;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Homecoming;

/// <summary>Away and home again, over whole brains.</summary>
public sealed class HomecomingFlowTests
{
    [Fact]
    public async Task Return_AfterAnEvacuation_AllComeHome()
    {
        await using TestFleet fleet = await EvacuatedAsync(4);
        HomecomingState state = await ReturnAsync(fleet["node1"]);

        Assert.Equal(HomecomingPhase.Done, state.Phase);
        Assert.All(Names(4), name => Assert.Equal(["node1"], fleet.Rack.WhereIs(name)));
        Assert.All(fleet.Rack.Agents.Values, agent => Assert.Equal(0, agent.OpenReservations));
        // Nothing is left to bring.
        Assert.Empty((await PlanAsync(fleet["node1"])).Steps);
    }

    [Fact]
    public async Task Return_AfterSeveralEvacuations_FindsThemWhereverTheyAre()
    {
        await using TestFleet fleet = await EvacuatedAsync(4, reopen: false);
        await EvacuateAsync(fleet["node2"]);
        Assert.All(Names(4), name => Assert.Equal(["node3"], fleet.Rack.WhereIs(name)));
        await ReopenAsync(fleet["node1"]);
        HomecomingState state = await ReturnAsync(fleet["node1"]);

        Assert.Equal(HomecomingPhase.Done, state.Phase);
        Assert.All(Names(4), name => Assert.Equal(["node1"], fleet.Rack.WhereIs(name)));
        Assert.All(state.Steps, step => Assert.Equal("node3", step.Plan.From));
    }

    [Fact]
    public async Task Return_OnlyAndSkip_LeavesTheOthersWhereTheyAre()
    {
        await using TestFleet fleet = await EvacuatedAsync(4);
        await ReturnAsync(fleet["node1"], only: ["c1", "c2"], skip: ["c2"]);

        Assert.Equal(["node1"], fleet.Rack.WhereIs("c1"));
        Assert.All((string[])["c2", "c3", "c4"], name => Assert.NotEqual(["node1"], fleet.Rack.WhereIs(name)));
        Assert.Equal(3, (await PlanAsync(fleet["node1"])).Coming);
    }

    [Fact]
    public async Task Return_WhileClosed_IsRefusedWithWhatToDo()
    {
        await using TestFleet fleet = await EvacuatedAsync(1, reopen: false);
        CliException refused = await Assert.ThrowsAsync<CliException>(() => ReturnAsync(fleet["node1"]));

        Assert.Equal(CliExit.Refused, refused.ExitCode);
        Assert.Contains("evacuator reopen", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Return_SameOperationTwice_IsOne()
    {
        await using TestFleet fleet = await EvacuatedAsync(1);
        Guid operation = Guid.NewGuid();
        await ReturnAsync(fleet["node1"], operation: operation);
        int moves = fleet.Rack.Agents.Values.Sum(agent => agent.MovesStarted);
        HomecomingState again = await ReturnAsync(fleet["node1"], operation: operation);

        Assert.Equal((operation, HomecomingPhase.Done), (again.Id, again.Phase));
        Assert.Equal(moves, fleet.Rack.Agents.Values.Sum(agent => agent.MovesStarted));
    }

    [Fact]
    public async Task Return_OneCannotMove_TheOthersComeAndItIsNamed()
    {
        await using TestFleet fleet = await EvacuatedAsync(2);
        string at = Assert.Single(fleet.Rack.WhereIs("c1"));
        fleet[at].Agent.Fails = move => move.Request.Container == "c1" ? (null, "the freeze budget was over") : null;
        HomecomingState state = await ReturnAsync(fleet["node1"]);

        Assert.Equal(HomecomingPhase.Partial, state.Phase);
        Assert.Contains("c1: the freeze budget was over", state.Problem, StringComparison.Ordinal);
        Assert.Equal([at], fleet.Rack.WhereIs("c1"));
        Assert.Equal(["node1"], fleet.Rack.WhereIs("c2"));
    }

    [Fact]
    public async Task Return_PeerDown_IsPartialAndNamesIt()
    {
        await using TestFleet fleet = await EvacuatedAsync(2);
        Assert.Equal(["node2"], fleet.Rack.WhereIs("c1"));
        await fleet["node2"].StopAsync();
        HomecomingState state = await ReturnAsync(fleet["node1"]);

        Assert.Equal(HomecomingPhase.Partial, state.Phase);
        Assert.Equal("node2", Assert.Single(state.NotAsked).Name);
        Assert.Equal(["node1"], fleet.Rack.WhereIs("c2"));
    }

    [Fact]
    public async Task Return_Swap_BothEndAtTheirHomes()
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        fleet["node1"].Agent.Containers["x"] = FakeRack.Container("x", 3L << 30) with { Addresses = [] };
        fleet["node2"].Agent.Containers["g"] = FakeRack.Container("g", 3L << 30) with { Addresses = [] };
        // x goes to node2, g to node1: node3 takes nothing for now.
        fleet["node3"].Agent.MemoryAvailable = 1L << 30;
        await EvacuateAsync(fleet["node1"]);
        await ReopenAsync(fleet["node1"]);
        fleet["node2"].Agent.Fails = move => move.Request.Container == "x" ? (null, "busy") : null;
        EvacuationReport half = await fleet["node2"].WaitForEndAsync((await fleet["node2"].EvacuateAsync(partial: true)).Id);
        Assert.Contains("1 of 2 containers moved", half.Summary, StringComparison.Ordinal);
        fleet["node2"].Agent.Fails = _ => null;
        fleet["node3"].Agent.MemoryAvailable = 8L << 30;
        await ReopenAsync(fleet["node2"]);
        Assert.Equal(["node2"], fleet.Rack.WhereIs("x"));
        Assert.Equal(["node1"], fleet.Rack.WhereIs("g"));
        fleet["node1"].Agent.MemoryAvailable = fleet["node2"].Agent.MemoryAvailable = 1L << 30;

        HomecomingState state = await ReturnAsync(fleet["node1"]);
        Assert.Equal(HomecomingPhase.Done, state.Phase);
        Assert.Equal([HomecomingStepKind.MakeRoom, HomecomingStepKind.BringHome, HomecomingStepKind.SendHome], state.Steps.Select(step => step.Plan.Kind));
        Assert.Equal(["node1"], fleet.Rack.WhereIs("x"));
        // The fake nodes' memory does not change by itself.
        fleet["node2"].Agent.MemoryAvailable = 8L << 30;
        using BrainClient client = fleet["node2"].Client();
        HomecomingState other = await WaitAsync(client, "last", last => last.Phase.IsEnd());
        if (other.Phase != HomecomingPhase.Done)
            other = await ReturnAsync(fleet["node2"]);
        Assert.Equal(["node2"], fleet.Rack.WhereIs("g"));
    }

    [Fact]
    public async Task Return_Cancelled_WhatWasMovingStaysAndIsReportedAsCancelled()
    {
        await using TestFleet fleet = await EvacuatedAsync(2);
        foreach (string node in (string[])["node2", "node3"])
            fleet[node].Agent.Hold = _ => true;
        using BrainClient client = fleet["node1"].Client();
        HomecomingState state = await StartAsync(client);
        await WaitAsync(client, $"{state.Id:D}", now => now.Steps.Count == 2 && now.Steps.All(step => step.Move?.Step is not null));
        await client.PostAsync($"{ApiRoutes.Homecomings}/current/cancel", default);
        state = await WaitAsync(client, $"{state.Id:D}", now => now.Phase.IsEnd());

        Assert.Equal(HomecomingPhase.Cancelled, state.Phase);
        Assert.All(state.Steps, step => Assert.Equal(HomecomingStepPhase.Failed, step.Phase));
        Assert.All(Names(2), name => Assert.NotEqual(["node1"], fleet.Rack.WhereIs(name)));
    }

    [Fact]
    public async Task Evacuation_OfTheSource_CallsTheDepartureOffAndMovesItItself()
    {
        await using TestFleet fleet = await EvacuatedAsync(1);
        string at = Assert.Single(fleet.Rack.WhereIs("c1"));
        fleet[at].Agent.Hold = move => move.Request.DestinationNode == "node1" && move.Phase < Common.AgentApi.SourcePhase.Freezing;
        using BrainClient client = fleet["node1"].Client();
        HomecomingState state = await StartAsync(client);
        await WaitAsync(client, $"{state.Id:D}", now => now.Steps is [{ Move.Step: not null }]);
        fleet["node1"].Agent.Refuses = _ => new Blocker(BlockerCode.NotEnoughDisk, "full");

        EvacuationReport report = await EvacuateAsync(fleet[at]);
        Assert.Equal(Evacuator.Journal.EvacuationPhase.Done, report.State);
        Assert.Single(fleet.Rack.WhereIs("c1"));
        Assert.NotEqual([at], fleet.Rack.WhereIs("c1"));
        state = await WaitAsync(client, $"{state.Id:D}", now => now.Phase.IsEnd());
        Assert.Equal(HomecomingPhase.Failed, state.Phase);
    }

    [Fact]
    public async Task Departure_OfAContainerThatIsNotTheCallers_IsRefused()
    {
        await using TestFleet fleet = await EvacuatedAsync(1);
        fleet["node2"].Agent.Containers["own"] = FakeRack.Container("own");
        string at = Assert.Single(fleet.Rack.WhereIs("c1"));
        string third = at == "node2" ? "node3" : "node2";
        using PeerClient thief = Client(fleet, third, at);
        DepartureAnswer notTheirs = await thief.RequestDepartureAsync(new DepartureRequest(Guid.NewGuid(), Guid.NewGuid(), "c1"), default);
        using PeerClient owner = Client(fleet, "node1", "node2");
        DepartureAnswer notAGuest = await owner.RequestDepartureAsync(new DepartureRequest(Guid.NewGuid(), Guid.NewGuid(), "own"), default);

        Assert.Null(notTheirs.Report);
        Assert.Contains("belongs to node1", notTheirs.Reason, StringComparison.Ordinal);
        Assert.Null(notAGuest.Report);
        Assert.Contains("belongs to node2", notAGuest.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Departure_WhoseIdBelongsToAnother_IsRefused()
    {
        await using TestFleet fleet = await EvacuatedAsync(2);
        Guid id = Guid.NewGuid();
        string at = Assert.Single(fleet.Rack.WhereIs("c1"));
        using PeerClient owner = Client(fleet, "node1", at);
        Assert.NotNull((await owner.RequestDepartureAsync(new DepartureRequest(id, Guid.NewGuid(), "c1"), default)).Report);
        using PeerClient other = Client(fleet, at == "node2" ? "node3" : "node2", at);

        Assert.Null((await other.RequestDepartureAsync(new DepartureRequest(id, Guid.NewGuid(), "c1"), default)).Report);
        Assert.Null(await other.GetDepartureAsync(id, default));
        Assert.Null(await other.CancelDepartureAsync(id, default));
    }

    /// <summary>Kill -9 of the home at each write to its journal: a restart goes on, everything is home in the end, once.</summary>
    [Theory]
    [InlineData("node1", false)]
    [InlineData("node1", true)]
    [InlineData("node2", false)]
    [InlineData("node2", true)]
    public async Task Return_KilledAtEachJournaledStep_GoesOn(string victim, bool afterWrite)
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        int steps = 0;
        for (bool crashed = true; crashed; steps++)
        {
            foreach (string name in Names(2))
                fleet["node1"].Agent.Containers[name] = FakeRack.Container(name) with { Addresses = [] };
            await EvacuateAsync(fleet["node1"]);
            await ReopenAsync(fleet["node1"]);
            int left = steps;
            TaskCompletionSource hit = new(TaskCreationOptions.RunContinuationsAsynchronously);
            fleet[victim].Journal!.FaultPoint = after =>
            {
                if (after != afterWrite)
                    return;
                if (hit.Task.IsCompleted || Interlocked.Decrement(ref left) < 0)
                {
                    hit.TrySetResult();
                    throw new CrashException($"step {steps}");
                }
            };
            Guid operation = Guid.NewGuid();
            Task<HomecomingState> going = ReturnAsync(fleet["node1"], operation: operation);
            await Task.WhenAny(going, hit.Task);
            crashed = hit.Task.IsCompleted;
            await fleet[victim].RestartAsync();
            if (crashed)
            {
                // Whoever asked and got no answer asks again.
                try
                {
                    await going;
                }
                catch (Exception e) when (e is CliException or TimeoutException)
                {
                }
            }

            HomecomingState end = await ReturnAsync(fleet["node1"], operation: operation);
            Assert.True(end.Phase == HomecomingPhase.Done, $"step {steps}: {end.Phase} {end.Problem}");
            Assert.All(Names(2), name => Assert.Equal(["node1"], fleet.Rack.WhereIs(name)));
            Assert.All(fleet.Rack.Agents.Values, agent => Assert.Equal(0, agent.OpenReservations));
        }

        Assert.True(steps > 6, $"only {steps} steps were journaled");
    }

    /// <summary>"evacuator cancel --return": what had moved by then comes back, over a restart; what was moving never left.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Cancel_WithReturn_BringsBackWhatHadMoved(bool restart)
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        TestNode node = fleet["node1"];
        // c1 leaves first, c2 is under way when the operator changes their mind.
        node.Agent.Containers["c1"] = FakeRack.Container("c1", annotations: ("evacuator.priority", "90"));
        node.Agent.Containers["c2"] = FakeRack.Container("c2");
        node.Agent.Hold = move => move.Request.Container == "c2" && move.Phase == SourcePhase.Copying;
        Guid id = (await node.EvacuateAsync()).Id;
        await node.WaitAsync(id, report => report.Containers.Any(move => move is { Name: "c1", State: MovePhase.Moved }) && report.Containers.Any(move => move is { Name: "c2", Step: SourcePhase.Copying }));
        using (BrainClient client = node.Client())
            await client.PostAsync($"{ApiRoutes.Cancel}?return=true", default);
        if (restart)
            await node.RestartAsync();
        EvacuationReport report = await node.WaitForEndAsync(id);
        Assert.Equal(EvacuationPhase.Cancelled, report.State);
        Assert.Equal([MovePhase.Moved, MovePhase.Cancelled], report.Containers.Select(move => move.State));

        using CancellationTokenSource limit = new(TestLimits.Hang);
        while (node.Journal!.Homecoming(id) is not { Phase: HomecomingPhase.Done })
            await Task.Delay(5, limit.Token);
        Assert.Equal(["node1"], fleet.Rack.WhereIs("c1"));
        Assert.Equal(["node1"], fleet.Rack.WhereIs("c2"));
        Assert.True(node.Agent.InboundOpen);
        // Asked for once: nothing comes a second time.
        await node.RestartAsync();
        Assert.Single(node.Journal!.Homecomings());
    }

    /// <summary>Whoever waits for it is told, and not left to wait for what nobody begins any more.</summary>
    [Fact]
    public async Task Cancel_WithReturnAndStartedAgainAtOnce_ComesBackOrSaysWhyNot()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(timings: same => same with { Retry = TimeSpan.FromSeconds(1) });
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1", annotations: ("evacuator.priority", "90"));
        node.Agent.Containers["c2"] = FakeRack.Container("c2");
        node.Agent.Hold = move => move.Request.Container == "c2" && move.Phase == SourcePhase.Copying;
        Guid id = (await node.EvacuateAsync()).Id;
        await node.WaitAsync(id, report => report.Containers.Any(move => move is { Name: "c1", State: MovePhase.Moved }) && report.Containers.Any(move => move is { Name: "c2", Step: SourcePhase.Copying }));
        using (BrainClient client = node.Client())
            await client.PostAsync($"{ApiRoutes.Cancel}?return=true", default);
        await node.WaitForEndAsync(id);

        node.Agent.Hold = _ => false;
        await node.WaitForEndAsync((await node.EvacuateAsync()).Id);

        EvacuationReport report = await node.WaitAsync(id, report => report.ReturnProblem.Length > 0 || node.Journal!.Homecoming(id) is not null);
        Assert.True(report.ReturnProblem.Contains("c1 does not come back by itself", StringComparison.Ordinal) || node.Journal!.Homecoming(id) is not null, report.ReturnProblem);
    }

    [Fact]
    public async Task Soak_AfterAReboot_ReopensWhenClearAndNotBefore()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2, options: same => same with { Homecoming = new HomecomingOptions { SoakTime = TimeSpan.FromMilliseconds(50) } });
        TestNode node = fleet["node1"];
        await EvacuateAsync(node);
        node.Signals.Say(true, Health.Signals.Dimm());
        await node.RebootAsync();
        NodeStatus status = await StatusAsync(node, now => now.Reopens is not null);
        Assert.Contains("memory A1", status.Reopens!.For, StringComparison.Ordinal);
        Assert.NotNull(status.Closed);
        Assert.Equal("on", await node.Service<PowerHandover>().LightLedAsync(default));

        node.Signals.Say(canTell: false);
        status = await StatusAsync(node, now => now.Reopens?.For.Contains("does not tell", StringComparison.Ordinal) == true);
        Assert.NotNull(status.Closed);

        node.Signals.Say(canTell: true);
        await StatusAsync(node, now => now.Closed is null);
        Assert.True(node.Agent.InboundOpen);
        // Whoever walks by is not to look for it any more.
        await StatusAsync(node, now => now.LedLitSince is null);
        Assert.False(fleet.Bmc("node1").Lit);
    }

    [Fact]
    public async Task Soak_WithoutAReboot_StaysClosed()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2, options: same => same with { Homecoming = new HomecomingOptions { SoakTime = TimeSpan.FromMilliseconds(1) } });
        await EvacuateAsync(fleet["node1"]);
        await fleet["node1"].RestartAsync();
        SoakWatch watch = fleet["node1"].Service<SoakWatch>();
        await watch.LookAsync(default);
        await watch.LookAsync(default);

        Assert.Null(watch.Waiting);
        Assert.False(fleet["node1"].Agent.InboundOpen);
    }

    private static string[] Names(int count) => [.. Enumerable.Range(1, count).Select(number => $"c{number}")];

    /// <summary>Three nodes; node1 had these containers and has been emptied.</summary>
    private static async Task<TestFleet> EvacuatedAsync(int containers, bool reopen = true)
    {
        TestFleet fleet = await TestFleet.StartAsync();
        foreach (string name in Names(containers))
            fleet["node1"].Agent.Containers[name] = FakeRack.Container(name) with { Addresses = [] };
        await EvacuateAsync(fleet["node1"]);
        if (reopen)
            await ReopenAsync(fleet["node1"]);
        return fleet;
    }

    private static async Task<EvacuationReport> EvacuateAsync(TestNode node) => await node.WaitForEndAsync((await node.EvacuateAsync()).Id);

    private static async Task ReopenAsync(TestNode node)
    {
        using BrainClient client = node.Client();
        await client.PostAsync(ApiRoutes.Reopen, default);
    }

    private static async Task<HomecomingPlan> PlanAsync(TestNode node)
    {
        using BrainClient client = node.Client();
        return await client.GetAsync<HomecomingPlan>($"{ApiRoutes.Homecomings}/plan", default);
    }

    private static Task<HomecomingState> StartAsync(BrainClient client, string[]? only = null, string[]? skip = null, Guid? operation = null) => client.SendAsync<HomecomingState>(
        HttpMethod.Post, ApiRoutes.Homecomings, new ReturnRequest { OperationId = operation ?? Guid.NewGuid(), Only = only ?? [], Skip = skip ?? [] }, default);

    private static async Task<HomecomingState> ReturnAsync(TestNode node, string[]? only = null, string[]? skip = null, Guid? operation = null)
    {
        using BrainClient client = node.Client();
        HomecomingState state = await StartAsync(client, only, skip, operation);
        return await WaitAsync(client, $"{state.Id:D}", now => now.Phase.IsEnd());
    }

    private static async Task<HomecomingState> WaitAsync(BrainClient client, string id, Func<HomecomingState, bool> until)
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        HomecomingState? last = null;
        while (!limit.IsCancellationRequested)
        {
            last = await client.GetAsync<HomecomingState>($"{ApiRoutes.Homecomings}/{id}", default);
            if (until(last))
                return last;
            await Task.Delay(5);
        }

        throw new TimeoutException($"the homecoming did not get there: {last?.Phase} {last?.Problem} {string.Join("; ", last?.Steps.Select(ShowHomecoming.Line) ?? [])}");
    }

    private static async Task<NodeStatus> StatusAsync(TestNode node, Func<NodeStatus, bool> until)
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        using BrainClient client = node.Client();
        NodeStatus status;
        do
        {
            status = await client.GetAsync<NodeStatus>(ApiRoutes.Status, limit.Token);
        }
        while (!until(status));
        return status;
    }

    private static PeerClient Client(TestFleet fleet, string from, string to) =>
        new(new Peer(to, $"127.0.0.{to[^1]}"), fleet[to].Options.Fleet.BrainPort, fleet[from].Tls.HttpHandlerFor(to));
}
