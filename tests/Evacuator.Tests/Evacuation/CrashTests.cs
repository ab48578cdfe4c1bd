using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Evacuation;

/// <summary>The brain dies at each write to its journal, before and after the write, and starts again: every container ends in one place, every evacuation as done.</summary>
public sealed class CrashTests
{
    private static readonly string[] Names = ["c1", "c2", "c3"];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Source_KilledAtEachJournaledStep_ContinuesToTheEnd(bool afterWrite)
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        TestNode node = fleet["node1"];
        int steps = 0;
        for (bool crashed = true; crashed; steps++)
        {
            Reset(fleet);
            Fault fault = new(steps, afterWrite);
            node.FaultPoint = fault.Point;
            await node.RestartAsync();
            Guid operation = Guid.NewGuid();
            await StartAndAwaitCrashAsync(node, operation, fault);
            crashed = fault.Crashed.Task.IsCompleted;

            node.FaultPoint = null;
            await node.RestartAsync();
            // Whoever asked and got no answer asks again: it is the same evacuation.
            StartReply reply = await node.EvacuateAsync(powerOff: true, operation: operation);
            EvacuationReport atSource = await node.WaitAsync(reply.Id, report => report.Power.Witness is not null || report.State.IsEnd());
            Assert.True(atSource.Power.Witness is not null, $"step {steps}: {atSource.Summary}");
            EvacuationReport end = await fleet[atSource.Power.Witness!].WaitForEndAsync(reply.Id);

            Assert.Equal(EvacuationPhase.Done, end.State);
            Assert.Equal("Off", end.Power.State);
            Assert.All(Names, name => Assert.Single(fleet.Rack.WhereIs(name)));
            Assert.All(Names, name => Assert.DoesNotContain("node1", fleet.Rack.WhereIs(name)));
            Assert.All(fleet.Rack.Agents.Values, agent => Assert.Equal(0, agent.OpenReservations));
            Assert.Single((await ReportsAsync(node)), report => report.Id == reply.Id);
        }

        // Closing, planning, three containers with their phases, proof, witness, LED, power: fewer would mean that the faults were not hit.
        Assert.True(steps > 20, $"only {steps} steps were journaled");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Witness_KilledAtEachJournaledStep_StillVerifiesThePower(bool afterWrite)
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        int steps = 0;
        for (bool crashed = true; crashed; steps++)
        {
            Reset(fleet);
            Fault fault = new(steps, afterWrite);
            TestNode witness = fleet["node2"];
            witness.FaultPoint = fault.Point;
            await witness.RestartAsync();
            await fleet["node1"].RestartAsync();
            Guid id = (await fleet["node1"].EvacuateAsync(powerOff: true)).Id;
            Task<EvacuationReport> ended = fleet["node1"].WaitAsync(id, report => report.State.IsEnd() || report.State == EvacuationPhase.PoweringOff);
            EvacuationReport source = await ended;
            if (source.State == EvacuationPhase.Failed)
            {
                // It died while it was being asked to take a container or to watch: nobody watches, and the host must have stayed on.
                Assert.False(fleet["node1"].Agent.PoweredOff);
                Assert.True(source.Problem.Contains("stays on", StringComparison.Ordinal) || source.Problem.Contains("left on node1", StringComparison.Ordinal), source.Problem);
                crashed = true;
                continue;
            }

            await Task.WhenAny(fault.Crashed.Task, witness.WaitForEndAsync(id));
            crashed = fault.Crashed.Task.IsCompleted;
            witness.FaultPoint = null;
            await witness.RestartAsync();
            EvacuationReport end = await witness.WaitForEndAsync(id);
            Assert.Equal(("Off", "node2"), (end.Power.State, end.Power.VerifiedBy));
        }

        Assert.True(steps >= 3, $"only {steps} steps were journaled");
    }

    private static async Task StartAndAwaitCrashAsync(TestNode node, Guid operation, Fault fault)
    {
        try
        {
            StartReply reply = await node.EvacuateAsync(powerOff: true, operation: operation);
            await Task.WhenAny(fault.Crashed.Task, node.WaitAsync(reply.Id, report => report.State.IsEnd() || report.Waiting?.For == "the host to go down"));
        }
        catch (CliException)
        {
            // It died under the request.
        }
    }

    private static async Task<List<EvacuationReport>> ReportsAsync(TestNode node)
    {
        using BrainClient client = node.Client();
        return await client.GetAsync<List<EvacuationReport>>($"{ApiRoutes.Evacuations}?limit=100", default);
    }

    /// <summary>All containers on node1, everything on and open again.</summary>
    private static void Reset(TestFleet fleet)
    {
        foreach (FakeAgent agent in fleet.Rack.Agents.Values)
            agent.Reset();
        foreach (string name in Names)
            fleet["node1"].Agent.Containers[name] = FakeRack.Container(name);
        fleet.Bmc("node1").Power = "On";
        fleet["node1"].EndOpenEvacuations();
    }

    /// <summary>Crashes at the given write; whatever is written afterwards crashes too, since a dead process writes nothing.</summary>
    private sealed class Fault(int at, bool afterWrite)
    {
        private int _writes;

        public TaskCompletionSource Crashed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Point(bool after)
        {
            if (Crashed.Task.IsCompleted || (after == afterWrite && Interlocked.Increment(ref _writes) == at + 1))
            {
                Crashed.TrySetResult();
                throw new CrashException($"write {at}, {(afterWrite ? "after" : "before")}");
            }
        }
    }
}
