using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Evacuation;

/// <summary>Three brains, mutual TLS, real journals; only containers and BMCs are fake.</summary>
public sealed class WholeEvacuationTests
{
    [Fact]
    public async Task Evacuation_AllFits_EveryContainerRunsElsewhereAndNodeIsProvenEmpty()
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        for (int i = 1; i <= 6; i++)
            fleet["node1"].Agent.Containers[$"c{i}"] = FakeRack.Container($"c{i}");

        EvacuationReport report = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);

        Assert.Equal(EvacuationPhase.Done, report.State);
        Assert.All(report.Containers, move => Assert.Equal(MovePhase.Moved, move.State));
        Assert.All(report.Containers, move => Assert.Equal([move.To!], fleet.Rack.WhereIs(move.Name)));
        Assert.Equal(3, report.Containers.Count(move => move.To == "node2"));
        Assert.True(report.Emptiness.Passed);
        Assert.Equal(2, report.Emptiness.Looks.Count);
        Assert.Equal(212.5, report.Containers[0].FreezeMs);
        Assert.False(fleet["node1"].Agent.InboundOpen);
        Assert.Equal(Environment.UserName, report.RequestedBy);
    }

    [Fact]
    public async Task Evacuation_WithPowerOff_IsVerifiedByAPeerThatReceivedContainers()
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");

        Guid id = (await fleet["node1"].EvacuateAsync(powerOff: true)).Id;
        EvacuationReport source = await fleet["node1"].WaitAsync(id, report => report.Power.Witness is not null);
        string witness = source.Power.Witness!;
        EvacuationReport report = await fleet[witness].WaitForEndAsync(id);

        Assert.Equal([witness], fleet.Rack.WhereIs("c1"));
        Assert.Equal(EvacuationPhase.Done, report.State);
        Assert.Equal("node1", report.Node);
        Assert.Equal("Off", report.Power.State);
        Assert.Equal(witness, report.Power.VerifiedBy);
        Assert.False(report.Power.Forced);
        Assert.True(report.Emptiness.Passed);
        Assert.Equal("on", report.Led);
        Assert.True(fleet.Bmc("node1").Lit);
        Assert.True(fleet["node1"].Agent.PoweredOff);
    }
}
