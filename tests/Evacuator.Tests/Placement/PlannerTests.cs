using System.Diagnostics;
using Evacuator.Common.AgentApi;
using Evacuator.Placement;
using Evacuator.Tests.Fakes;
using Xunit.Abstractions;

namespace Evacuator.Tests.Placement;

public sealed class PlannerTests(ITestOutputHelper output)
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

    /// <summary>Priority decides first; then whoever uses what is failing, by any of its names; then size.</summary>
    [Theory]
    [InlineData("DIMM A1")]
    [InlineData("proc 1 dimm 4")]
    [InlineData("S4X")]
    [InlineData("Fan 3, serial S4X")]
    public void Make_PartFails_WhoUsesItLeavesFirstOfItsPriority(string parts)
    {
        List<ContainerReport> containers =
        [
            FakeRack.Container("large", 2 * GiB), FakeRack.Container("owner", GiB, annotations: ("evacuator.parts", parts)),
            FakeRack.Container("other-part", 3 * GiB, annotations: ("evacuator.parts", "DIMM A2, DIMM A11")), FakeRack.Container("urgent", 1, annotations: ("evacuator.priority", "90")),
        ];
        PlacementPolicy policy = Policy with { Failing = new Evacuator.Journal.Fault("DIMM A1, M393A4K40, part 815100-B21, serial S4X", "PROC 1 DIMM 4") };
        Assert.Equal(["urgent", "owner", "other-part", "large"], Planner.Make(containers, [Peer("a", 100, total: 128)], policy).Containers.Select(container => container.Container.Name));
        Assert.Equal(["urgent", "other-part", "large", "owner"], Planner.Make(containers, [Peer("a", 100, total: 128)], Policy).Containers.Select(container => container.Container.Name));
    }

    /// <summary>Each kind of reason that a plan can have, one peer and one container at a time.</summary>
    [Theory]
    [InlineData(BlockerCode.NotEnoughMemory)]
    [InlineData(BlockerCode.NotEnoughDisk)]
    [InlineData(BlockerCode.NameTaken)]
    [InlineData(BlockerCode.AddressTaken)]
    [InlineData(BlockerCode.CpuFeatures)]
    [InlineData(BlockerCode.KernelTooOld)]
    [InlineData(BlockerCode.CriuTooOld)]
    [InlineData(BlockerCode.SpreadRule)]
    [InlineData(BlockerCode.GroupRule)]
    [InlineData(BlockerCode.ZoneRule)]
    [InlineData(BlockerCode.PolicyStay)]
    [InlineData(BlockerCode.NotRunning)]
    [InlineData(BlockerCode.UnsupportedDevice)]
    [InlineData(BlockerCode.IoUring)]
    [InlineData(BlockerCode.NoPeer)]
    public void Make_EachObstacle_IsReportedByItsName(BlockerCode code)
    {
        ContainerReport container = FakeRack.Container("c", GiB);
        PeerView peer = Peer("a", 60);
        HostReport here = Peer("here", 8).Host! with { CpuFeatures = ["avx"], Kernel = "6.12.48", Requirements = [new Requirement("criu", true, "Version: 4.2", "", BlockerCode.CriuTooOld)] };
        HostReport there = peer.Host! with { CpuFeatures = ["avx"], Kernel = "6.12.48", Requirements = here.Requirements };
        PlacementPolicy policy = Policy with { From = new Origin("here", "z1", Host: here) };
        List<ContainerReport> containers = [container];
        peer = peer with { Host = there };
        // Nothing is in the way, but for the one thing that follows.
        Assert.True(Planner.Make(containers, [peer], policy).Complete);
        switch (code)
        {
            case BlockerCode.NotEnoughMemory: peer = peer with { Host = there with { MemoryAvailable = GiB / 2 } }; break;
            case BlockerCode.NotEnoughDisk: peer = peer with { Host = there with { DiskAvailable = 1 << 20 } }; break;
            case BlockerCode.NameTaken: peer = peer with { Names = new HashSet<string> { "c" } }; break;
            case BlockerCode.AddressTaken: peer = peer with { Addresses = new HashSet<string> { UnitMember.WithoutPrefix(container.Addresses[0]) } }; break;
            case BlockerCode.CpuFeatures: peer = peer with { Host = there with { CpuFeatures = [] } }; break;
            case BlockerCode.KernelTooOld: peer = peer with { Host = there with { Kernel = "6.11.9" } }; break;
            case BlockerCode.CriuTooOld: peer = peer with { Host = there with { Requirements = [new Requirement("criu", true, "Version: 4.1", "", BlockerCode.CriuTooOld)] } }; break;
            case BlockerCode.SpreadRule:
                containers = [FakeRack.Container("c", GiB, annotations: ("evacuator.spread", "db"))];
                peer = peer with { SpreadGroups = ["db"] };
                break;
            case BlockerCode.GroupRule:
                containers = [FakeRack.Container("c", GiB, annotations: ("evacuator.group", "g")), FakeRack.Container("d", 80 * GiB, annotations: ("evacuator.group", "g"))];
                break;
            case BlockerCode.ZoneRule: containers = [FakeRack.Container("c", GiB, annotations: ("evacuator.zone", "z9"))]; break;
            case BlockerCode.PolicyStay: containers = [FakeRack.Container("c", GiB, annotations: ("evacuator.policy", "stay"))]; break;
            case BlockerCode.NotRunning: containers = [container with { State = "paused" }]; break;
            case BlockerCode.NoPeer: peer = peer with { Excluded = new ExcludedPeer("a", BlockerCode.PeerUnreachable, "no route") }; break;
            default: containers = [container with { Blockers = [new Blocker(code, "found by the agent")] }]; break;
        }

        Plan plan = Planner.Make(containers, [peer], policy);
        PlannedContainer planned = plan.Containers.Single(each => each.Container.Name == "c");
        Assert.Null(planned.Destination);
        Assert.Equal(code, planned.Blockers[0].Code);
        Assert.NotEmpty(planned.Blockers[0].Text);
    }

    [Fact]
    public void Make_ReservePercent_IsKeptFreeAndNamedInTheBlocker()
    {
        // 15 free of 100, 5 % of 100 reserved: room for one of 5, which takes twice that while it arrives.
        PeerView peer = Peer("a", 15, total: 100);
        Assert.True(Planner.Make(Containers(1, 5 * GiB), [peer], Policy with { MemoryReservePercent = 5 }).Complete);
        Plan refused = Planner.Make(Containers(1, 5 * GiB + 1), [peer], Policy with { MemoryReservePercent = 5 });
        Blocker blocker = Assert.Single(refused.Containers[0].Blockers);
        Assert.Equal(BlockerCode.NotEnoughMemory, blocker.Code);
        Assert.Contains("a has 10 GiB", blocker.Text, StringComparison.Ordinal);
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
    [InlineData("evacuator.freeze-budget", "300", "not a duration")]
    [InlineData("evacuator.priority", "high", "taken for 50")]
    [InlineData("evacuator.least-speed", "200", "5 to 100")]
    [InlineData("evacuator.polcy", "cold", "evacuator.policy")]
    public void Make_AnnotationThatCannotBeUnderstood_IsNamedInThePlan(string key, string value, string told)
    {
        Plan plan = Planner.Make([FakeRack.Container("c", GiB, annotations: (key, value))], [Peer("a", 8)], Policy);

        string mistake = Assert.Single(Assert.Single(plan.Containers).Mistakes);
        Assert.StartsWith(key, mistake, StringComparison.Ordinal);
        Assert.Contains(told, mistake, StringComparison.Ordinal);
        using StringWriter shown = new();
        Evacuator.Cli.Show.Plan(new Evacuator.Api.PlanReply(plan, "", []), shown);
        Assert.Contains(mistake, shown.ToString(), StringComparison.Ordinal);
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
        Plan plan = Planner.Make([blocked, FakeRack.Container("ok", 4 * GiB)], [Peer("a", 8)], Policy);

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

    [Fact]
    public void Make_Group_GoesTogetherInItsOrderOrNotAtAll()
    {
        List<ContainerReport> group =
        [
            FakeRack.Container("web", GiB, annotations: [("evacuator.group", "shop"), ("evacuator.order", "2")]),
            FakeRack.Container("db", 3 * GiB, annotations: [("evacuator.group", "shop"), ("evacuator.order", "1")]),
        ];
        Plan plan = Planner.Make([.. group, FakeRack.Container("alone", 2 * GiB)], [Peer("a", 20), Peer("b", 20)], Policy);
        Assert.Equal(["db", "web", "alone"], plan.Containers.Select(planned => planned.Container.Name));
        Assert.Equal(plan.Containers[0].Destination, plan.Containers[1].Destination);
        Assert.NotEqual(plan.Containers[0].Destination, plan.Containers[2].Destination);

        // Each alone would fit on a peer of its own, both together on none.
        Plan apart = Planner.Make(group, [Peer("a", 6), Peer("b", 6)], Policy);
        Assert.All(apart.Containers, planned => Assert.Equal((null, BlockerCode.GroupRule), (planned.Destination, planned.Blockers[0].Code)));

        Plan kept = Planner.Make([group[0], group[1] with { Blockers = [new Blocker(BlockerCode.IoUring, "ring")] }], [Peer("a", 20)], Policy);
        Assert.Contains("db of its group shop cannot go", Assert.Single(kept.Containers.Single(planned => planned.Container.Name == "web").Blockers).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Make_SpreadOverRacks_CountsMembersOnPeersThatGetNothingToo()
    {
        PeerView[] peers =
        [
            Peer("a", 50) with { Zone = "z", Rack = "r1" }, Peer("b", 50) with { Zone = "z", Rack = "r2" }, Peer("c", 50) with { Zone = "z", Rack = "r3" },
            Peer("d", 50) with { Zone = "z", Rack = "r3", SpreadGroups = ["db"], Excluded = new ExcludedPeer("d", BlockerCode.PeerDegraded, "DIMM") },
        ];
        List<ContainerReport> containers = [.. Enumerable.Range(1, 3).Select(i => FakeRack.Container($"db{i}", GiB, annotations: [("evacuator.spread", "db"), ("evacuator.spread-over", "rack")]))];
        Plan plan = Planner.Make(containers, peers, Policy);

        Assert.Equal(["a", "b", null], plan.Containers.Select(planned => planned.Destination));
        Assert.All(plan.Containers[2].Blockers, blocker => Assert.Equal(BlockerCode.SpreadRule, blocker.Code));
    }

    [Fact]
    public void Make_MemberThatStays_KeepsItsPlaceInTheSpread()
    {
        ContainerReport stays = FakeRack.Container("db1", GiB, annotations: [("evacuator.spread", "db"), ("evacuator.policy", "stay")]);
        ContainerReport goes = FakeRack.Container("db2", GiB, annotations: [("evacuator.spread", "db"), ("evacuator.spread-over", "zone")]);
        PlacementPolicy here = Policy with { From = new Origin("here", "z1", "r1") };
        Plan plan = Planner.Make([stays, goes], [Peer("a", 50) with { Zone = "z1" }, Peer("b", 9) with { Zone = "z2" }], here);
        Assert.Equal("b", plan.Containers.Single(planned => planned.Container.Name == "db2").Destination);
    }

    [Fact]
    public void Make_Zones_TheOwnIsPreferredAndADemandIsKept()
    {
        PlacementPolicy here = Policy with { From = new Origin("here", "z1") };
        PeerView[] peers = [Peer("far", 60) with { Zone = "z2" }, Peer("near", 58) with { Zone = "z1" }];
        Plan plan = Planner.Make([FakeRack.Container("c", GiB), FakeRack.Container("must", GiB, annotations: ("evacuator.zone", "z2 z3"))], peers, here);
        Assert.Equal("near", plan.Containers.Single(planned => planned.Container.Name == "c").Destination);
        Assert.Equal("far", plan.Containers.Single(planned => planned.Container.Name == "must").Destination);

        Plan nowhere = Planner.Make([FakeRack.Container("must", GiB, annotations: ("evacuator.zone", "z3"))], peers, here);
        Assert.Equal([BlockerCode.ZoneRule, BlockerCode.ZoneRule], nowhere.Containers[0].Blockers.Select(blocker => blocker.Code));
    }

    [Fact]
    public void Make_BusyProcessors_CountLikeMemory()
    {
        PeerView busy = Peer("a", 60);
        Plan plan = Planner.Make([FakeRack.Container("c", GiB)], [busy with { Host = busy.Host! with { LoadAverage = 7 } }, Peer("b", 30)], Policy);
        Assert.Equal("b", plan.Containers[0].Destination);
    }

    [Fact]
    public void Make_FilesKeptThere_AreWorthGoingBackFor()
    {
        PeerView was = Peer("b", 40);
        was = was with { Host = was.Host! with { KeptBundles = ["/var/lib/containers/c"] } };
        Assert.Equal("b", Planner.Make([FakeRack.Container("c", GiB)], [Peer("a", 41), was], Policy).Containers[0].Destination);
        Assert.Equal("a", Planner.Make([FakeRack.Container("other", GiB)], [Peer("a", 41), was], Policy).Containers[0].Destination);
    }

    [Fact]
    public void Make_OlderOrLesserPeer_IsNoPlaceForALiveMoveAndFineForAStoppedOne()
    {
        HostReport here = Peer("here", 8).Host! with { CpuFeatures = ["avx", "avx512f"], Kernel = "6.12.48+deb13-amd64", Requirements = [new Requirement("criu", true, "Version: 4.2.1", "", BlockerCode.CriuTooOld)] };
        HostReport there = here with { CpuFeatures = ["avx"], Kernel = "6.11.9-amd64", Requirements = [new Requirement("criu", true, "Version: 4.1", "", BlockerCode.CriuTooOld)] };
        PlacementPolicy policy = Policy with { From = new Origin("here", Host: here) };
        PeerView peer = Peer("a", 8) with { Host = there };

        Plan live = Planner.Make([FakeRack.Container("c", GiB)], [peer], policy);
        Assert.Equal(BlockerCode.CpuFeatures, Assert.Single(live.Containers[0].Blockers).Code);
        Assert.Contains("avx512f", live.Containers[0].Blockers[0].Text, StringComparison.Ordinal);
        Assert.Equal([BlockerCode.CpuFeatures, BlockerCode.KernelTooOld, BlockerCode.CriuTooOld], Compatibility.WhyNotLive(policy.From, "a", there).Select(blocker => blocker.Code));
        Assert.Empty(Compatibility.WhyNotLive(policy.From, "a", there with { CpuFeatures = null, Kernel = "6.12.1", Requirements = here.Requirements }));

        Plan stopped = Planner.Make([FakeRack.Container("c", GiB, annotations: ("evacuator.policy", "stop"))], [peer], policy);
        Assert.Equal(("a", MoveMode.StopAndStart), (stopped.Containers[0].Destination, stopped.Containers[0].Mode));
    }

    [Theory]
    [InlineData("live", null, MoveMode.Live)]
    [InlineData("cold", "a", MoveMode.StopAndStart)]
    public void Make_WhatCannotBeDumped_IsStoppedOnlyWherePermitted(string policy, string? destination, MoveMode mode)
    {
        ContainerReport ring = FakeRack.Container("ring", GiB, annotations: ("evacuator.policy", policy)) with { Blockers = [new Blocker(BlockerCode.IoUring, "pid 7 holds an io_uring")] };
        PlannedContainer planned = Planner.Make([ring], [Peer("a", 8)], Policy).Containers[0];
        Assert.Equal((destination, mode), (planned.Destination, destination is null ? MoveMode.Live : planned.Mode));

        // A mount that another host does not have is no better after a restart.
        ContainerReport mount = ring with { Blockers = [.. ring.Blockers, new Blocker(BlockerCode.UnsupportedMount, "nfs")] };
        Assert.Null(Planner.Make([mount], [Peer("a", 8)], Policy).Containers[0].Destination);
    }

    [Fact]
    public void Make_NameOrAddressThere_IsNoPlace()
    {
        ContainerReport container = FakeRack.Container("c", GiB);
        PeerView named = Peer("a", 60) with { Names = new HashSet<string> { "c" } };
        PeerView addressed = Peer("b", 60) with { Addresses = new HashSet<string> { UnitMember.WithoutPrefix(container.Addresses[0]) } };
        Plan plan = Planner.Make([container], [named, addressed], Policy);
        Assert.Equal([BlockerCode.NameTaken, BlockerCode.AddressTaken], plan.Containers[0].Blockers.Select(blocker => blocker.Code));
        Assert.Equal("z", Planner.Make([container], [named, addressed, Peer("z", 9)], Policy).Containers[0].Destination);
    }

    [Fact]
    public void Make_BalanceWouldLeaveOneOver_PacksTightlyInstead()
    {
        // Balanced: 3 to b, 3 to b, and 4 has no room left on either. Packed: 4 alone on a, the others on b.
        List<ContainerReport> containers = [FakeRack.Container("four", 4 * GiB), FakeRack.Container("three", 3 * GiB), FakeRack.Container("trio", 3 * GiB)];
        Plan plan = Planner.Make(containers, [Peer("a", 8, total: 16), Peer("b", 9, total: 16)], Policy);
        Assert.True(plan.Complete, string.Join("; ", plan.Containers.SelectMany(planned => planned.Blockers).Select(blocker => blocker.Text)));
        Assert.Null(plan.Missing);
    }

    [Fact]
    public void Make_TooMuchForAll_HighestPriorityFirstAndSaysWhatIsMissingAndWhereFrom()
    {
        List<ContainerReport> containers = [FakeRack.Container("large", 6 * GiB), FakeRack.Container("vital", GiB, annotations: ("evacuator.priority", "90"))];
        PeerView closed = Peer("closed", 40) with { Excluded = new ExcludedPeer("closed", BlockerCode.AdmissionClosed, "being emptied itself") };
        PeerView silent = new() { Name = "silent", Excluded = new ExcludedPeer("silent", BlockerCode.PeerUnreachable, "no route") };
        Plan plan = Planner.Make(containers, [Peer("a", 14, total: 64), closed, silent], Policy with { MemoryReservePercent = 10 });

        Assert.Equal(("vital", "a"), (plan.Containers[0].Container.Name, plan.Containers[0].Destination));
        Assert.Equal(["large"], plan.Missing!.Containers);
        Assert.Equal(6 * GiB, plan.Missing.MemoryBytes);
        Assert.Collection(plan.Missing.Sources,
            source => Assert.Contains("closed has 40 GiB free but gets nothing: being emptied itself", source, StringComparison.Ordinal),
            source => Assert.Contains("reserve of 10 % on a", source, StringComparison.Ordinal),
            source => Assert.Contains("free 5.4 GiB on a", source, StringComparison.Ordinal),
            source => Assert.Contains("silent could not be asked: no route", source, StringComparison.Ordinal));
    }

    [Fact]
    public void Make_ManyPeersRefuse_OneReasonAKind()
    {
        List<PeerView> peers = [.. Enumerable.Range(0, 40).Select(i => Peer($"p{i:00}", 1)), Peer("taken", 60) with { Names = new HashSet<string> { "c1" } }];
        Plan plan = Planner.Make(Containers(1, 4 * GiB), peers, Policy);
        Assert.Equal([BlockerCode.NotEnoughMemory, BlockerCode.NameTaken], plan.Containers[0].Blockers.Select(blocker => blocker.Code));
        Assert.Contains("at 39 other peers", plan.Containers[0].Blockers[0].Text, StringComparison.Ordinal);
    }

    /// <summary>How long it takes is told, not asserted: the machine may be doing anything else.</summary>
    [Fact]
    public void Make_AThousandPeers_AllPlacedEvenly()
    {
        Random random = new(1);
        List<PeerView> peers =
        [
            .. Enumerable.Range(0, 1000).Select(i => Peer($"p{i:0000}", 64) with
            {
                Zone = $"z{i % 4}", Rack = $"r{i / 40}", SpreadGroups = [$"g{i % 50}"],
                Names = Enumerable.Range(0, 50).Select(n => $"o{i}-{n}").ToHashSet(), Addresses = Enumerable.Range(0, 50).Select(n => $"10.{i / 250}.{i % 250}.{n}").ToHashSet(),
            }),
        ];
        List<ContainerReport> containers =
        [
            .. Enumerable.Range(0, 500).Select(i => FakeRack.Container($"c{i}", random.NextInt64(GiB / 4, 8 * GiB),
                annotations: [("evacuator.priority", $"{random.Next(0, 101)}"), .. i % 5 == 0 ? [("evacuator.spread", $"g{i % 50}")] : Array.Empty<(string, string)>()])),
        ];
        PlacementPolicy policy = new(5, TimeSpan.FromSeconds(1)) { From = new Origin("here", "z1", "r0") };
        Plan plan = Planner.Make(containers, peers, policy);
        double[] times = [.. Enumerable.Range(0, 5).Select(_ => Time(() => Planner.Make(containers, peers, policy)))];
        // Nothing fits anywhere: all three passes, and a reason for each.
        List<ContainerReport> huge = [.. containers.Select(container => container with { MemoryBytes = 100 * GiB })];
        double[] worst = [.. Enumerable.Range(0, 5).Select(_ => Time(() => Planner.Make(huge, peers, policy)))];
        output.WriteLine($"1,000 peers, 500 containers: {times.Min():0} to {times.Max():0} ms; none fitting: {worst.Min():0} to {worst.Max():0} ms");

        Assert.True(plan.Complete);
        Assert.All(plan.Peers, peer => Assert.InRange(peer.FreeBefore - peer.FreeAfter, 0, 12 * GiB));

        static double Time(Action work)
        {
            long start = Stopwatch.GetTimestamp();
            work();
            return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }
    }

    private static List<ContainerReport> Containers(int count, long memory) => [.. Enumerable.Range(1, count).Select(i => FakeRack.Container($"c{i}", memory))];

    /// <summary>No room helps where a rule forbids each peer: no amounts, and the rule is named.</summary>
    [Fact]
    public void Make_RuleForbidsEachPeer_TheShortfallNamesTheRuleAndNoAmounts()
    {
        Shortfall missing = Planner.Make([FakeRack.Container("red", GiB, annotations: ("evacuator.zone", "z9"))], [Peer("a", 50) with { Zone = "z1" }], Policy).Missing!;
        Assert.Equal("", missing.Amounts);
        Assert.Equal(["no peer may take red, however much room it has: mend its annotation evacuator.zone, or add a node of zone z9"], missing.Sources);

        Shortfall room = Planner.Make([FakeRack.Container("huge", 500 * GiB)], [Peer("a", 50)], Policy).Missing!;
        Assert.Contains("of memory", room.Amounts, StringComparison.Ordinal);
        Assert.DoesNotContain("disk", room.Amounts, StringComparison.Ordinal);
    }

    [Fact]
    public void Policy_SpreadOverWithoutSpread_IsNamed() =>
        Assert.StartsWith("evacuator.spread-over=zone changes nothing without evacuator.spread", Assert.Single(ContainerPolicy.Of(FakeRack.Container("c", annotations: ("evacuator.spread-over", "zone"))).Mistakes), StringComparison.Ordinal);

    [Fact]
    public void Predict_RehearsalAfterAMove_TheMoveCounts()
    {
        ContainerReport c = FakeRack.Container("c", GiB);
        DateTimeOffset then = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
        Experience move = new("c", GiB, GiB, 8, 3, 120, then, Rehearsed: false), rehearsal = new("c", GiB, 0, 0, 0, 30, then.AddDays(1), Rehearsed: true);
        Assert.Equal((120.0, 3), (Predictor.Predict(c, MoveMode.Live, [rehearsal, move])!.FreezeMs, Predictor.Predict(c, MoveMode.Live, [rehearsal, move])!.Rounds));
        Assert.Equal(30, Predictor.Predict(c, MoveMode.Live, [rehearsal])!.FreezeMs);
    }

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
