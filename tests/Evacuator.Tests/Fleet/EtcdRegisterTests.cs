using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Fleet;
using Evacuator.Fleet.Etcd;
using Evacuator.Fleet.Locks;
using Evacuator.Journal;
using Evacuator.Placement;
using Evacuator.Testing;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Fleet;

/// <summary>What nodes tell each other through a real etcd: names, room that is held, what is about to be sent.</summary>
public sealed class EtcdRegisterTests
{
    [EtcdFact]
    public async Task Name_FollowsItsContainer_AndADuplicateIsFoundWhenAPlanIsMade()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(3, withEtcd: true);
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        await UntilAsync(async () => await OwnerAsync(fleet, "c1") == "node1");

        // It moves, and its name with it; and back.
        StartReply started = await fleet["node1"].EvacuateAsync();
        EvacuationReport moved = await fleet["node1"].WaitForEndAsync(started.Id);
        Assert.Equal(EvacuationPhase.Done, moved.State);
        string there = moved.Containers[0].To!;
        await UntilAsync(async () => await OwnerAsync(fleet, "c1") == there);

        // A second one of that name on another node is named there, and stays.
        string other = there == "node2" ? "node3" : "node2";
        fleet[other].Agent.Containers["c1"] = FakeRack.Container("c1");
        fleet[other].Agent.Containers["c2"] = FakeRack.Container("c2");
        await UntilAsync(async () => (await StatusAsync(fleet[other])).Notices.Any(notice => notice.Contains($"c1 runs here, and the name is taken by {there}", StringComparison.Ordinal)));
        PlanReply plan = await PlanAsync(fleet[other]);
        Blocker blocker = Assert.Single(plan.Plan.Containers.Single(container => container.Container.Name == "c1").Blockers, blocker => blocker.Code == BlockerCode.NameTaken);
        Assert.Contains($"taken by {there}", blocker.Text, StringComparison.Ordinal);
        Assert.Equal(there, await OwnerAsync(fleet, "c1"));

        // One of them is gone: the name is the other's.
        fleet[there].Agent.Containers.TryRemove("c1", out _);
        await UntilAsync(async () => await OwnerAsync(fleet, "c1") == other);
        await UntilAsync(async () => (await StatusAsync(fleet[other])).Notices.All(notice => !notice.Contains("c1", StringComparison.Ordinal)));
    }

    [EtcdFact]
    public async Task MoveUnderWay_RoomAndPlanAreSeenByOthers_AndVanishAtItsEnd()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(
            3, options: same => same with { Move = same.Move with { Parallel = 1 } }, withEtcd: true);
        bool hold = true;
        fleet["node1"].Agent.Hold = _ => Volatile.Read(ref hold);
        foreach (string name in (string[])["a", "b", "c"])
            fleet["node1"].Agent.Containers[name] = FakeRack.Container(name);
        StartReply started = await fleet["node1"].EvacuateAsync();
        await fleet["node1"].WaitAsync(started.Id, report => report.Containers.Any(container => container.State == MovePhase.Moving));

        // One is on its way: its room is held. Two are planned: another source reckons with them.
        await UntilAsync(async () => (await fleet["node2"].Service<IFleetRegister>().ReservationsAsync(default)).Count == 1);
        ReservationRecord held = (await fleet["node2"].Service<IFleetRegister>().ReservationsAsync(default))[0];
        Assert.Equal("node1", held.Source);
        HeldRoom room = Assert.Single((await StatusAsync(fleet[held.Destination])).Reservations);
        Assert.Equal((held.Container, "node1"), (room.Container, room.From));
        FleetClaims claims = FleetClaims.None;
        await UntilAsync(async () => (claims = await fleet["node2"].Service<IFleetRegister>().LookAsync([], default)).Pending.Sum(share => share.Containers) == 2);
        Assert.Equal(2 * (64L << 20), claims.Pending.Sum(share => share.Memory));
        Assert.Empty((await fleet["node1"].Service<IFleetRegister>().LookAsync([], default)).Pending);

        Volatile.Write(ref hold, false);
        Assert.Equal(EvacuationPhase.Done, (await fleet["node1"].WaitForEndAsync(started.Id)).State);
        await UntilAsync(async () => (await fleet["node2"].Service<IFleetRegister>().LookAsync([], default)).Pending.Count == 0
            && (await fleet["node2"].Service<IFleetRegister>().ReservationsAsync(default)).Count == 0);
    }

    [Fact]
    public void Reduce_OthersPlans_LeaveLessRoom()
    {
        PeerView peer = new() { Name = "node2", Host = null };
        FleetClaims claims = new([new PlanShare("node2", 100, 10, 1), new PlanShare("node2", 50, 5, 1), new PlanShare("node3", 1, 1, 1)], new Dictionary<string, string>());

        Assert.Null(claims.Reduce([peer])[0].Host);
        HostReport host = new()
        {
            Node = "node2", BootId = "", AgentVersion = "", ProtocolVersion = 1, Kernel = "", MemoryTotal = 1000, MemoryAvailable = 500, MemoryReserved = 0, DiskAvailable = 100, Cpus = 1, LoadAverage = 0, InboundOpen = true, Requirements = [],
        };
        HostReport reduced = claims.Reduce([peer with { Host = host }])[0].Host!;
        Assert.Equal((350L, 85L), (reduced.MemoryAvailable, reduced.DiskAvailable));
    }

    private static async Task<string?> OwnerAsync(TestFleet fleet, string name)
    {
        EtcdFleet store = fleet["node1"].Service<EtcdFleet>();
        EtcdRangeResponse found = await store.Client.RangeAsync(new EtcdRangeRequest { Key = store.Keys.Container(name) }, default);
        return found.Kvs is [var pair] ? EtcdRecords.Read<OwnerRecord>(pair)?.Node : null;
    }

    private static async Task<NodeStatus> StatusAsync(TestNode node)
    {
        using BrainClient client = node.Client();
        return await client.GetAsync<NodeStatus>(ApiRoutes.Status, default);
    }

    private static async Task<PlanReply> PlanAsync(TestNode node)
    {
        using BrainClient client = node.Client();
        return await client.GetAsync<PlanReply>(ApiRoutes.Plan, default);
    }

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        while (!await condition())
            await Task.Delay(20, limit.Token);
    }
}
