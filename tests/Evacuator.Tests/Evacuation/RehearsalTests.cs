using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Evacuation;

public sealed class RehearsalTests
{
    [Fact]
    public async Task Rehearse_All_SaysWhoCouldMoveAndRemembersIt()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(2);
        TestNode node = fleet["node1"];
        node.Agent.Containers["able"] = FakeRack.Container("able");
        node.Agent.Containers["ring"] = FakeRack.Container("ring") with { Blockers = [new Blocker(BlockerCode.IoUring, "pid 7 holds an io_uring")] };
        node.Agent.Containers["slow"] = FakeRack.Container("slow");
        node.Agent.Fails = move => move.Request.Container == "slow" ? (null, "it did not stand still") : null;

        List<RehearsalState> results = await RehearseAsync(node);
        Assert.Equal([("able", true), ("ring", false), ("slow", false)], results.Select(result => (result.Container, result.CanMove)));
        Assert.Equal(212.5, results[0].FreezeMs);
        Assert.Equal(BlockerCode.IoUring, results[1].Blocker!.Code);
        Assert.Equal(["node1"], fleet.Rack.WhereIs("able"));

        // Remembered over a restart, with the last time at which it could move.
        await node.RestartAsync();
        node.Agent.Fails = move => (null, "a debugger is attached");
        RehearsalState again = Assert.Single(await RehearseAsync(node, "able"));
        Assert.Equal((false, results[0].At), (again.CanMove, again.LastAble));
        using BrainClient client = node.Client();
        Assert.Equal(3, (await client.GetAsync<List<RehearsalState>>(ApiRoutes.Rehearsals, default)).Count);
    }

    [Fact]
    public async Task Rehearse_AnEvacuationBegins_GivesTheContainerFree()
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1");
        node.Agent.Hold = move => move.Request.Mode == MoveMode.Rehearsal;
        Task<List<RehearsalState>> rehearsing = RehearseAsync(node);
        while (node.Agent.MovesStarted == 0)
            await Task.Delay(5);
        EvacuationReport report = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);

        Assert.Equal(EvacuationPhase.Done, report.State);
        CliException called = await Assert.ThrowsAsync<CliException>(() => rehearsing);
        Assert.Contains("called off", called.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("03:30", "2026-03-28T22:00:00Z", 5.5)]
    [InlineData("23:00", "2026-03-28T22:00:00Z", 1)]
    [InlineData("22:00", "2026-03-28T22:00:00Z", 24)]
    [InlineData("", "2026-03-28T22:00:00Z", -1)]
    public void UntilNext_TimeOfDay_IsTheNextOne(string at, string now, double hours) => Assert.Equal(
        hours < 0 ? null : TimeSpan.FromHours(hours), RehearsalService.UntilNext(at, DateTimeOffset.Parse(now, null), TimeZoneInfo.Utc));

    private static async Task<List<RehearsalState>> RehearseAsync(TestNode node, string? container = null)
    {
        using BrainClient client = node.Client();
        return await client.SendAsync<List<RehearsalState>>(HttpMethod.Post, container is null ? ApiRoutes.Rehearsals : $"{ApiRoutes.Rehearsals}?container={container}", null, default);
    }
}
