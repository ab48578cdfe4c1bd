using System.CommandLine;
using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Cli;

/// <summary>What a shutdown that somebody else has asked for waits for, and what it does not wait for.</summary>
public sealed class OnShutdownTests
{
    [Fact]
    public async Task OnShutdown_ContainersCanMove_WaitsForThemAndSaysHowLongAtMost()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        fleet["node1"].Agent.Containers["web"] = FakeRack.Container("web");

        (int code, string output, _) = await RunAsync(fleet["node1"]);

        Assert.Equal(CliExit.Ok, code);
        Assert.Matches("started: the shutdown waits for it, [0-9a-z ]+ at most", output);
        Assert.Empty(fleet["node1"].Agent.Containers);
        Assert.Contains("web", fleet["node2"].Agent.Containers.Keys);
    }

    [Fact]
    public async Task OnShutdown_NobodyHasRoom_EndsWithTheReason()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        fleet["node1"].Agent.Containers["web"] = FakeRack.Container("web", 1L << 50);

        (int code, string output, _) = await RunAsync(fleet["node1"]);

        Assert.Equal(CliExit.Failed, code);
        Assert.Contains("web", output, StringComparison.Ordinal);
        Assert.Contains("of memory left for it", output, StringComparison.Ordinal);
        Assert.Contains("3h 30min at most", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task OnShutdown_NothingRunsHere_StartsNothing()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);

        (int code, string output, _) = await RunAsync(fleet["node1"]);

        Assert.Equal(CliExit.Ok, code);
        Assert.Contains("this host has no container", output, StringComparison.Ordinal);
        Assert.Null(fleet["node1"].Service<EvacuationService>().LastOwn());
    }

    /// <summary>An evacuation that ends with a shutdown waits for the host to go down, and the host for this: one of them has to let go.</summary>
    [Fact]
    public async Task OnShutdown_AnotherEvacuationThatPowersOffIsUnderWay_LetsTheHostGoDownWithIt()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        TestNode node = fleet["node1"];
        node.Agent.Containers["web"] = FakeRack.Container("web");
        TaskCompletionSource followed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        node.Agent.Hold = move => move.Phase == SourcePhase.Copying && !followed.Task.IsCompleted;
        Guid id = (await node.EvacuateAsync(powerOff: true)).Id;
        await node.WaitAsync(id, report => report.Containers is [{ Step: SourcePhase.Copying }]);

        Task<(int Code, string, string)> shutdown = RunAsync(node);
        followed.SetResult();

        Assert.Equal(CliExit.Ok, (await shutdown.WaitAsync(TestLimits.Hang)).Code);
        Assert.Equal(EvacuationPhase.PoweringOff, (await node.ReportAsync(id)).State);
    }

    /// <summary>The containers of the next boot are not the ones that were to leave.</summary>
    [Fact]
    public async Task Host_WasShutDownBeforeItWasEmpty_TheNextBootEndsTheEvacuationAndOpensTheNode()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        TestNode node = fleet["node1"];
        node.Agent.Containers["web"] = FakeRack.Container("web");
        node.Agent.Hold = move => move.Phase == SourcePhase.Copying;
        using BrainClient client = node.Client();
        StartReply reply = await client.SendAsync<StartReply>(HttpMethod.Post, ApiRoutes.Evacuations,
            new StartRequest { OperationId = Guid.NewGuid(), Reason = "the host is being shut down", OnShutdown = true }, default);
        await node.WaitAsync(reply.Id, report => report.Containers is [{ Step: SourcePhase.Copying }]);

        await node.RebootAsync();
        node.Agent.Hold = _ => false;
        node.Agent.Containers["web"] = FakeRack.Container("web");
        EvacuationReport report = await node.WaitForEndAsync(reply.Id);

        Assert.Equal(EvacuationPhase.Cancelled, report.State);
        Assert.Contains(report.Notes, note => note.Contains("the host was restarted in phase moving; the evacuation ends, since the shutdown that asked for it is over", StringComparison.Ordinal));
        Assert.True(node.Agent.InboundOpen);
        Assert.Contains("web", node.Agent.Containers.Keys);
        Assert.Empty(fleet["node2"].Agent.Containers);
    }

    private static async Task<(int Code, string Output, string Error)> RunAsync(TestNode node)
    {
        StringWriter output = new(), error = new();
        int code = await EvacuatorCommand.Create().Parse(["on-shutdown", "--socket", node.SocketPath]).InvokeAsync(new InvocationConfiguration { Output = output, Error = error }, default);
        return (code, output.ToString(), error.ToString());
    }
}
