using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Notices;
using Evacuator.Placement;
using Evacuator.Tests.Fakes;
using Evacuator.Windows;

namespace Evacuator.Tests.Windows;

/// <summary>Windows over a whole brain. What they wait for is far away or long past, so nothing depends on how fast this machine is.</summary>
public sealed class WindowFlowTests
{
    [Fact]
    public async Task Window_Open_EmptiesTheNodeOnceAlsoOverARestart()
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        await AddAsync(fleet["node1"], duration: TimeSpan.FromHours(5));
        EvacuationReport report = await EndAsync(fleet["node1"]);
        Assert.Equal((EvacuationPhase.Done, TriggerKind.Window, "window w"), (report.State, report.Trigger, report.RequestedBy));

        using (BrainClient client = fleet["node1"].Client())
            await client.PostAsync(ApiRoutes.Reopen, default);
        fleet["node1"].Agent.Containers["c2"] = FakeRack.Container("c2") with { Addresses = [] };
        await fleet["node1"].RestartAsync();
        await fleet["node1"].Service<WindowService>().LookAsync(default);
        Assert.Single(fleet["node1"].Journal!.Evacuations());
        Assert.Equal(["node1"], fleet.Rack.WhereIs("c2"));
        Assert.Single(fleet["node1"].Service<WindowBook>().All);
    }

    [Fact]
    public async Task Window_ThatWouldNotBeDoneInTime_StartsNothingAndSaysSo()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        // 8 GiB at 50 MiB a second, and half as much again: four minutes.
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1", 8L << 30);
        await AddAsync(fleet["node1"], duration: TimeSpan.FromHours(5), drainBy: TimeSpan.FromSeconds(100));
        Notice notice = await NoticeAsync(fleet["node1"], NoticeKind.Window);

        Assert.Contains("does not empty this node", notice.Text, StringComparison.Ordinal);
        Assert.Empty(fleet["node1"].Journal!.Evacuations());
        Assert.True(fleet["node1"].Agent.InboundOpen);
    }

    [Fact]
    public async Task Window_Over_CancelsWhatIsNotDone()
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1");
        node.Agent.Hold = _ => true;
        StartResult started = node.Service<EvacuationService>().Start(new Trigger
        {
            Kind = TriggerKind.Window,
            Key = "window:w@1",
            Reason = "firmware",
            RequestedBy = "window w",
            Until = DateTimeOffset.UnixEpoch,
        });
        EvacuationReport report = await node.WaitForEndAsync(started.Id!.Value);

        Assert.Equal((EvacuationPhase.Cancelled, "window w, which is over"), (report.State, report.CancelledBy));
        Assert.Equal(["node1"], fleet.Rack.WhereIs("c1"));
        Assert.Contains("is over before this node was empty", (await NoticeAsync(node, NoticeKind.Window)).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Window_ThatWaitsForTheLockTooLong_IsCancelledBeforeItBegins()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(options: same => same with { Fleet = same.Fleet with { MaxEmptied = 1 } });
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        fleet["node1"].Agent.Hold = _ => true;
        StartReply first = await fleet["node1"].EvacuateAsync();
        await fleet["node1"].WaitAsync(first.Id, report => report.State == EvacuationPhase.Moving);
        // Four minutes of work, and less than two left.
        TestNode node = fleet["node2"];
        node.Agent.Containers["c2"] = FakeRack.Container("c2", 8L << 30);
        StartResult started = node.Service<EvacuationService>().Start(new Trigger
        {
            Kind = TriggerKind.Window,
            Key = "window:w@1",
            Reason = "firmware",
            RequestedBy = "window w",
            Until = DateTimeOffset.UtcNow.AddSeconds(100),
        });

        Assert.Equal(EvacuationPhase.Cancelled, (await node.WaitForEndAsync(started.Id!.Value)).State);
        Assert.Equal(0, node.Agent.MovesStarted);
    }

    [Fact]
    public async Task Peer_AboutToEnterAWindow_GetsNothingUntilTheWindowHasActed()
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        TestNode node = fleet["node1"], peer = fleet["node2"];
        await AddAsync(peer, at: DateTimeOffset.UtcNow.AddMinutes(59));
        await AddAsync(fleet["node3"], at: DateTimeOffset.UtcNow.AddHours(2));
        node.Agent.Containers["c1"] = FakeRack.Container("c1");
        node.Agent.Containers["c2"] = FakeRack.Container("c2");
        EvacuationReport report = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);
        Assert.All(report.Containers, move => Assert.Equal("node3", move.To));
        ExcludedPeer excluded = Assert.Single(report.ExcludedPeers);
        Assert.Equal(("node2", BlockerCode.PeerWindow), (excluded.Name, excluded.Code));

        // An open window that has emptied it: once it takes containers again, nothing speaks against it any more.
        using (BrainClient client = peer.Client())
            await client.DeleteAsync($"{ApiRoutes.Windows}/w", default);
        await AddAsync(peer, duration: TimeSpan.FromHours(5));
        await EndAsync(peer);
        Assert.Null(peer.Service<WindowService>().NextStart());
    }

    [Fact]
    public async Task Windows_AddTwiceAndRemove_AreAsToldAndARestartKeepsThem()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 1);
        TestNode node = fleet["node1"];
        await AddAsync(node, at: DateTimeOffset.UtcNow.AddDays(300));
        await AddAsync(node, at: node.Service<WindowBook>().All[0].At);
        CliException other = await Assert.ThrowsAsync<CliException>(() => AddAsync(node, at: DateTimeOffset.UtcNow.AddDays(301)));
        Assert.Equal(CliExit.Refused, other.ExitCode);
        await node.RestartAsync();
        using BrainClient client = node.Client();
        Assert.Single(await client.GetAsync<List<Occurrence>>($"{ApiRoutes.Windows}/next", default));
        await client.DeleteAsync($"{ApiRoutes.Windows}/w", default);
        Assert.Empty(await client.GetAsync<List<MaintenanceWindow>>(ApiRoutes.Windows, default));
        await AddAsync(node, at: DateTimeOffset.UtcNow.AddDays(301));
    }

    private static async Task AddAsync(TestNode node, TimeSpan? duration = null, TimeSpan? drainBy = null, DateTimeOffset? at = null)
    {
        using BrainClient client = node.Client();
        await client.SendAsync<MaintenanceWindow>(HttpMethod.Post, ApiRoutes.Windows, new WindowRequest
        {
            Name = "w",
            At = at ?? DateTimeOffset.UtcNow.AddSeconds(-1),
            TimeZone = "UTC",
            DurationSeconds = (int)(duration ?? TimeSpan.FromHours(1)).TotalSeconds,
            DrainBySeconds = (int?)drainBy?.TotalSeconds,
            Reason = "firmware",
        }, default);
    }

    private static async Task<EvacuationReport> EndAsync(TestNode node)
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        while (node.Journal!.Evacuations() is not [var state] || !state.Phase.IsEnd())
            await Task.Delay(5, limit.Token);
        return await node.ReportAsync(node.Journal!.Evacuations()[0].Id);
    }

    private static async Task<Notice> NoticeAsync(TestNode node, NoticeKind kind)
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        while (true)
        {
            if (node.Journal!.RecentNotices(10).FirstOrDefault(entry => entry.Notice.Kind == kind) is { } found)
                return found.Notice;
            await Task.Delay(5, limit.Token);
        }
    }
}
