using Evacuator.Common.AgentApi;

namespace Evacuator.Placement;

/// <summary>
/// Decides who goes where: a pure function, the same answer for the same input whatever the order it comes in. The destination checks again for real when it reserves.
/// <list type="number">
/// <item>What cannot go anywhere is set aside with its reasons; a group goes whole or not at all.</item>
/// <item>All others are placed, largest first, each where the load afterwards is lowest. If that leaves somebody over, again with each put where it fits most
/// tightly: balance is worth less than a place for all.</item>
/// <item>If even that is not enough for all, those with the highest priority come first.</item>
/// </list>
/// The order of departure is another matter: priority, then whoever uses the part that is failing, then size (what is large takes longest).
/// </summary>
internal static class Planner
{
    /// <summary>With more peers than this, a container that fits nowhere gets one reason a kind and not one a peer.</summary>
    private const int PeersNamedOneByOne = 8;

    public static Plan Make(IEnumerable<ContainerReport> containers, IEnumerable<PeerView> peers, PlacementPolicy policy)
    {
        List<PeerView> known = [.. peers.OrderBy(peer => peer.Name, StringComparer.Ordinal)];
        List<Room> rooms = [.. known.Where(peer => peer is { Excluded: null, Host: not null }).Select(peer => new Room(peer, policy))];
        List<ExcludedPeer> excluded = [.. known.Where(peer => peer.Excluded is not null).Select(peer => peer.Excluded!)];

        // 1. Who could go at all.
        List<PlannedContainer> staying = [];
        List<PlacementUnit> units = [];
        SpreadMap spread = new();
        foreach (PeerView peer in known)
            foreach (string group in peer.SpreadGroups)
                spread.Take(new Location(peer.Name, peer.Zone, peer.Rack), group);
        foreach (IReadOnlyList<Candidate> group in Grouped(containers))
        {
            if (Blocked(group) is { } blocked)
            {
                staying.AddRange(blocked.Select(pair => Stays(pair.Candidate, pair.Blockers, policy)));
                foreach (string name in group.Select(candidate => candidate.Wish.Spread).OfType<string>())
                    spread.Take(new Location(policy.From.Node, policy.From.Zone, policy.From.Rack), name);
            }
            else
            {
                units.Add(new PlacementUnit([.. group.Select(candidate => candidate.Member)]));
            }
        }

        // 2. and 3. Places for them.
        Assignment assignment = Assign(units, rooms, spread);
        List<PlannedContainer> going = [];
        List<PlacementUnit> over = [];
        foreach (PlacementUnit unit in units)
        {
            if (assignment.Rooms.GetValueOrDefault(unit) is { } room)
            {
                going.AddRange(unit.Members.Select(member => new PlannedContainer(member.Container, unit.Priority, Budget(member.Wish, policy), room.Name, [])
                {
                    Mode = member.Mode,
                    ModeReason = member.ModeReason,
                }));
                continue;
            }

            over.Add(unit);
            List<Blocker> why = WhyNowhere(unit, rooms, excluded, assignment.Spread);
            if (unit.Members.Length > 1)
                why.Insert(0, new Blocker(BlockerCode.GroupRule,
                    $"the {unit.Members.Length} containers of the group {unit.Name} go together (evacuator.group), and no peer has room for {Bytes.Text(unit.Memory)} of memory and {Bytes.Text(unit.Disk)} of disk"));
            staying.AddRange(unit.Members.Select(member => new PlannedContainer(member.Container, member.Wish.Priority, Budget(member.Wish, policy), null, why)));
        }

        return new Plan
        {
            Containers = [.. InOrderOfDeparture(going, policy.Failing).Concat(InOrderOfDeparture(staying, policy.Failing))
                .Select(planned => planned with { Mistakes = ContainerPolicy.Of(planned.Container).Mistakes })],
            ExcludedPeers = excluded,
            Peers = [.. rooms.Select(room => new PeerAfterwards(room.Name, room.FreeBefore, room.Free, room.Taken))],
            Missing = ShortfallFinder.Find(over, rooms, known, assignment.Spread, policy),
        };
    }

    /// <summary>Peers that could take this container now, best first, leaving out those already tried.</summary>
    public static IReadOnlyList<string> Candidates(ContainerReport container, IEnumerable<PeerView> peers, PlacementPolicy policy, IReadOnlyCollection<string> tried)
    {
        ContainerPolicy wish = ContainerPolicy.Of(container);
        (MoveMode mode, string reason) = ModeOf(container, wish);
        PlacementUnit unit = new([new UnitMember(container, wish, mode, reason)]);
        SpreadMap spread = new();
        List<PeerView> known = [.. peers];
        foreach (PeerView peer in known)
            foreach (string group in peer.SpreadGroups)
                spread.Take(new Location(peer.Name, peer.Zone, peer.Rack), group);
        return
        [
            .. known.Where(peer => peer is { Excluded: null, Host: not null } && !tried.Contains(peer.Name))
                .Select(peer => new Room(peer, policy))
                .Where(room => room.WhyNot(unit, spread) is null)
                .OrderBy(room => room.LoadAfter(unit))
                .ThenBy(room => room.MemoryAfter(unit))
                .ThenBy(room => room.Name, StringComparer.Ordinal)
                .Select(room => room.Name),
        ];
    }

    /// <summary>How a container can leave, as far as it is known before it is tried.</summary>
    public static (MoveMode Mode, string Reason) ModeOf(ContainerReport container, ContainerPolicy wish)
    {
        if (wish.OnlyStop)
            return (MoveMode.StopAndStart, "evacuator.policy=stop");
        if (wish.MayStop && container.Blockers.Count > 0 && container.Blockers.All(blocker => Blockers.IsOnlyAgainstLive(blocker.Code)))
            return (MoveMode.StopAndStart, $"it cannot move live ({string.Join("; ", container.Blockers.Select(blocker => blocker.Text))}), and evacuator.policy=cold permits to stop it");
        return (MoveMode.Live, "");
    }

    private static IEnumerable<PlannedContainer> InOrderOfDeparture(IEnumerable<PlannedContainer> containers, Journal.Fault? failing) => containers
        .Select(planned => (Planned: planned, Wish: ContainerPolicy.Of(planned.Container)))
        .GroupBy(entry => entry.Wish.Group is { } group ? $"group {group}" : $"container {entry.Planned.Container.Name}")
        .OrderByDescending(group => group.Max(entry => entry.Planned.Priority))
        .ThenByDescending(group => failing is not null && group.Any(entry => entry.Wish.Uses(failing)))
        .ThenByDescending(group => group.Sum(entry => entry.Planned.Container.MemoryBytes))
        .ThenBy(group => group.Min(entry => entry.Planned.Container.Name), StringComparer.Ordinal)
        .SelectMany(group => group.OrderBy(entry => entry.Wish.Order).ThenBy(entry => entry.Planned.Container.Name, StringComparer.Ordinal))
        .Select(entry => entry.Planned);

    private static IEnumerable<IReadOnlyList<Candidate>> Grouped(IEnumerable<ContainerReport> containers) => containers
        .Select(container => new Candidate(container, ContainerPolicy.Of(container)))
        .GroupBy(candidate => candidate.Wish.Group is { } group ? $"group {group}" : $"container {candidate.Container.Name}")
        .OrderBy(group => group.Key, StringComparer.Ordinal)
        .Select(group => (IReadOnlyList<Candidate>)[.. group.OrderBy(candidate => candidate.Wish.Order).ThenBy(candidate => candidate.Container.Name, StringComparer.Ordinal)]);

    /// <summary>Each member with its own reasons, or with those of the member that keeps the others; null if none has any.</summary>
    private static List<(Candidate Candidate, List<Blocker> Blockers)>? Blocked(IReadOnlyList<Candidate> group)
    {
        List<(Candidate Candidate, List<Blocker> Blockers)> all = [.. group.Select(candidate => (candidate, candidate.OwnBlockers()))];
        if (all.All(pair => pair.Blockers.Count == 0))
            return null;
        string keepers = string.Join(", ", all.Where(pair => pair.Blockers.Count > 0).Select(pair => pair.Candidate.Container.Name));
        foreach ((Candidate candidate, List<Blocker> blockers) in all.Where(pair => pair.Blockers.Count == 0))
            blockers.Add(new Blocker(BlockerCode.GroupRule, $"{keepers} of its group {candidate.Wish.Group} cannot go, and the group goes together (evacuator.group)"));
        return all;
    }

    private static PlannedContainer Stays(Candidate candidate, List<Blocker> blockers, PlacementPolicy policy) =>
        new(candidate.Container, candidate.Wish.Priority, Budget(candidate.Wish, policy), null, blockers);

    private static int Budget(ContainerPolicy wish, PlacementPolicy policy) => (int)(wish.FreezeBudget ?? policy.DefaultFreezeBudget).TotalMilliseconds;

    private static Assignment Assign(List<PlacementUnit> units, List<Room> rooms, SpreadMap spread)
    {
        List<PlacementUnit> bySize = [.. units.OrderByDescending(unit => unit.Memory).ThenByDescending(unit => unit.Priority).ThenBy(unit => unit.Name, StringComparer.Ordinal)];
        Assignment balanced = Place(bySize, rooms, spread.Copy(), tight: false);
        if (balanced.Rooms.Count == units.Count)
            return balanced;
        if (Place(bySize, rooms, spread.Copy(), tight: true) is { } packed && packed.Rooms.Count == units.Count)
            return packed;
        List<PlacementUnit> byPriority = [.. bySize.OrderByDescending(unit => unit.Priority)];
        return Place(byPriority, rooms, spread.Copy(), tight: false);
    }

    /// <summary>One pass over all; leaves the rooms as filled by it.</summary>
    private static Assignment Place(List<PlacementUnit> units, List<Room> rooms, SpreadMap spread, bool tight)
    {
        foreach (Room room in rooms)
            room.Clear();
        Dictionary<PlacementUnit, Room> placed = new(units.Count);
        foreach (PlacementUnit unit in units)
        {
            Room? best = null;
            double bestScore = double.PositiveInfinity, bestMemory = double.PositiveInfinity;
            foreach (Room room in rooms) // in the order of names: the first of equals wins
            {
                // Arithmetic first: whether it may go there takes looking into sets, and most rooms are no better than the best so far.
                if (room.Lacks(unit) > 0)
                    continue;
                double score = tight ? room.Free : room.LoadAfter(unit);
                if (score > bestScore)
                    continue;
                double memory = room.MemoryAfter(unit);
                if ((score < bestScore || memory < bestMemory) && room.WhyNot(unit, spread) is null)
                    (best, bestScore, bestMemory) = (room, score, memory);
            }

            if (best is null)
                continue;
            best.Take(unit, spread);
            placed[unit] = best;
        }

        return new Assignment(placed, spread);
    }

    private static List<Blocker> WhyNowhere(PlacementUnit unit, List<Room> rooms, List<ExcludedPeer> excluded, SpreadMap spread)
    {
        if (rooms.Count == 0)
        {
            string others = excluded.Count == 0
                ? "the fleet has no other node"
                : string.Join("; ", excluded.Take(PeersNamedOneByOne).Select(peer => $"{peer.Name}: {peer.Reason}"))
                    + (excluded.Count > PeersNamedOneByOne ? $"; and {excluded.Count - PeersNamedOneByOne} more" : "");
            return [new Blocker(BlockerCode.NoPeer, $"no peer can be used: {others}")];
        }

        if (rooms.Count <= PeersNamedOneByOne)
            return [.. rooms.Select(room => room.Explain(unit, spread)[0])];
        (Room? Closest, int Count)[] kinds = new (Room?, int)[(int)Enum.GetValues<BlockerCode>().Max() + 1];
        foreach (Room room in rooms)
        {
            ref (Room? Closest, int Count) kind = ref kinds[(int)room.WhyNot(unit, spread)!.Value];
            kind.Count++;
            if (kind.Closest is null || room.Lacks(unit) < kind.Closest.Lacks(unit))
                kind.Closest = room;
        }

        return
        [
            .. kinds.Select((kind, code) => (kind.Closest, kind.Count, Code: (BlockerCode)code)).Where(kind => kind.Closest is not null).Select(kind =>
            {
                Blocker blocker = kind.Closest!.Explain(unit, spread).First(reason => reason.Code == kind.Code);
                return kind.Count == 1 ? blocker : blocker with { Text = $"{blocker.Text}; the same kind of reason at {kind.Count - 1} other peers" };
            }),
        ];
    }

    /// <param name="Rooms">of those that have found one</param>
    private sealed record Assignment(Dictionary<PlacementUnit, Room> Rooms, SpreadMap Spread);

    private sealed record Candidate(ContainerReport Container, ContainerPolicy Wish)
    {
        public UnitMember Member
        {
            get
            {
                (MoveMode mode, string reason) = ModeOf(Container, Wish);
                return new UnitMember(Container, Wish, mode, reason);
            }
        }

        public List<Blocker> OwnBlockers()
        {
            bool stopped = ModeOf(Container, Wish).Mode == MoveMode.StopAndStart;
            List<Blocker> blockers = [.. Container.Blockers.Where(blocker => !(stopped && Blockers.IsOnlyAgainstLive(blocker.Code)))];
            if (Wish.Stay)
                blockers.Add(new Blocker(BlockerCode.PolicyStay, Wish.WhyStay));

            if (Container.State != "running" && blockers.All(blocker => blocker.Code != BlockerCode.NotRunning))
                blockers.Add(new Blocker(BlockerCode.NotRunning, $"it is {Container.State}: start it, or remove it with \"runc delete {Container.Name}\""));
            return blockers;
        }
    }
}
