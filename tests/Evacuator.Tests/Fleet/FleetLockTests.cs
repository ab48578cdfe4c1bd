using Evacuator.Cli;
using Evacuator.Api;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Fleet.Locks;
using Evacuator.Journal;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Fleet;

/// <summary>The lock among static peers: never more at once than permitted, and nobody waits for ever.</summary>
public sealed class FleetLockTests
{
    [Fact]
    public async Task TwoNodes_AskedAtOnceWithLimitOne_AreEmptiedOneAfterTheOther()
    {
        await using TestFleet fleet = await StartAsync(4);
        foreach (string node in (string[])["node1", "node2"])
            fleet[node].Agent.Containers[$"c-{node}"] = FakeRack.Container($"c-{node}") with { Addresses = [] };
        using CancellationTokenSource over = new();
        Task<int> most = MostAtOnceAsync(fleet, over.Token);
        StartReply[] started = await Task.WhenAll(fleet["node1"].EvacuateAsync(), fleet["node2"].EvacuateAsync());
        // The first is done, and out until it is opened again; only then the second begins.
        string[] nodes = ["node1", "node2"];
        Task<EvacuationReport>[] waits = [.. nodes.Select((node, i) => fleet[node].WaitForEndAsync(started[i].Id))];
        int first = Array.IndexOf(waits, await Task.WhenAny(waits));
        Assert.Equal(EvacuationPhase.Done, (await waits[first]).State);
        await fleet[nodes[1 - first]].WaitAsync(started[1 - first].Id, report => report.Waiting?.For.Contains($"{nodes[first]} is being emptied", StringComparison.Ordinal) == true);
        using (BrainClient client = fleet[nodes[first]].Client())
            await client.PostAsync(ApiRoutes.Reopen, default);
        Assert.Equal(EvacuationPhase.Done, (await waits[1 - first]).State);
        await over.CancelAsync();

        Assert.Equal(1, await most);
    }

    [Fact]
    public async Task Waiting_SaysForWhomAndKeepsTheNodeOpen()
    {
        await using TestFleet fleet = await StartAsync(3);
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        fleet["node1"].Agent.Hold = _ => true;
        StartReply first = await fleet["node1"].EvacuateAsync();
        await fleet["node1"].WaitAsync(first.Id, report => report.State == EvacuationPhase.Moving);
        StartReply second = await fleet["node2"].EvacuateAsync();
        EvacuationReport waiting = await fleet["node2"].WaitAsync(second.Id, report => report.Waiting?.For.Contains("node1 is being emptied", StringComparison.Ordinal) == true);

        Assert.Equal(EvacuationPhase.Closing, waiting.State);
        Assert.True(fleet["node2"].Agent.InboundOpen);
        // Cancelling the one that waits gives its claim back.
        using (BrainClient client = fleet["node2"].Client())
            await client.PostAsync(ApiRoutes.Cancel, default);
        Assert.Equal(EvacuationPhase.Cancelled, (await fleet["node2"].WaitForEndAsync(second.Id)).State);
        Assert.DoesNotContain(fleet["node3"].Service<FleetLockBook>().Note("probe", Ask()).Others, claim => claim.Node == "node2");
    }

    [Fact]
    public async Task Holder_ThatDies_StaysOutUntilItIsUnlocked()
    {
        await using TestFleet fleet = await StartAsync(3, lease: TimeSpan.FromSeconds(2));
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        fleet["node1"].Agent.Hold = _ => true;
        StartReply first = await fleet["node1"].EvacuateAsync();
        await fleet["node1"].WaitAsync(first.Id, report => report.State == EvacuationPhase.Moving);
        // A majority is enough to begin: the one that is asked below has to have heard of it, too.
        while (fleet["node3"].Service<FleetLockBook>().Holders.All(claim => claim.Node != "node1"))
            await Task.Delay(5);
        await fleet["node1"].StopAsync();

        StartReply second = await fleet["node2"].EvacuateAsync();
        await fleet["node2"].WaitAsync(second.Id, report => report.Waiting?.For.Contains("node1 is being emptied", StringComparison.Ordinal) == true);
        // Also to a node that was restarted meanwhile.
        await fleet["node3"].RestartAsync();
        IFleetLock at3 = fleet["node3"].Service<IFleetLock>();
        Assert.Equal("node1", Assert.Single((await at3.LookAsync(default)).Picture.Slots).Node);
        Assert.Contains("holds no place", await at3.UnlockAsync("node2", "root", default), StringComparison.Ordinal);
        Assert.Null(await at3.UnlockAsync("node1", "root", default));
        Assert.Equal(EvacuationPhase.Done, (await fleet["node2"].WaitForEndAsync(second.Id)).State);
    }

    [Fact]
    public async Task Unlock_OfANodeThatIsUp_IsRefused()
    {
        await using TestFleet fleet = await StartAsync(3);
        StartReply first = await fleet["node1"].EvacuateAsync();
        Assert.Equal(EvacuationPhase.Done, (await fleet["node1"].WaitForEndAsync(first.Id)).State);

        Assert.Contains("is up and says itself that it is out", await fleet["node2"].Service<IFleetLock>().UnlockAsync("node1", "root", default), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Forced_DoesNotWait_AndSaysWhatWasPassedOver()
    {
        await using TestFleet fleet = await StartAsync(3);
        await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);
        StartReply second = await fleet["node2"].EvacuateAsync(force: true);
        EvacuationReport end = await fleet["node2"].WaitForEndAsync(second.Id);

        Assert.Equal(EvacuationPhase.Done, end.State);
        Assert.Contains(end.Notes, note => note.Contains("passed over (--force): node1 is being emptied", StringComparison.Ordinal));
    }

    [Fact]
    public async Task TooFewAnswers_WaitsAndSaysHowMany_AndGoesOnWhenTheyAreBack()
    {
        await using TestFleet fleet = await StartAsync(3);
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        await fleet["node2"].StopAsync();
        await fleet["node3"].StopAsync();
        StartReply reply = await fleet["node1"].EvacuateAsync();
        EvacuationReport waits = await fleet["node1"].WaitAsync(reply.Id, report => report.Waiting?.For.Contains("1 of 3 nodes have answered, 2 are needed; silent: node2, node3", StringComparison.Ordinal) == true);
        Assert.Contains("evacuator start --force", waits.Waiting!.Next, StringComparison.Ordinal);
        await fleet["node2"].StartAsync();

        Assert.Equal(EvacuationPhase.Done, (await fleet["node1"].WaitForEndAsync(reply.Id)).State);
    }

    [Fact]
    public void Book_JustStarted_IsNotReady()
    {
        Testing.ManualTime time = new();
        BrainTimings timings = new() { LockPoll = TimeSpan.FromSeconds(5), LockLease = TimeSpan.FromMinutes(2) };
        using Testing.TemporaryFolder folder = new();
        using JournalStore journal = JournalStore.Open(Path.Combine(folder.Path, "journal.db"));
        FleetLockBook book = new(journal, timings, time);
        Assert.False(book.Note("a", Ask()).Ready);
        time.Advance(TimeSpan.FromSeconds(16));
        LockReply later = book.Note("b", Ask());
        Assert.True(later.Ready);
        Assert.Equal("a", Assert.Single(later.Others).Node);
        // Not renewed: gone after the lease, and a clock that jumps changes nothing, since only elapsed time counts.
        time.Advance(TimeSpan.FromMinutes(2));
        Assert.DoesNotContain(book.Note("b", Ask()).Others, claim => claim.Node == "a");
    }

    [Fact]
    public void Claims_OfAnyTwo_OneGoesBeforeTheOther()
    {
        DateTimeOffset early = DateTimeOffset.UnixEpoch;
        FleetAsk[] claims = [Claim("a", 0, early), Claim("b", 0, early), Claim("c", 1, early.AddHours(1)), Claim("d", 0, early.AddHours(-1))];

        Assert.All(claims, one => Assert.All(claims.Where(other => other != one), other => Assert.NotEqual(one.GoesBefore(other), other.GoesBefore(one))));
        Assert.Equal(["c", "d", "a", "b"], claims.OrderBy(claim => claims.Count(other => other.GoesBefore(claim))).Select(claim => claim.Node));
    }

    private static FleetAsk Claim(string node, int urgency, DateTimeOffset since) => new(node, Guid.NewGuid(), "", urgency, since, false);

    private static LockRequest Ask() => new(Guid.NewGuid(), false, 0, DateTimeOffset.UnixEpoch);

    private static async Task<TestFleet> StartAsync(int nodes, TimeSpan? lease = null)
    {
        TestFleet fleet = await TestFleet.StartAsync(nodes, options: same => same with { Fleet = same.Fleet with { MaxEmptied = 1 } }, timings: same => same with { LockLease = lease ?? same.LockLease });
        return fleet;
    }

    /// <summary>The largest number of nodes that are past Closing at the same time.</summary>
    private static async Task<int> MostAtOnceAsync(TestFleet fleet, CancellationToken over)
    {
        int most = 0;
        while (!over.IsCancellationRequested)
        {
            most = Math.Max(most, ((string[])["node1", "node2"]).Count(node => fleet[node].Service<EvacuationService>().Active is { State.Phase: not EvacuationPhase.Closing }));
            await Task.Yield();
        }

        return most;
    }
}
