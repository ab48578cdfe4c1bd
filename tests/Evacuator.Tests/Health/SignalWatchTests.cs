using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Health;
using Evacuator.Journal;
using Evacuator.Redfish.Health;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Health;

public sealed class SignalWatchTests
{
    private static readonly Signal Dimm = Signals.Dimm();
    private static readonly string Text = HealthJudge.Describe(Dimm);

    [Theory]
    [InlineData(SignalAction.Ignore, false, false)]
    [InlineData(SignalAction.Notify, false, true)]
    [InlineData(SignalAction.Evacuate, true, false)]
    public async Task ConfirmedSignal_Appears_DoesWhatTheSettingSays(object action, bool evacuates, bool asks)
    {
        await using TestFleet fleet = await StartAsync((SignalAction)action);
        TestNode node = fleet["node1"];
        await SayAsync(node, true, Dimm);

        Assert.Equal(evacuates ? 1 : 0, node.Journal!.Evacuations().Count);
        NodeStatus status = await StatusAsync(node);
        Assert.Equal((Verdict.Evacuate, asks), (status.Health!.Verdict, status.Health.AsksPerson is not null));
        Assert.Equal(asks, status.Notices.Any(notice => notice.Contains("a person has to decide", StringComparison.Ordinal)));
        Assert.Equal([$"{Text} → evacuate"], status.Bmc.Signals);
        if (evacuates)
        {
            EvacuationReport report = await node.WaitForEndAsync(node.Journal!.Evacuations()[0].Id);
            Assert.Equal((EvacuationPhase.Done, TriggerKind.Signal, "signal", Text), (report.State, report.Trigger, report.RequestedBy, report.Reason));
        }
    }

    [Fact]
    public async Task Signals_ThatMeanLess_MoveNothing()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.EvacuateAndPowerOff);
        Signal fan = Signals.Make(ComponentKind.Fan, SignalKind.Failed, SignalSeverity.Critical);
        await TellAsync(fleet["node1"], new TrackedSignal(fan, 9, 9, null, 0, false), new TrackedSignal(Dimm, 0, 9, null, 0, false), new TrackedSignal(Signals.Dimm("A2"), 1, 0, null, 0, false));
        Assert.Empty(fleet["node1"].Journal!.Evacuations());
        using BrainClient client = fleet["node1"].Client();
        SignalsReport report = await client.GetAsync<SignalsReport>(ApiRoutes.Signals, default);
        Assert.Equal((Verdict.Notify, 3), (report.Verdict, report.Signals.Count));
        Assert.Equal([SignalStage.Announced, SignalStage.Unconfirmed, SignalStage.Confirmed], report.Signals.Select(signal => signal.Stage).Order());
    }

    [Fact]
    public async Task ConfirmedSignal_WhileTheNodeIsEmptiedForIt_IsSaidToBeTheReason()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.Evacuate);
        TestNode node = fleet["node1"];
        node.Agent.Hold = _ => true;
        await SayAsync(node, true, Dimm);
        await SayAsync(node, true, Dimm);

        using BrainClient client = node.Client();
        SignalsReport report = await client.GetAsync<SignalsReport>(ApiRoutes.Signals, default);
        StringWriter shown = new();
        SignalsVerb.Write(report, shown);
        node.Agent.Hold = _ => false;

        Assert.Equal("it is being emptied because of this", report.Does);
        Assert.Contains("; this node is being emptied because of it", shown.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("dealt with", shown.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task ConfirmedSignal_WithPowerOff_GoesAllTheWay()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.EvacuateAndPowerOff);
        await SayAsync(fleet["node1"], true, Dimm);
        Guid id = fleet["node1"].Journal!.Evacuations()[0].Id;
        await fleet["node1"].WaitAsync(id, report => report.Power.Witness is not null);
        Assert.Equal("Off", (await fleet["node2"].WaitForEndAsync(id)).Power.State);
    }

    [Fact]
    public async Task SameSignal_AfterRestartsSilenceAndReopening_IsOneEvacuation()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.Evacuate);
        TestNode node = fleet["node1"];
        await EvacuateAndReopenAsync(node);

        await SayAsync(node, false);
        await node.RestartAsync();
        await SayAsync(node, true, Dimm);
        // Gone for less than it takes to settle: the same.
        await SayAsync(node, true);
        await SayAsync(node, true, Dimm);

        Assert.Single(node.Journal!.Evacuations());
        Assert.Contains("dealt with", (await StatusAsync(node)).Health!.Does, StringComparison.Ordinal);
    }

    [Fact]
    public async Task SignalThatWasThereWhenTheNodeWasEmptied_DoesNotEmptyItAgain()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.Evacuate);
        TestNode node = fleet["node1"];
        node.Signals.Say(true, Dimm, Signals.Dimm("A2"));
        await EndAsync(node, 1);
        await SayAsync(node, true, Dimm, Signals.Dimm("A2"));
        await ReopenAsync(node);
        await SayAsync(node, true, Dimm, Signals.Dimm("A2"));
        Assert.Single(node.Journal!.Evacuations());
    }

    [Fact]
    public async Task SameSignal_GoneLongEnoughAndBack_IsANewOne()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.Evacuate, signals => signals with { Settle = TimeSpan.Zero });
        TestNode node = fleet["node1"];
        await EvacuateAndReopenAsync(node);
        await SayAsync(node, true);
        await SayAsync(node, true, Dimm);
        await UntilAsync(() => node.Journal!.Evacuations().Count == 2);
    }

    [Fact]
    public async Task AnotherSignal_InTheCoolDown_AsksAPerson()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.Evacuate, signals => signals with { CoolDown = TimeSpan.FromHours(1) });
        TestNode node = fleet["node1"];
        await EvacuateAndReopenAsync(node);
        await SayAsync(node, true, Signals.Dimm("A2"));
        Assert.Single(node.Journal!.Evacuations());
        Assert.Contains("cool-down", (await StatusAsync(node)).Health!.AsksPerson, StringComparison.Ordinal);
    }

    /// <summary>It was never given away: hardware that fails a moment later empties it as at any other time.</summary>
    [Fact]
    public async Task Signal_AfterAPersonsEvacuationWasCancelled_IsNotHeldByTheCoolDown()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.Evacuate, signals => signals with { CoolDown = TimeSpan.FromHours(1) });
        TestNode node = fleet["node1"];
        node.Agent.Hold = _ => true;
        Guid id = (await node.EvacuateAsync()).Id;
        await node.WaitAsync(id, report => report.State == EvacuationPhase.Moving);
        await CancelAsync(node);
        await node.WaitForEndAsync(id);
        await SayAsync(node, true, Dimm);
        await UntilAsync(() => node.Journal!.Evacuations().Count == 2);
    }

    [Fact]
    public async Task SignalsEvacuation_CancelledByAPerson_SaysForHowLongTheNodeStays()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.Evacuate, signals => signals with { CoolDown = TimeSpan.FromHours(1) });
        TestNode node = fleet["node1"];
        node.Agent.Hold = _ => true;
        await SayAsync(node, true, Dimm);
        await UntilAsync(() => node.Journal!.Evacuations() is [{ Phase: EvacuationPhase.Moving }]);
        await CancelAsync(node);
        EvacuationReport report = await node.WaitForEndAsync(node.Journal!.Evacuations()[0].Id);

        Assert.Contains("does not empty itself again before", report.Next, StringComparison.Ordinal);
        Assert.Contains("cool-down", report.Next, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ConfirmedSignal_OnANodeThatIsEmptyAndClosed_DoesNothing()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.EvacuateAndPowerOff);
        TestNode node = fleet["node1"];
        await node.WaitForEndAsync((await node.EvacuateAsync()).Id);
        await SayAsync(node, true, Dimm);
        Assert.Single(node.Journal!.Evacuations());
    }

    [Fact]
    public async Task Bmc_CannotBeRead_IsUnknownAndNotHealth()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.Notify);
        await SayAsync(fleet["node1"], false);
        NodeStatus status = await StatusAsync(fleet["node1"]);
        Assert.Equal(("cannot-tell", "timeout", Verdict.Unknown), (status.Bmc.State, status.Bmc.Detail, status.Health!.Verdict));
        Assert.NotNull(status.Bmc.Since);
    }

    /// <summary>A source that hangs says nothing any more, and silence is not health.</summary>
    [Fact]
    public async Task Knowledge_ThatGotOld_IsUnknownAndNotHealth()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.Notify);
        fleet["node1"].Signals.SayWellUntil(TimeProvider.System.GetUtcNow() - TimeSpan.FromSeconds(1));
        NodeStatus status = await UntilAsync(() => StatusAsync(fleet["node1"]), status => status.Health?.Verdict == Verdict.Unknown);
        Assert.Contains("the last read of everything was at", status.Bmc.Detail, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(3, 25, 1)]
    [InlineData(3, 70, 2)]
    [InlineData(5, 40, 2)]
    [InlineData(3, 0, 0)]
    public async Task AllNodesAtOnce_PredictFailure_NoMoreAreEmptiedThanTheShare(int nodes, int percent, int allowed)
    {
        await using TestFleet fleet = await StartAsync(SignalAction.Evacuate, signals => signals with { FleetSharePercent = percent }, nodes);
        TestNode[] all = [.. Enumerable.Range(1, nodes).Select(number => fleet[$"node{number}"])];
        foreach (TestNode node in all)
            node.Signals.Say(true, Dimm);
        // Every node has asked, and those that were let have ended: what stays out stays closed, so nobody follows.
        await UntilAsync(() => all.Sum(node => node.Journal!.Evacuations().Count(evacuation => evacuation.Phase.IsEnd())) == allowed);
        NodeStatus[] statuses = await UntilAsync(async () => await Task.WhenAll(all.Select(StatusAsync)),
            them => them.Count(status => status.Health?.AsksPerson is not null) == nodes - allowed);

        Assert.Equal(allowed, all.Sum(node => node.Journal!.Evacuations().Count));
        NodeStatus held = statuses.First(status => status.Health!.AsksPerson is not null);
        Assert.Contains("fleet-share", held.Health!.AsksPerson, StringComparison.Ordinal);
        Assert.Contains(held.Notices, notice => notice.Contains("evacuator start", StringComparison.Ordinal));

        // A person may: the breaker is about what happens by itself.
        if (allowed < nodes - 1)
            Assert.False((await fleet[held.Node].EvacuateAsync()).Existing);
    }

    [Fact]
    public async Task HeldNode_WhenTheFleetHasRoomAgain_GoesOnByItself()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.Evacuate, nodes: 3);
        await fleet["node3"].WaitForEndAsync((await fleet["node3"].EvacuateAsync()).Id);
        await SayAsync(fleet["node1"], true, Dimm);
        Assert.Contains("node3", (await StatusAsync(fleet["node1"])).Health!.AsksPerson, StringComparison.Ordinal);
        Assert.Empty(fleet["node1"].Journal!.Evacuations());
        await ReopenAsync(fleet["node3"]);
        await UntilAsync(() => fleet["node1"].Journal!.Evacuations().Count == 1);
    }

    [Fact]
    public async Task SilentPeer_CountsAsOut()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.Evacuate, nodes: 3);
        await fleet["node2"].StopAsync();
        await SayAsync(fleet["node1"], true, Dimm);
        Assert.Contains("node2 does not answer", (await StatusAsync(fleet["node1"])).Health!.AsksPerson, StringComparison.Ordinal);
    }

    private static async Task CancelAsync(TestNode node)
    {
        using BrainClient client = node.Client();
        await client.PostAsync(ApiRoutes.Cancel, default);
    }

    private static async Task<TestFleet> StartAsync(SignalAction action, Func<SignalOptions, SignalOptions>? signals = null, int nodes = 2)
    {
        TestFleet fleet = await TestFleet.StartAsync(nodes, options => options with
        {
            Evacuation = options.Evacuation with { OnCriticalSignal = action },
            Signals = (signals ?? (same => same))(options.Signals with { CoolDown = TimeSpan.Zero }),
        });
        for (int number = 1; number <= nodes; number++)
        {
            TestNode node = fleet[$"node{number}"];
            node.Agent.Containers[$"c{number}"] = FakeRack.Container($"c{number}");
            await UntilAsync(() => node.Signals.Taken >= 1);
        }

        return fleet;
    }

    /// <summary>Returns when the brain has taken it to the end.</summary>
    private static async Task SayAsync(TestNode node, bool canTell, params Signal[] open)
    {
        int taken = node.Signals.Taken;
        node.Signals.Say(canTell, open);
        await UntilAsync(() => node.Signals.Taken > taken);
    }

    private static async Task TellAsync(TestNode node, params TrackedSignal[] open)
    {
        int taken = node.Signals.Taken;
        node.Signals.Tell(true, open);
        await UntilAsync(() => node.Signals.Taken > taken);
    }

    private static async Task EvacuateAndReopenAsync(TestNode node)
    {
        await SayAsync(node, true, Dimm);
        await EndAsync(node, 1);
        await ReopenAsync(node);
    }

    private static async Task EndAsync(TestNode node, int count)
    {
        await UntilAsync(() => node.Journal!.Evacuations().Count == count);
        await node.WaitForEndAsync(node.Journal!.Evacuations()[0].Id);
    }

    private static async Task ReopenAsync(TestNode node)
    {
        using BrainClient client = node.Client();
        await client.PostAsync(ApiRoutes.Reopen, default);
        node.Agent.Containers["c9"] = FakeRack.Container("c9");
    }

    private static async Task<NodeStatus> StatusAsync(TestNode node)
    {
        using BrainClient client = node.Client();
        return await client.GetAsync<NodeStatus>(ApiRoutes.Status, default);
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        while (!condition())
            await Task.Delay(5, limit.Token);
    }

    private static async Task<T> UntilAsync<T>(Func<Task<T>> look, Func<T, bool> condition)
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        while (true)
        {
            T seen = await look();
            if (condition(seen))
                return seen;
            await Task.Delay(20, limit.Token);
        }
    }
}
