using System.Text.Json;
using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Homecoming;
using Evacuator.Journal;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Cli;

/// <summary>Coming home as a person asks for it and reads of it.</summary>
public sealed class HomecomingVerbTests
{
    [Theory]
    [InlineData(false, CliExit.Ok, "DONE: 1 of 1 containers came home")]
    [InlineData(true, CliExit.Failed, "FAILED: 0 of 1 containers came home")]
    public async Task CancelReturnWait_WaitsForTheHomecoming_AndEndsAsItEnds(bool fails, int expected, string says)
    {
        await using TestFleet fleet = await HalfMovedAsync();
        if (fails)
        {
            string at = Assert.Single(fleet.Rack.WhereIs("c1"));
            fleet[at].Agent.Fails = _ => (null, "the freeze budget was over");
        }

        (int code, string output, string error) = await CliRun.RunAsync(fleet["node1"].SocketPath, "cancel", "--return", "--wait");

        Assert.True(expected == code, output + error);
        Assert.Contains("CANCELLED", output, StringComparison.Ordinal);
        Assert.Contains(says, output, StringComparison.Ordinal);
        Assert.Equal(fails ? 0 : 1, fleet.Rack.WhereIs("c1").Count(node => node == "node1"));
    }

    [Fact]
    public async Task CancelReturnWait_NothingHadMoved_SaysSo()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        fleet["node1"].Agent.Hold = _ => true;
        await fleet["node1"].EvacuateAsync();

        (int code, string output, _) = await CliRun.RunAsync(fleet["node1"].SocketPath, "cancel", "--return", "--wait");

        Assert.Equal(CliExit.Ok, code);
        Assert.Contains("nothing had moved", output, StringComparison.Ordinal);
    }

    /// <summary>An emergency does not wait for containers that come home, and nobody is to wonder what became of them.</summary>
    [Fact]
    public async Task Start_DuringAHomecoming_CallsItOffAndSaysSoEverywhere()
    {
        await using TestFleet fleet = await AwayAsync(1);
        TestNode node = fleet["node1"];
        string at = Assert.Single(fleet.Rack.WhereIs("c1"));
        fleet[at].Agent.Hold = _ => true;
        Assert.Equal(CliExit.Ok, (await CliRun.RunAsync(node.SocketPath, "return")).Code);
        HomecomingState before = node.Service<HomecomingService>().Active!;

        (int code, string output, _) = await CliRun.RunAsync(node.SocketPath, "start", "--reason", "smoke");
        Assert.Equal(CliExit.Ok, code);
        Assert.Contains($"containers were being brought home here (homecoming {before.Id:D}", output, StringComparison.Ordinal);
        fleet[at].Agent.Hold = _ => false;
        Guid id = node.Journal!.Evacuations(1)[0].Id;
        EvacuationReport report = await node.WaitAsync(id, now => now.State.IsEnd() && now.Notes.Count > 0);
        Assert.Contains(report.Notes, note => note.Contains($"homecoming {before.Id:D}", StringComparison.Ordinal) && note.Contains("called off", StringComparison.Ordinal));
        using CancellationTokenSource hang = new(TestLimits.Hang);
        while (node.Service<HomecomingService>().Active is not null)
            await Task.Delay(5, hang.Token);
        Assert.Equal($"evacuation {id:D}", node.Service<HomecomingService>().Find(before.Id)!.CancelledBy);
    }

    [Theory]
    [InlineData("--only", "c1", "c9")]
    [InlineData("--skip", "c9")]
    [InlineData("--dry-run", "--only", "c9")]
    public async Task Return_OfANameThatNobodyHas_IsRefusedBeforeAnythingBegins(params string[] arguments)
    {
        await using TestFleet fleet = await AwayAsync(2);

        (int code, _, string error) = await CliRun.RunAsync(fleet["node1"].SocketPath, ["return", "--wait", .. arguments]);

        Assert.Equal(CliExit.Refused, code);
        Assert.Contains("no container of node1 is called c9: away are c1 (node", error, StringComparison.Ordinal);
        Assert.Empty(fleet["node1"].Journal!.Homecomings());
        Assert.All((string[])["c1", "c2"], name => Assert.NotEqual(["node1"], fleet.Rack.WhereIs(name)));
    }

    /// <summary>What a peer that does not answer has, nobody knows.</summary>
    [Fact]
    public async Task Return_OfANameThatASilentPeerMayHave_BringsTheOthers()
    {
        await using TestFleet fleet = await AwayAsync(2);
        await fleet["node2"].StopAsync();

        (int code, string output, _) = await CliRun.RunAsync(fleet["node1"].SocketPath, "return", "--only", "c1", "c2", "--wait");

        Assert.Equal(CliExit.Failed, code);
        Assert.Contains("PARTIAL: 1 of 1 containers came home", output, StringComparison.Ordinal);
        Assert.Contains("not asked: node2", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Report_OfTheLastHomecoming_SaysWhoCameFromWhereAndWhoStayedAndWhy()
    {
        await using TestFleet fleet = await AwayAsync(2);
        TestNode node = fleet["node1"];
        Assert.Equal(CliExit.Refused, (await CliRun.RunAsync(node.SocketPath, "report", "--homecoming")).Code);
        string at = Assert.Single(fleet.Rack.WhereIs("c1")), other = Assert.Single(fleet.Rack.WhereIs("c2"));
        fleet[at].Agent.Fails = move => move.Request.Container == "c1" ? (null, "the freeze budget was over") : null;
        (int code, _, _) = await CliRun.RunAsync(node.SocketPath, "return", "--wait");
        Assert.Equal(CliExit.Failed, code);

        (code, string output, _) = await CliRun.RunAsync(node.SocketPath, "report", "--homecoming");
        Assert.Equal(CliExit.Ok, code);
        Assert.Contains("PARTIAL: 1 of 2 containers came home", output, StringComparison.Ordinal);
        Assert.Matches($"c1 +{at} +node1 +failed .*the freeze budget was over", output);
        Assert.Matches($"c2 +{other} +node1 +done +21[23] ms", output);
        (_, string json, _) = await CliRun.RunAsync(node.SocketPath, "report", "--homecoming", "--json");
        JsonElement state = JsonDocument.Parse(json).RootElement;
        Assert.Equal("partial", state.GetProperty("phase").GetString());
        Assert.Equal(212.5, state.GetProperty("steps").EnumerateArray().Single(step => step.GetProperty("phase").GetString() == "done").GetProperty("move").GetProperty("freezeMs").GetDouble());

        // Whoever asks for "the report" or the status now hears of it, and the node is not told to be closed.
        foreach (string verb in (string[])["report", "status"])
        {
            (_, output, _) = await CliRun.RunAsync(node.SocketPath, verb);
            Assert.Contains("PARTIAL: 1 of 2 containers came home; \"evacuator report --homecoming\"", output, StringComparison.Ordinal);
            Assert.Contains("nothing was left on node1; it takes containers again", output, StringComparison.Ordinal);
            Assert.DoesNotContain("takes no container", output, StringComparison.Ordinal);
        }

        Assert.Equal(CliExit.Usage, (await CliRun.RunAsync(node.SocketPath, "report", "--homecoming", "--verify")).Code);
    }

    /// <summary>node1 is open again; its containers are at its peers.</summary>
    private static async Task<TestFleet> AwayAsync(int containers)
    {
        TestFleet fleet = await TestFleet.StartAsync();
        for (int number = 1; number <= containers; number++)
            fleet["node1"].Agent.Containers[$"c{number}"] = FakeRack.Container($"c{number}") with { Addresses = [] };
        await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);
        Assert.Equal(CliExit.Ok, (await CliRun.RunAsync(fleet["node1"].SocketPath, "reopen")).Code);
        return fleet;
    }

    /// <summary>c1 has left node1, c2 is under way.</summary>
    private static async Task<TestFleet> HalfMovedAsync()
    {
        TestFleet fleet = await TestFleet.StartAsync();
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1", annotations: ("evacuator.priority", "90"));
        node.Agent.Containers["c2"] = FakeRack.Container("c2");
        node.Agent.Hold = move => move.Request.Container == "c2" && move.Phase == SourcePhase.Copying;
        Guid id = (await node.EvacuateAsync()).Id;
        await node.WaitAsync(id, report => report.Containers.Any(move => move is { Name: "c1", State: MovePhase.Moved }) && report.Containers.Any(move => move is { Name: "c2", Step: SourcePhase.Copying }));
        return fleet;
    }
}
