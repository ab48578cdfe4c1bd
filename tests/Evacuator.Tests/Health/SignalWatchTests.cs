using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Health;
using Evacuator.Journal;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Health;

public sealed class SignalWatchTests
{
    private static readonly OpenSignal Dimm = new("Memory/dimm1/PredictedFailure", true, true, "predicted-failure of memory DIMM 1: replace it");

    [Theory]
    [InlineData(SignalAction.Ignore, false)]
    [InlineData(SignalAction.Notify, false)]
    [InlineData(SignalAction.Evacuate, true)]
    public async Task CriticalSignal_Appears_DoesWhatTheSettingSays(object action, bool evacuates)
    {
        await using TestFleet fleet = await StartAsync((SignalAction)action);
        fleet["node1"].Signals.Say(true, Dimm);
        await UntilAsync(() => fleet["node1"].Signals.Taken >= 2);

        Assert.Equal(evacuates ? 1 : 0, fleet["node1"].Journal!.Evacuations().Count);
        using BrainClient client = fleet["node1"].Client();
        Assert.Equal([Dimm.Text], (await client.GetAsync<NodeStatus>(ApiRoutes.Status, default)).Bmc.Signals);
        if (evacuates)
        {
            EvacuationReport report = await fleet["node1"].WaitForEndAsync(fleet["node1"].Journal!.Evacuations()[0].Id);
            Assert.Equal((EvacuationPhase.Done, TriggerKind.Signal, "signal", Dimm.Text), (report.State, report.Trigger, report.RequestedBy, report.Reason));
        }
    }

    [Fact]
    public async Task Warning_Appears_NothingMoves()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.EvacuateAndPowerOff);
        fleet["node1"].Signals.Say(true, Dimm with { Critical = false, Grave = false }, Dimm with { Key = "fan", Grave = false });
        await UntilAsync(() => fleet["node1"].Signals.Taken >= 2);
        Assert.Empty(fleet["node1"].Journal!.Evacuations());
    }

    [Fact]
    public async Task CriticalSignal_WithPowerOff_GoesAllTheWay()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.EvacuateAndPowerOff);
        fleet["node1"].Signals.Say(true, Dimm);
        await UntilAsync(() => fleet["node1"].Journal!.Evacuations().Count > 0);
        Guid id = fleet["node1"].Journal!.Evacuations()[0].Id;
        await fleet["node1"].WaitAsync(id, report => report.Power.Witness is not null);
        Assert.Equal("Off", (await fleet["node2"].WaitForEndAsync(id)).Power.State);
    }

    [Fact]
    public async Task SameSignal_AfterRestartsAndSilence_IsOneEvacuation()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.Evacuate);
        TestNode node = fleet["node1"];
        node.Signals.Say(true, Dimm);
        await UntilAsync(() => node.Journal!.Evacuations().Count == 1);
        await node.WaitForEndAsync(node.Journal!.Evacuations()[0].Id);
        using (BrainClient client = node.Client())
            await client.PostAsync(ApiRoutes.Reopen, default);
        node.Agent.Containers["c9"] = FakeRack.Container("c9");

        node.Signals.Say(false);
        await node.RestartAsync();
        int taken = node.Signals.Taken;
        node.Signals.Say(true, Dimm);
        await UntilAsync(() => node.Signals.Taken > taken);

        Assert.Single(node.Journal!.Evacuations());
    }

    [Fact]
    public async Task SameSignal_GoneAndBack_IsANewOne()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.Evacuate);
        TestNode node = fleet["node1"];
        node.Signals.Say(true, Dimm);
        await UntilAsync(() => node.Journal!.Evacuations().Count == 1);
        await node.WaitForEndAsync(node.Journal!.Evacuations()[0].Id);
        using (BrainClient client = node.Client())
            await client.PostAsync(ApiRoutes.Reopen, default);
        node.Agent.Containers["c9"] = FakeRack.Container("c9");
        int taken = node.Signals.Taken;
        node.Signals.Say(true);
        await UntilAsync(() => node.Signals.Taken > taken);
        node.Signals.Say(true, Dimm);
        await UntilAsync(() => node.Journal!.Evacuations().Count == 2);
    }

    [Fact]
    public async Task CriticalSignal_OnANodeThatIsEmptyAndClosed_DoesNothing()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.EvacuateAndPowerOff);
        TestNode node = fleet["node1"];
        await node.WaitForEndAsync((await node.EvacuateAsync()).Id);
        int taken = node.Signals.Taken;
        node.Signals.Say(true, Dimm);
        await UntilAsync(() => node.Signals.Taken > taken);
        Assert.Single(node.Journal!.Evacuations());
    }

    [Fact]
    public async Task Bmc_CannotBeRead_IsCannotTellAndNotHealth()
    {
        await using TestFleet fleet = await StartAsync(SignalAction.Notify);
        fleet["node1"].Signals.Say(false);
        await UntilAsync(() => fleet["node1"].Signals.Taken >= 2);
        using BrainClient client = fleet["node1"].Client();
        BmcReport report = (await client.GetAsync<NodeStatus>(ApiRoutes.Status, default)).Bmc;
        Assert.Equal(("cannot-tell", "timeout"), (report.State, report.Detail));
        Assert.NotNull(report.Since);
    }

    private static async Task<TestFleet> StartAsync(SignalAction action)
    {
        TestFleet fleet = await TestFleet.StartAsync(nodes: 2, options => options with { Evacuation = options.Evacuation with { OnCriticalSignal = action } });
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        await UntilAsync(() => fleet["node1"].Signals.Taken >= 1);
        return fleet;
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        while (!condition())
            await Task.Delay(5, limit.Token);
    }
}
