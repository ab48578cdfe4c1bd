using Evacuator.Common.AgentApi;
using Evacuator.Homecoming;
using Evacuator.Placement;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Homecoming;

/// <summary>Who comes home, in which order, and who has to make room. Memory in GiB; a node has 16 of which none is kept as reserve.</summary>
public sealed class HomecomingPlannerTests
{
    private static readonly PlacementPolicy s_policy = new(0, TimeSpan.FromSeconds(1));

    [Fact]
    public void Plan_RoomForAll_BringsEachHomeInOneStep()
    {
        HomecomingPlan plan = Plan(free: 8, peers: [Node("b", 1), Node("c", 1)], away: [Away("b", "x", 2), Away("c", "y", 3)]);

        Assert.Equal(["1 BringHome y c>a", "2 BringHome x b>a"], Steps(plan));
        Assert.True(plan.Complete);
    }

    [Fact]
    public void Plan_PlaceTaken_GuestGoesToItsOwnHomeFirst()
    {
        HomecomingPlan plan = Plan(free: 1, peers: [Node("b", 1), Node("c", 8)], away: [Away("b", "x", 4)], guests: [Guest("g", "c", 4)]);

        Assert.Equal(["1 MakeRoom g a>c", "2 BringHome x b>a after 1"], Steps(plan));
    }

    [Fact]
    public void Plan_BothWaitForEachOthersPlace_SwapsByAThirdNode()
    {
        HomecomingPlan plan = Plan(free: 0, peers: [Node("b", 0), Node("c", 5)], away: [Away("b", "x", 4)], guests: [Guest("g", "b", 4)]);

        Assert.Equal(["1 MakeRoom g a>c", "2 BringHome x b>a after 1", "3 SendHome g c>b after 2"], Steps(plan));
    }

    [Fact]
    public void Plan_SwapWithoutAThirdPlace_StaysAndSaysWhoIsInTheWay()
    {
        HomecomingPlan plan = Plan(free: 0, peers: [Node("b", 0), Node("c", 3)], away: [Away("b", "x", 4)], guests: [Guest("g", "b", 4)]);

        Assert.Empty(plan.Steps);
        StayingAway staying = Assert.Single(plan.Staying);
        Assert.Contains("g of b", Assert.Single(staying.Blockers).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Plan_HomeOfTheGuestOutOfReach_GuestGoesWhereMostIsFree()
    {
        HomecomingPlan plan = Plan(free: 0, peers: [Node("b", 4), Node("c", 6), Gone("d")], away: [Away("b", "x", 2)], guests: [Guest("g", "d", 2)]);

        Assert.Equal(["1 MakeRoom g a>c", "2 BringHome x b>a after 1"], Steps(plan));
    }

    [Fact]
    public void Plan_SeveralGuests_SmallestThatSufficesLeaves()
    {
        HomecomingPlan plan = Plan(free: 1, peers: [Node("b", 9), Node("c", 9)], away: [Away("b", "x", 3)], guests: [Guest("big", "c", 6), Guest("small", "c", 1), Guest("middle", "c", 2)]);

        Assert.Equal(["1 MakeRoom middle a>c", "2 BringHome x b>a after 1"], Steps(plan));
    }

    [Fact]
    public void Plan_NoSingleGuestSuffices_LargestLeaveUntilItFits()
    {
        HomecomingPlan plan = Plan(free: 0, peers: [Node("b", 9), Node("c", 9)], away: [Away("b", "x", 5)], guests: [Guest("one", "c", 1), Guest("two", "c", 2), Guest("three", "c", 3)]);

        Assert.Equal(["1 MakeRoom three a>c", "2 MakeRoom two a>c", "3 BringHome x b>a after 1 2"], Steps(plan));
    }

    [Fact]
    public void Plan_OwnContainersFillTheHome_NobodyOfThemIsSentAway()
    {
        HomecomingPlan plan = Plan(free: 1, peers: [Node("b", 9)], away: [Away("b", "x", 4)], here: [FakeRack.Container("mine", 14L << 30)]);

        Assert.Empty(plan.Steps);
        Assert.Equal(BlockerCode.NotEnoughMemory, Assert.Single(Assert.Single(plan.Staying).Blockers).Code);
    }

    [Fact]
    public void Plan_GuestHasTheName_LeavesAlthoughThereIsRoom()
    {
        HomecomingPlan plan = Plan(free: 9, peers: [Node("b", 9), Node("c", 9)], away: [Away("b", "x", 1)], guests: [Guest("x", "c", 1)]);

        Assert.Equal(["1 MakeRoom x a>c", "2 BringHome x b>a after 1"], Steps(plan));
    }

    [Fact]
    public void Plan_OwnContainerHasTheName_StaysAway()
    {
        HomecomingPlan plan = Plan(free: 9, peers: [Node("b", 9)], away: [Away("b", "x", 1)], here: [FakeRack.Container("x")]);

        Assert.Equal(BlockerCode.NameTaken, Assert.Single(Assert.Single(plan.Staying).Blockers).Code);
    }

    [Fact]
    public void Plan_RoomForSomeOnly_MostImportantComeFirstAndTheOthersAreNamed()
    {
        HomecomingPlan plan = Plan(free: 5, peers: [Node("b", 9)], away: [Away("b", "low", 4, 10), Away("b", "high", 4, 90)]);

        Assert.Equal(["1 BringHome high b>a"], Steps(plan));
        Assert.Equal("low", Assert.Single(plan.Staying).Container);
        Assert.False(plan.Complete);
    }

    [Fact]
    public void Plan_HomeClosed_SaysSoForEach()
    {
        HomecomingPlan plan = HomecomingPlanner.Make(new HomecomingSituation
        {
            Home = "a",
            Nodes = [Gone("a"), Node("b", 9)],
            Here = [],
            Guests = [],
            Away = [Away("b", "x", 1)],
            NotAsked = [],
        }, s_policy);

        Assert.Equal(BlockerCode.AdmissionClosed, Assert.Single(Assert.Single(plan.Staying).Blockers).Code);
    }

    [Fact]
    public void Plan_OnlyANameThatNobodyHas_IsNamedWithWhatThereIs()
    {
        HomecomingPlan plan = HomecomingPlanner.Make(Situation(9, [Node("b", 9)], [Away("b", "web", 1)]) with { Only = ["wbe"] }, s_policy);

        Assert.Empty(plan.Steps);
        Assert.False(plan.Complete);
        StayingAway unknown = Assert.Single(plan.Staying);
        Assert.Equal(("wbe", ""), (unknown.Container, unknown.At));
        Assert.Contains("web (b)", Assert.Single(unknown.Blockers).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Plan_OnlyANameThatIsAtHomeOrAGuest_SaysWhich()
    {
        PresentGuest guest = Guest("guest", "b", 1);
        HomecomingPlan plan = HomecomingPlanner.Make(Situation(9, [Node("b", 9)], [Away("b", "web", 1)], [guest], [Sized("db", 1)]) with { Only = ["web", "db", "guest"] }, s_policy);

        Assert.Equal(["1 BringHome web b>a"], Steps(plan));
        Assert.Equal(["db"], plan.AtHome);
        Assert.Contains("belongs to b", Assert.Single(Assert.Single(plan.Staying).Blockers).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Plan_OnlyAndSkip_LeaveTheOthersAway()
    {
        AwayContainer[] away = [Away("b", "x", 1), Away("b", "y", 1), Away("b", "z", 1)];

        Assert.Equal(["1 BringHome y b>a"], Steps(HomecomingPlanner.Make(Situation(9, [Node("b", 9)], away) with { Only = ["y"] }, s_policy)));
        Assert.Equal(["1 BringHome y b>a"], Steps(HomecomingPlanner.Make(Situation(9, [Node("b", 9)], away) with { Skip = ["x", "z"] }, s_policy)));
    }

    [Fact]
    public void Plan_AnyOrderOfInput_IsTheSame()
    {
        PresentGuest[] guests = [Guest("g1", "b", 3), Guest("g2", "c", 3), Guest("g3", "c", 3)];
        AwayContainer[] away = [Away("b", "x", 3), Away("c", "y", 3), Away("b", "z", 2)];
        PeerView[] peers = [Node("b", 3), Node("c", 4), Node("d", 5)];

        string[] plan = Steps(Plan(1, peers, away, guests));

        Assert.Equal(plan, Steps(Plan(1, [.. peers.Reverse()], [.. away.Reverse()], [.. guests.Reverse()])));
        Assert.NotEmpty(plan);
    }

    /// <summary>Whatever the situation: done in order, no step asks a node for more than it has, and nobody is sent away who belongs here.</summary>
    [Fact]
    public void Plan_ManySituations_NeverOverfillsANode()
    {
        Random random = new(7);
        int steps = 0;
        for (int round = 0; round < 500; round++)
        {
            string[] others = ["b", "c", "d"];
            Dictionary<string, long> free = new() { ["a"] = random.Next(4), ["b"] = random.Next(5), ["c"] = random.Next(5), ["d"] = random.Next(5) };
            List<PresentGuest> guests = [.. Enumerable.Range(0, random.Next(4)).Select(i => Guest($"g{i}", others[random.Next(3)], random.Next(1, 5)))];
            List<AwayContainer> away = [.. Enumerable.Range(0, random.Next(5)).Select(i => Away(others[random.Next(3)], $"x{i}", random.Next(1, 5)))];
            HomecomingPlan plan = Plan(free["a"], [.. others.Select(name => Node(name, free[name]))], [.. away], [.. guests]);

            foreach (PlannedStep step in plan.Steps)
            {
                long size = step.Container.MemoryBytes >> 30;
                Assert.True(free[step.To] >= size, $"round {round}, step {step.Number}: {step.To} has {free[step.To]}, {size} needed");
                free[step.To] -= size;
                free[step.From] += size;
                Assert.All(step.After, before => Assert.True(before < step.Number));
                steps++;
            }

            Assert.Equal(away.Count, plan.Coming + plan.Staying.Count);
        }

        Assert.True(steps > 500, $"only {steps} steps were looked at");
    }

    private static HomecomingPlan Plan(long free, PeerView[] peers, AwayContainer[] away, PresentGuest[]? guests = null, ContainerReport[]? here = null) =>
        HomecomingPlanner.Make(Situation(free, peers, away, guests, here), s_policy);

    private static HomecomingSituation Situation(long free, PeerView[] peers, AwayContainer[] away, PresentGuest[]? guests = null, ContainerReport[]? here = null) => new()
    {
        Home = "a",
        Nodes = [Node("a", free), .. peers],
        Here = [.. here ?? [], .. (guests ?? []).Select(guest => guest.Container)],
        Guests = guests ?? [],
        Away = away,
        NotAsked = [],
    };

    private static string[] Steps(HomecomingPlan plan) =>
    [
        .. plan.Steps.Select(step => $"{step.Number} {step.Kind} {step.Container.Name} {step.From}>{step.To}{(step.After.Count > 0 ? $" after {string.Join(' ', step.After)}" : "")}"),
    ];

    private static AwayContainer Away(string at, string name, long gib, int priority = 50) => new(at, Sized(name, gib, priority));

    private static PresentGuest Guest(string name, string home, long gib) => new(Sized(name, gib), home, home, DateTimeOffset.UnixEpoch);

    private static ContainerReport Sized(string name, long gib, int priority = 50) =>
        FakeRack.Container(name, gib << 30, annotations: ("evacuator.priority", $"{priority}")) with { Addresses = [] };

    private static PeerView Gone(string name) => new() { Name = name, Excluded = new ExcludedPeer(name, BlockerCode.PeerUnreachable, "does not answer") };

    private static PeerView Node(string name, long freeGib) => new()
    {
        Name = name,
        Host = new HostReport
        {
            Node = name,
            BootId = "boot",
            AgentVersion = "test",
            ProtocolVersion = 1,
            Kernel = "6.12",
            MemoryTotal = 16L << 30,
            MemoryAvailable = freeGib << 30,
            MemoryReserved = 0,
            DiskAvailable = 100L << 30,
            Cpus = 8,
            LoadAverage = 0,
            InboundOpen = true,
            Requirements = [],
        },
    };
}
