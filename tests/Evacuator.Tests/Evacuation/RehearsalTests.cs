using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Notices;
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
    [InlineData("0 30 3 * * ?", "2026-03-28T22:00:00Z", 5.5)]
    [InlineData("0 0 22 * * ?", "2026-03-28T22:00:00Z", 24)]
    // In Berlin: an hour before midnight there.
    [InlineData("0 0 0 * * ?", "2026-03-27T22:00:00Z", 1, "Europe/Berlin")]
    // The night in which the clocks go forward: 02:30 does not exist there, and it comes when they have gone.
    [InlineData("0 30 2 * * ?", "2026-03-29T00:30:00Z", 0.5, "Europe/Berlin")]
    public void Schedule_Cron_IsTheNextTime(string schedule, string now, double hours, string zone = "UTC") => Assert.Equal(
        TimeSpan.FromHours(hours),
        RehearsalSchedule.Next(schedule, DateTimeOffset.Parse(now, null), TimeZoneInfo.FindSystemTimeZoneById(zone)) - DateTimeOffset.Parse(now, null));

    [Fact]
    public void Schedule_None_NeverComes() => Assert.Null(RehearsalSchedule.Next("", DateTimeOffset.UnixEpoch, TimeZoneInfo.Utc));

    [Theory]
    [InlineData("0 30 3 * *", "no cron expression")]
    [InlineData("0 30 25 * * ?", "no cron expression")]
    [InlineData("0 30 3 1 1 ? 2020", "never come")]
    [InlineData("0 30 3 * * ?", null)]
    public void Schedule_Mistakes_AreToldWithFileAndLine(string schedule, string? says)
    {
        ConfigurationResult configuration = new()
        {
            Options = new EvacuatorOptions { Rehearsal = new RehearsalOptions { Schedule = schedule } },
            Mistakes = [],
            Values = [new ConfigurationValue("rehearsal", "schedule", schedule, "/etc/x.conf:7")],
        };
        IReadOnlyList<ConfigurationMistake> mistakes = RehearsalSchedule.Mistakes(configuration, "/etc/evacuator.conf", new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        if (says is null)
        {
            Assert.Empty(mistakes);
            return;
        }

        ConfigurationMistake mistake = Assert.Single(mistakes);
        Assert.Equal(("/etc/x.conf", 7), (mistake.File, mistake.Line));
        Assert.Contains(says, mistake.Text, StringComparison.Ordinal);
    }

    /// <summary>Each second, so that it comes soon: what is rehearsed by itself is told, and only what was lost is a notice, once.</summary>
    [Fact]
    public async Task Schedule_ContainerLosesItsAbility_IsANoticeOnce()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(1, options => options with { Rehearsal = new RehearsalOptions { Schedule = "* * * * * ?" } });
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1");
        node.Agent.Containers["never"] = FakeRack.Container("never") with { Blockers = [new Blocker(BlockerCode.IoUring, "pid 7 holds an io_uring")] };
        await UntilAsync(() => RehearsalService.Read(node.Journal!, "c1") is { CanMove: true });
        node.Agent.Fails = _ => (null, "a debugger is attached");
        await UntilAsync(() => RehearsalService.Read(node.Journal!, "c1") is { CanMove: false } first && node.Journal!.RecentNotices(10).Count > 0);
        DateTimeOffset lost = RehearsalService.Read(node.Journal!, "c1")!.At;
        await UntilAsync(() => RehearsalService.Read(node.Journal!, "c1")!.At > lost);

        Notice notice = Assert.Single(node.Journal!.RecentNotices(10)).Notice;
        Assert.Equal((NoticeKind.CannotMove, "c1"), (notice.Kind, notice.Container));
        Assert.Contains("a debugger is attached", notice.Text, StringComparison.Ordinal);
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        while (!condition())
            await Task.Delay(5, limit.Token);
    }

    private static async Task<List<RehearsalState>> RehearseAsync(TestNode node, string? container = null)
    {
        using BrainClient client = node.Client();
        return await client.SendAsync<List<RehearsalState>>(HttpMethod.Post, container is null ? ApiRoutes.Rehearsals : $"{ApiRoutes.Rehearsals}?container={container}", null, default);
    }
}
