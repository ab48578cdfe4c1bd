using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Fleet.Etcd;
using Evacuator.Fleet.Locks;
using Evacuator.Journal;
using Evacuator.Testing;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Fleet;

/// <summary>Whole brains with a real etcd: the limit holds whatever becomes of nodes and of etcd, nothing waits for ever, and what is shown is so.</summary>
public sealed class EtcdLockFlowTests
{
    [EtcdFact]
    public async Task TwoNodes_AskedAtOnceWithLimitOne_TheSecondWaitsUntilTheFirstIsOpenAgain()
    {
        await using TestFleet fleet = await StartAsync();
        string[] nodes = ["node1", "node2"];
        foreach (string node in nodes)
            fleet[node].Agent.Containers[$"c-{node}"] = FakeRack.Container($"c-{node}") with { Addresses = [] };
        StartReply[] started = await Task.WhenAll(nodes.Select(node => fleet[node].EvacuateAsync()));
        Task<EvacuationReport>[] ends = [.. nodes.Select((node, i) => fleet[node].WaitForEndAsync(started[i].Id))];
        int first = Array.IndexOf(ends, await Task.WhenAny(ends));
        int second = 1 - first;

        Assert.Equal(EvacuationPhase.Done, (await ends[first]).State);
        EvacuationReport waiting = await fleet[nodes[second]].WaitAsync(started[second].Id, report => report.Waiting?.For.Contains($"{nodes[first]} is being emptied", StringComparison.Ordinal) == true);
        Assert.Equal(EvacuationPhase.Closing, waiting.State);
        // Whoever waits takes containers meanwhile.
        Assert.True(fleet[nodes[second]].Agent.InboundOpen);
        FleetLockView view = await LookAsync(fleet["node3"]);
        Assert.Equal([nodes[first]], view.Picture.Slots.Select(slot => slot.Node));
        Assert.Equal([nodes[second]], view.Picture.Asks.Select(ask => ask.Node));
        using (BrainClient client = fleet[nodes[first]].Client())
            await client.PostAsync(ApiRoutes.Reopen, default);
        Assert.Equal(EvacuationPhase.Done, (await ends[second]).State);
        Assert.Equal([nodes[second]], (await LookAsync(fleet["node3"])).Picture.Slots.Select(slot => slot.Node));
    }

    [EtcdFact]
    public async Task Cancelled_WhileItWaitsOrMoves_GivesItsPlaceBack()
    {
        await using TestFleet fleet = await StartAsync();
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        fleet["node1"].Agent.Hold = _ => true;
        StartReply first = await fleet["node1"].EvacuateAsync();
        await fleet["node1"].WaitAsync(first.Id, report => report.State == EvacuationPhase.Moving);
        StartReply second = await fleet["node2"].EvacuateAsync();
        await fleet["node2"].WaitAsync(second.Id, report => report.Waiting is not null);
        foreach (string node in (string[])["node2", "node1"])
        {
            using BrainClient client = fleet[node].Client();
            await client.PostAsync(ApiRoutes.Cancel, default);
        }

        Assert.Equal(EvacuationPhase.Cancelled, (await fleet["node2"].WaitForEndAsync(second.Id)).State);
        Assert.Equal(EvacuationPhase.Cancelled, (await fleet["node1"].WaitForEndAsync(first.Id)).State);
        await UntilAsync(async () => (await LookAsync(fleet["node3"])).Picture is { Slots.Count: 0, Asks.Count: 0 });
    }

    [EtcdFact]
    public async Task Holder_ThatDies_KeepsItsPlaceBeyondItsLease_UntilItIsUnlocked()
    {
        await using TestFleet fleet = await StartAsync();
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        fleet["node1"].Agent.Hold = _ => true;
        StartReply first = await fleet["node1"].EvacuateAsync();
        await fleet["node1"].WaitAsync(first.Id, report => report.State == EvacuationPhase.Moving);
        IFleetLock at3 = fleet["node3"].Service<IFleetLock>();
        Assert.Contains("is up and says itself that it is out", await at3.UnlockAsync("node1", "root", default), StringComparison.Ordinal);

        await fleet["node1"].StopAsync();
        StartReply second = await fleet["node2"].EvacuateAsync();
        // Its lease is over: it is known to be silent, and out all the same.
        await UntilAsync(async () => (await LookAsync(fleet["node3"])).Picture.Nodes.Any(node => node is { Name: "node1", Condition: NodeCondition.Silent }));
        FleetSlot slot = Assert.Single((await LookAsync(fleet["node3"])).Picture.Slots);
        Assert.Equal(("node1", first.Id), (slot.Node, slot.EvacuationId));
        Assert.Equal(EvacuationPhase.Closing, (await fleet["node2"].ReportAsync(second.Id)).State);

        Assert.Null(await at3.UnlockAsync("node1", "root", default));
        Assert.Equal(EvacuationPhase.Done, (await fleet["node2"].WaitForEndAsync(second.Id)).State);
        // It comes back, is still out, and says so, over the limit: that is the truth.
        await fleet["node1"].StartAsync();
        await UntilAsync(async () => (await LookAsync(fleet["node3"])).Picture.Slots.Count == 2);
    }

    [EtcdFact]
    public async Task Asking_NodeThatDies_DoesNotKeepOthersWaiting()
    {
        await using TestFleet fleet = await StartAsync();
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        fleet["node1"].Agent.Hold = _ => true;
        StartReply first = await fleet["node1"].EvacuateAsync();
        await fleet["node1"].WaitAsync(first.Id, report => report.State == EvacuationPhase.Moving);
        StartReply second = await fleet["node2"].EvacuateAsync();
        await fleet["node2"].WaitAsync(second.Id, report => report.Waiting is not null);
        StartReply third = await fleet["node3"].EvacuateAsync();
        await fleet["node3"].WaitAsync(third.Id, report => report.Waiting is not null);
        // The next in the queue is gone without a word; then the place becomes free.
        await fleet["node2"].StopAsync();
        using (BrainClient client = fleet["node1"].Client())
            await client.PostAsync(ApiRoutes.Cancel, default);

        Assert.Equal(EvacuationPhase.Done, (await fleet["node3"].WaitForEndAsync(third.Id)).State);
    }

    [EtcdFact]
    public async Task EtcdDown_WhatIsUnderWayGoesOn_NothingNewBegins_AndItIsSaidSinceWhen()
    {
        await using TestFleet fleet = await StartAsync(4);
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        bool hold = true;
        fleet["node1"].Agent.Hold = _ => Volatile.Read(ref hold);
        StartReply first = await fleet["node1"].EvacuateAsync();
        await fleet["node1"].WaitAsync(first.Id, report => report.State == EvacuationPhase.Moving);
        await LookAsync(fleet["node2"]);

        await fleet.Etcd.KillAsync();
        // What is under way needs no etcd.
        Volatile.Write(ref hold, false);
        Assert.Equal(EvacuationPhase.Done, (await fleet["node1"].WaitForEndAsync(first.Id)).State);
        // A new one waits and says so; one by a signal is not even begun.
        StartReply second = await fleet["node2"].EvacuateAsync();
        EvacuationReport waiting = await fleet["node2"].WaitAsync(second.Id, report => report.Waiting?.For.Contains("etcd has not answered since", StringComparison.Ordinal) == true);
        Assert.Equal(EvacuationPhase.Closing, waiting.State);
        Assert.Contains("--force", waiting.Waiting!.Next, StringComparison.Ordinal);
        Assert.Contains("etcd has not answered since", await fleet["node4"].Service<IFleetLock>().AskShareAsync(default), StringComparison.Ordinal);
        // What is shown: unknown, since when, and as of when the rest is.
        FleetLockView down = await LookAsync(fleet["node2"]);
        Assert.NotNull(down.UnknownSince);
        Assert.NotNull(down.AsOf);
        Assert.Equal(["node1"], down.Picture.Slots.Select(slot => slot.Node));
        Assert.Contains(await NoticesAsync(fleet["node2"]), notice => notice.Contains("etcd has not answered since", StringComparison.Ordinal));

        // A person may go on without, and the report says what was passed over.
        StartReply third = await fleet["node3"].EvacuateAsync(force: true);
        EvacuationReport forced = await fleet["node3"].WaitForEndAsync(third.Id);
        Assert.Equal(EvacuationPhase.Done, forced.State);
        Assert.Contains(forced.Notes, note => note.Contains("was not asked (--force)", StringComparison.Ordinal));

        // Back with its data: both that are out are known, and the one that waits goes on waiting until both are open.
        await fleet.Etcd.StartAsync();
        await fleet["node2"].WaitAsync(second.Id, report => report.Waiting?.For.Contains("is being emptied", StringComparison.Ordinal) == true);
        await UntilAsync(async () => await LookAsync(fleet["node2"]) is { UnknownSince: null, Picture.Slots.Count: 2 });
        foreach (string node in (string[])["node1", "node3"])
        {
            Assert.Equal(EvacuationPhase.Closing, (await fleet["node2"].ReportAsync(second.Id)).State);
            using BrainClient client = fleet[node].Client();
            await client.PostAsync(ApiRoutes.Reopen, default);
        }

        Assert.Equal(EvacuationPhase.Done, (await fleet["node2"].WaitForEndAsync(second.Id)).State);
        await UntilAsync(async () => !(await NoticesAsync(fleet["node2"])).Any(notice => notice.Contains("etcd", StringComparison.Ordinal)));
    }

    [EtcdFact]
    public async Task EtcdThatStalls_HoldsNothingUpLongerThanItsLimit_AndTheLimitHolds()
    {
        await using TestFleet fleet = await StartAsync(limit: TimeSpan.FromSeconds(1));
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        fleet["node1"].Agent.Hold = _ => true;
        StartReply first = await fleet["node1"].EvacuateAsync();
        await fleet["node1"].WaitAsync(first.Id, report => report.State == EvacuationPhase.Moving);
        fleet.Etcd.Stall();
        StartReply second = await fleet["node2"].EvacuateAsync();
        await fleet["node2"].WaitAsync(second.Id, report => report.Waiting?.For.Contains("did not answer within", StringComparison.Ordinal) == true);
        // Cancelling does not wait for it either.
        using (BrainClient client = fleet["node1"].Client())
            await client.PostAsync(ApiRoutes.Cancel, default);
        Assert.Equal(EvacuationPhase.Cancelled, (await fleet["node1"].WaitForEndAsync(first.Id)).State);
        Assert.Equal(EvacuationPhase.Closing, (await fleet["node2"].ReportAsync(second.Id)).State);
        fleet.Etcd.Resume();

        Assert.Equal(EvacuationPhase.Done, (await fleet["node2"].WaitForEndAsync(second.Id)).State);
    }

    [EtcdFact]
    public async Task LostByEtcd_TheSlotIsThereAgain()
    {
        await using TestFleet fleet = await StartAsync();
        StartReply first = await fleet["node1"].EvacuateAsync();
        Assert.Equal(EvacuationPhase.Done, (await fleet["node1"].WaitForEndAsync(first.Id)).State);
        // As after etcd was set up anew. The node is closed still, so it is out.
        EtcdFleet store = fleet["node2"].Service<EtcdFleet>();
        await store.Client.DeleteAsync(store.Keys.Slot("node1"), default);

        await UntilAsync(async () => (await LookAsync(fleet["node2"])).Picture.Slots.Any(slot => slot.Node == "node1" && slot.EvacuationId == first.Id));
    }

    [EtcdFact]
    public async Task NodeOutsideOfThePeersFile_IsNoMemberWhateverEtcdSays()
    {
        await using TestFleet fleet = await StartAsync();
        EtcdFleet store = fleet["node1"].Service<EtcdFleet>();
        HostRecord stranger = new("stranger", "127.0.0.9", "", "", 1L << 40, 64, DateTimeOffset.UnixEpoch);
        await store.Client.PutAsync(store.Keys.Host("stranger"), EtcdRecords.Write(stranger), 0, default);
        // A key that names another node than its value is not believed either.
        await store.Client.PutAsync(store.Keys.Host("node2"), EtcdRecords.Write(stranger with { Node = "node3", Address = "127.0.0.250" }), 0, default);
        await UntilAsync(async () => (await LookAsync(fleet["node1"])).Picture.Nodes.Count == 3);

        Assert.Equal(["node1", "node2", "node3"], (await LookAsync(fleet["node1"])).Picture.Nodes.Select(node => node.Name));
        Assert.Null(fleet["node1"].Service<Evacuator.Fleet.PeerDirectory>().Find("stranger"));
        Assert.Equal("127.0.0.3", fleet["node1"].Service<Evacuator.Fleet.PeerDirectory>().Find("node3")!.Peer.Address);
    }

    private static Task<TestFleet> StartAsync(int nodes = 3, TimeSpan? limit = null) =>
        TestFleet.StartAsync(
            nodes, options: same => same with { Fleet = same.Fleet with { MaxEmptied = 1 }, Signals = new SignalOptions { FleetSharePercent = 50 } },
            timings: same => same with { EtcdLimit = limit ?? same.EtcdLimit }, withEtcd: true);

    private static Task<FleetLockView> LookAsync(TestNode node) => node.Service<IFleetLock>().LookAsync(default);

    private static async Task<IReadOnlyList<string>> NoticesAsync(TestNode node)
    {
        using BrainClient client = node.Client();
        return (await client.GetAsync<NodeStatus>(ApiRoutes.Status, default)).Notices;
    }

    /// <summary>The limit only keeps a broken test from hanging.</summary>
    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        while (!await condition())
            await Task.Delay(20, limit.Token);
    }
}
