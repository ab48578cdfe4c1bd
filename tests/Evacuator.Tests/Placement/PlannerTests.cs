using Evacuator.Common.AgentApi;
using Evacuator.Placement;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Placement;

public sealed class PlannerTests
{
    private const long GiB = 1L << 30;

    private static readonly PlacementPolicy Policy = new(0, TimeSpan.FromSeconds(10));

    [Fact]
    public void Make_EqualPeers_SpreadsByWhatIsLeftAfterwards()
    {
        Plan plan = Planner.Make(Containers(4, GiB), [Peer("b", 8), Peer("a", 8)], Policy);

        Assert.True(plan.Complete);
        Assert.Equal(["a", "b", "a", "b"], plan.Containers.Select(container => container.Destination));
        Assert.Equal([6 * GiB, 6 * GiB], plan.Peers.Select(peer => peer.FreeAfter));
    }

    [Fact]
    public void Make_DifferentPeers_FillsTheOneWithTheLargerShareFree()
    {
        // 30 of 64 GiB free is less of its own than 15 of 16.
        Plan plan = Planner.Make(Containers(1, GiB), [Peer("big", 30, total: 64), Peer("small", 15, total: 16)], Policy);
        Assert.Equal("small", plan.Containers[0].Destination);
    }

    [Fact]
    public void Make_Priorities_MostAtRiskFirstThenLargestThenName()
    {
        List<ContainerReport> containers =
        [
            FakeRack.Container("small", GiB), FakeRack.Container("large", 2 * GiB), FakeRack.Container("also-large", 2 * GiB),
            FakeRack.Container("urgent", 1, annotations: ("evacuator.priority", "90")), FakeRack.Container("later", 3 * GiB, annotations: ("evacuator.priority", "10")),
        ];
        Plan plan = Planner.Make(containers, [Peer("a", 100, total: 128)], Policy);
        Assert.Equal(["urgent", "also-large", "large", "small", "later"], plan.Containers.Select(container => container.Container.Name));
    }

    [Fact]
    public void Make_ReservePercent_IsKeptFreeAndNamedInTheBlocker()
    {
        // 10 free of 100, 5 % of 100 reserved: room for 5.
        PeerView peer = Peer("a", 10, total: 100);
        Assert.True(Planner.Make(Containers(1, 5 * GiB), [peer], Policy with { MemoryReservePercent = 5 }).Complete);
        Plan refused = Planner.Make(Containers(1, 5 * GiB + 1), [peer], Policy with { MemoryReservePercent = 5 });
        Blocker blocker = Assert.Single(refused.Containers[0].Blockers);
        Assert.Equal(BlockerCode.NotEnoughMemory, blocker.Code);
        Assert.Contains("a has 5 GiB", blocker.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Make_Spread_NeverTwoOfAGroupOnOneNode()
    {
        List<ContainerReport> containers = [.. Enumerable.Range(1, 3).Select(i => FakeRack.Container($"db{i}", GiB, annotations: ("evacuator.spread", "db")))];
        Plan plan = Planner.Make(containers, [Peer("a", 50), Peer("b", 50), Peer("c", 50) with { SpreadGroups = ["db"] }], Policy);

        Assert.Equal(["a", "b", null], plan.Containers.Select(container => container.Destination));
        Assert.Equal(3, plan.Containers[2].Blockers.Count);
    }

    [Theory]
    [InlineData("stay", BlockerCode.PolicyStay)]
    [InlineData("Stay put", BlockerCode.PolicyStay)] // not understood must not mean "move it"
    public void Make_PolicyStay_IsLeftAlone(string policy, BlockerCode code)
    {
        Plan plan = Planner.Make([FakeRack.Container("c", GiB, annotations: ("evacuator.policy", policy))], [Peer("a", 8)], Policy);
        Assert.Equal(code, Assert.Single(plan.Containers[0].Blockers).Code);
    }

    [Fact]
    public void Make_ContainerWithBlockers_KeepsThemAndTakesNoRoom()
    {
        ContainerReport blocked = FakeRack.Container("ring", 4 * GiB) with { Blockers = [new Blocker(BlockerCode.IoUring, "pid 7 holds an io_uring")] };
        Plan plan = Planner.Make([blocked, FakeRack.Container("ok", 4 * GiB)], [Peer("a", 4)], Policy);

        Assert.Equal("a", plan.Containers.Single(container => container.Container.Name == "ok").Destination);
        Assert.Equal([BlockerCode.IoUring], plan.Containers.Single(container => container.Container.Name == "ring").Blockers.Select(blocker => blocker.Code));
    }

    [Fact]
    public void Make_Stopped_IsNamedNotMoved() =>
        Assert.Equal(BlockerCode.NotRunning, Assert.Single(Planner.Make([FakeRack.Container("c", state: "stopped")], [Peer("a", 8)], Policy).Containers[0].Blockers).Code);

    [Fact]
    public void Make_NoPeerUsable_SaysWhyForEachPeer()
    {
        PeerView closed = Peer("a", 8) with { Excluded = new ExcludedPeer("a", BlockerCode.AdmissionClosed, "being emptied") };
        PeerView dead = new() { Name = "b", Excluded = new ExcludedPeer("b", BlockerCode.PeerUnreachable, "no route") };
        Plan plan = Planner.Make(Containers(1, GiB), [closed, dead], Policy);

        Blocker blocker = Assert.Single(plan.Containers[0].Blockers);
        Assert.Equal(BlockerCode.NoPeer, blocker.Code);
        Assert.Contains("a: being emptied; b: no route", blocker.Text, StringComparison.Ordinal);
        Assert.Equal(["a", "b"], plan.ExcludedPeers.Select(peer => peer.Name));
    }

    [Fact]
    public void Make_PeerThatClaimsMoreThanItHas_CountsWithItsTotal() =>
        Assert.False(Planner.Make(Containers(1, 20 * GiB), [Peer("liar", 1000, total: 16)], Policy).Complete);

    [Theory]
    [InlineData("300ms", 300)]
    [InlineData("2s", 2000)]
    [InlineData("soon", 10_000)]
    [InlineData("0s", 10_000)]
    public void Make_FreezeBudget_IsTheContainersOrTheNodes(string annotation, int expected) =>
        Assert.Equal(expected, Planner.Make([FakeRack.Container("c", annotations: ("evacuator.freeze-budget", annotation))], [Peer("a", 8)], Policy).Containers[0].FreezeBudgetMs);

    /// <summary>Whatever the fleet looks like: no peer is over-filled, nobody is forgotten, groups stay apart, and the order of the input does not matter.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void Make_RandomFleets_KeepTheRules(int seed)
    {
        Random random = new(seed);
        for (int round = 0; round < 200; round++)
        {
            List<PeerView> peers = [.. Enumerable.Range(0, random.Next(0, 6)).Select(i => Peer($"p{i}", random.Next(0, 32), total: 32) with { SpreadGroups = random.Next(4) == 0 ? ["g1"] : [] })];
            List<ContainerReport> containers =
            [
                .. Enumerable.Range(0, random.Next(0, 20)).Select(i => FakeRack.Container($"c{i}", random.NextInt64(0, 12 * GiB),
                    annotations: [("evacuator.priority", $"{random.Next(0, 101)}"), ("evacuator.spread", $"g{random.Next(0, 8)}")])),
            ];
            PlacementPolicy policy = new(random.Next(0, 20), TimeSpan.FromSeconds(1));

            Plan plan = Planner.Make(containers, peers, policy);

            Assert.Equal(containers.Select(container => container.Name).Order(), plan.Containers.Select(planned => planned.Container.Name).Order());
            Assert.All(plan.Containers, planned => Assert.True(planned.Destination is null ^ planned.Blockers.Count == 0));
            foreach (PeerView peer in peers)
            {
                List<PlannedContainer> taken = [.. plan.Containers.Where(planned => planned.Destination == peer.Name)];
                Assert.True(taken.Sum(planned => planned.Container.MemoryBytes) <= Math.Max(0, peer.Host!.MemoryAvailable - peer.Host.MemoryTotal * policy.MemoryReservePercent / 100) + 1);
                List<string> groups = [.. taken.Select(planned => planned.Container.Annotations["evacuator.spread"]), .. peer.SpreadGroups];
                Assert.Equal(groups.Distinct().Count(), groups.Count);
            }

            Plan again = Planner.Make(containers.Shuffle(), peers.Shuffle(), policy);
            Assert.Equal(plan.Containers.Select(planned => (planned.Container.Name, planned.Destination)), again.Containers.Select(planned => (planned.Container.Name, planned.Destination)));
        }
    }

    private static List<ContainerReport> Containers(int count, long memory) => [.. Enumerable.Range(1, count).Select(i => FakeRack.Container($"c{i}", memory))];

    private static PeerView Peer(string name, long freeGiB, long total = 64) => new()
    {
        Name = name,
        Host = new HostReport
        {
            Node = name, BootId = "b", AgentVersion = "1", ProtocolVersion = 1, Kernel = "6.12", MemoryTotal = total * GiB, MemoryAvailable = freeGiB * GiB, MemoryReserved = 0,
            DiskAvailable = 1000 * GiB, Cpus = 8, LoadAverage = 0, InboundOpen = true, Requirements = [],
        },
    };
}
