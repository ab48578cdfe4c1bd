using Evacuator.Common.AgentApi;

namespace Evacuator.Placement;

/// <summary>
/// Decides who goes where: a pure function, the same answer for the same input whatever the order it comes in. Most at risk first (priority, then
/// size: what is large is hardest to place and longest to move), each to the fitting peer that has the largest share of its memory free afterwards.
/// The destination checks again for real when it reserves.
/// </summary>
internal static class Planner
{
    public static Plan Make(IEnumerable<ContainerReport> containers, IEnumerable<PeerView> peers, PlacementPolicy policy)
    {
        List<PeerView> known = [.. peers.OrderBy(peer => peer.Name, StringComparer.Ordinal)];
        List<Room> rooms = [.. known.Where(peer => peer is { Excluded: null, Host: not null }).Select(peer => new Room(peer, policy))];
        List<ExcludedPeer> excluded = [.. known.Where(peer => peer.Excluded is not null).Select(peer => peer.Excluded!)];

        List<PlannedContainer> going = [];
        List<PlannedContainer> staying = [];
        foreach ((ContainerReport container, ContainerPolicy wish) in InOrderOfDeparture(containers))
        {
            int budget = (int)(wish.FreezeBudget ?? policy.DefaultFreezeBudget).TotalMilliseconds;
            List<Blocker> blockers = OwnBlockers(container, wish);
            Room? room = blockers.Count == 0 ? BestRoom(container, wish, rooms) : null;
            if (room is not null)
            {
                room.Take(container, wish);
                going.Add(new PlannedContainer(container, wish.Priority, budget, room.Name, []));
            }
            else
            {
                if (blockers.Count == 0)
                    blockers = WhyNowhere(container, wish, rooms, excluded);
                staying.Add(new PlannedContainer(container, wish.Priority, budget, null, blockers));
            }
        }

        return new Plan
        {
            Containers = [.. going, .. staying],
            ExcludedPeers = excluded,
            Peers = [.. rooms.Select(room => new PeerAfterwards(room.Name, room.FreeBefore, room.Free, room.Taken))],
        };
    }

    /// <summary>Peers that could take this container now, best first, leaving out those already tried.</summary>
    public static IReadOnlyList<string> Candidates(ContainerReport container, IEnumerable<PeerView> peers, PlacementPolicy policy, IReadOnlyCollection<string> tried)
    {
        ContainerPolicy wish = ContainerPolicy.Of(container);
        return
        [
            .. peers.Where(peer => peer is { Excluded: null, Host: not null } && !tried.Contains(peer.Name))
                .Select(peer => new Room(peer, policy))
                .Where(room => room.WhyNot(container, wish) is null)
                .OrderByDescending(room => room.ShareFreeAfter(container))
                .ThenBy(room => room.Name, StringComparer.Ordinal)
                .Select(room => room.Name),
        ];
    }

    private static IEnumerable<(ContainerReport Container, ContainerPolicy Wish)> InOrderOfDeparture(IEnumerable<ContainerReport> containers) =>
        containers.Select(container => (Container: container, Wish: ContainerPolicy.Of(container)))
            .OrderByDescending(entry => entry.Wish.Priority)
            .ThenByDescending(entry => entry.Container.MemoryBytes)
            .ThenBy(entry => entry.Container.Name, StringComparer.Ordinal);

    private static List<Blocker> OwnBlockers(ContainerReport container, ContainerPolicy wish)
    {
        List<Blocker> blockers = [.. container.Blockers];
        if (wish.Stay)
        {
            string text = wish.Mistakes.FirstOrDefault(mistake => mistake.StartsWith("evacuator.policy", StringComparison.Ordinal))
                ?? "its annotation evacuator.policy=stay forbids to move it";
            blockers.Add(new Blocker(BlockerCode.PolicyStay, text));
        }

        if (container.State != "running" && blockers.All(blocker => blocker.Code != BlockerCode.NotRunning))
            blockers.Add(new Blocker(BlockerCode.NotRunning, $"it is {container.State}: start it, or remove it with \"runc delete {container.Name}\""));
        return blockers;
    }

    private static Room? BestRoom(ContainerReport container, ContainerPolicy wish, List<Room> rooms)
    {
        Room? best = null;
        double bestShare = double.NegativeInfinity;
        foreach (Room room in rooms) // in the order of names: the first of equals wins
        {
            if (room.WhyNot(container, wish) is not null)
                continue;
            double share = room.ShareFreeAfter(container);
            if (share > bestShare)
                (best, bestShare) = (room, share);
        }

        return best;
    }

    private static List<Blocker> WhyNowhere(ContainerReport container, ContainerPolicy wish, List<Room> rooms, List<ExcludedPeer> excluded)
    {
        List<Blocker> blockers = [.. rooms.Select(room => room.WhyNot(container, wish)!)];
        if (rooms.Count == 0)
        {
            string others = excluded.Count == 0
                ? "the fleet has no other node"
                : string.Join("; ", excluded.Select(peer => $"{peer.Name}: {peer.Reason}"));
            blockers.Add(new Blocker(BlockerCode.NoPeer, $"no peer can be used: {others}"));
        }

        return blockers;
    }

    /// <summary>What a peer has left while the plan grows.</summary>
    private sealed class Room
    {
        private readonly PeerView _peer;
        private readonly HashSet<string> _spread;
        private readonly long _reserve;
        private long _disk;

        public Room(PeerView peer, PlacementPolicy policy)
        {
            _peer = peer;
            _spread = new HashSet<string>(peer.SpreadGroups, StringComparer.Ordinal);
            HostReport host = peer.Host!;
            // A peer could lie: what it claims beyond its own total does not count.
            _reserve = (long)(Math.Max(0, host.MemoryTotal) * (policy.MemoryReservePercent / 100.0));
            FreeBefore = Math.Max(0, Math.Min(host.MemoryAvailable, host.MemoryTotal) - _reserve);
            Free = FreeBefore;
            _disk = Math.Max(0, host.DiskAvailable);
        }

        public string Name => _peer.Name;

        public long FreeBefore { get; }

        public long Free { get; private set; }

        public int Taken { get; private set; }

        public double ShareFreeAfter(ContainerReport container) =>
            (double)(Free - container.MemoryBytes) / Math.Max(1, _peer.Host!.MemoryTotal);

        public Blocker? WhyNot(ContainerReport container, ContainerPolicy wish)
        {
            if (wish.Spread is { } group && _spread.Contains(group))
                return new Blocker(BlockerCode.Reserved, $"{Name} already has a member of the group {group} (evacuator.spread)");
            if (container.MemoryBytes > Free)
                return new Blocker(BlockerCode.NotEnoughMemory,
                    $"{Name} has {Bytes.Text(Free)} of memory left for it and {Bytes.Text(container.MemoryBytes)} are needed ({Bytes.Text(_reserve)} stay free as reserve)");
            if (container.DiskBytes > _disk)
                return new Blocker(BlockerCode.NotEnoughDisk, $"{Name} has {Bytes.Text(_disk)} of disk left and {Bytes.Text(container.DiskBytes)} are needed");
            return null;
        }

        public void Take(ContainerReport container, ContainerPolicy wish)
        {
            Free -= container.MemoryBytes;
            _disk -= container.DiskBytes;
            Taken++;
            if (wish.Spread is { } group)
                _spread.Add(group);
        }
    }
}
