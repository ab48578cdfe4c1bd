using Evacuator.Common.AgentApi;
using Evacuator.Placement;

namespace Evacuator.Homecoming;

/// <summary>
/// Plans who comes home: a pure function. Most important first, as in an evacuation. Where the place of a container is taken by one that belongs elsewhere, that one
/// leaves first:
/// <code>
/// room at the guest's own home        guest → its home,                          then ours comes back
/// both wait for each other's place    guest → third node, ours comes back,       then the guest is fetched by its home
/// its home is full or out of reach    guest → the peer with the most room left,  then ours comes back
/// </code>
/// A container that belongs here is never sent away to make room.
/// </summary>
internal static class HomecomingPlanner
{
    public static HomecomingPlan Make(HomecomingSituation situation, PlacementPolicy policy)
    {
        Planning planning = new(situation, policy);
        foreach (AwayContainer away in situation.Away
            .Where(away => (situation.Only.Count == 0 || situation.Only.Contains(away.Container.Name)) && !situation.Skip.Contains(away.Container.Name))
            .OrderByDescending(away => ContainerPolicy.Of(away.Container).Priority)
            .ThenByDescending(away => away.Container.MemoryBytes)
            .ThenBy(away => away.Container.Name, StringComparer.Ordinal))
            planning.Bring(away);
        return planning.Result(NotFound(situation));
    }

    /// <summary>Names that were asked for and that nobody has: a slip of the pen must not look like "nothing to do".</summary>
    private static IEnumerable<StayingAway> NotFound(HomecomingSituation situation)
    {
        foreach (string name in situation.Only.Distinct().Where(name => !AtHome(situation, name) && situation.Away.All(away => away.Container.Name != name)))
        {
            string away = situation.Away.Count == 0 ? $"nothing of {situation.Home} is known to be away"
                : $"away from {situation.Home} are {string.Join(", ", situation.Away.Select(other => $"{other.Container.Name} ({other.At})").Order(StringComparer.Ordinal))}";
            string silent = situation.NotAsked.Count == 0 ? "" : $"; {string.Join(", ", situation.NotAsked.Select(peer => peer.Name))} could not be asked";
            string why = situation.Guests.FirstOrDefault(guest => guest.Container.Name == name) is { } guest
                ? $"it is here and belongs to {guest.Home}: \"evacuator return\" there fetches it"
                : $"no peer has a container of {situation.Home} by this name: {away}{silent}";
            yield return new StayingAway(name, "", [new Blocker(BlockerCode.NoPeer, why)]);
        }
    }

    private static string[] NobodyHas(HomecomingSituation situation) => situation.NotAsked.Count > 0 ? [] :
    [
        .. situation.Only.Concat(situation.Skip).Distinct().Where(name => situation.Away.All(away => away.Container.Name != name) && situation.Here.All(container => container.Name != name))
            .Order(StringComparer.Ordinal),
    ];

    private static bool AtHome(HomecomingSituation situation, string name) =>
        situation.Here.Any(container => container.Name == name) && situation.Guests.All(guest => guest.Container.Name != name);

    private sealed class Planning(HomecomingSituation situation, PlacementPolicy policy)
    {
        private readonly Dictionary<string, NodeRoom> _rooms = situation.Nodes
            .Where(node => node is { Excluded: null, Host: not null })
            .ToDictionary(node => node.Name, node => new NodeRoom(node, policy), StringComparer.Ordinal);

        private readonly List<PlannedStep> _steps = [];
        private readonly List<StayingAway> _staying = [];
        private readonly List<ContainerReport> _here = [.. situation.Here];

        // Largest first: fewest containers have to move.
        private readonly List<PresentGuest> _guests =
            [.. situation.Guests.OrderByDescending(guest => guest.Container.MemoryBytes).ThenBy(guest => guest.Container.Name, StringComparer.Ordinal)];

        public HomecomingPlan Result(IEnumerable<StayingAway> notFound) => new()
        {
            Steps = _steps,
            Staying = [.. _staying, .. notFound],
            Unknown = NobodyHas(situation),
            AtHome = [.. situation.Only.Distinct().Where(name => AtHome(situation, name))],
            NotAsked = situation.NotAsked,
        };

        public void Bring(AwayContainer away)
        {
            ContainerPolicy wish = ContainerPolicy.Of(away.Container);
            List<Blocker> blockers = [.. away.Container.Blockers];
            if (wish.Stay)
                blockers.Add(new Blocker(BlockerCode.PolicyStay, wish.WhyStay));
            if (!_rooms.TryGetValue(situation.Home, out NodeRoom? home))
            {
                string why = situation.Nodes.FirstOrDefault(node => node.Name == situation.Home)?.Excluded?.Reason ?? "this node's agent does not answer";
                blockers.Add(new Blocker(BlockerCode.AdmissionClosed, $"{situation.Home}: {why}"));
            }

            if (blockers.Count > 0)
            {
                _staying.Add(new StayingAway(away.Container.Name, away.At, blockers));
                return;
            }

            // 1. Whoever has its name or an address of it has to go, whatever the room.
            List<PresentGuest> leaving = [];
            foreach (ContainerReport other in _here.Where(other => Collides(other, away.Container)))
            {
                if (_guests.Find(guest => guest.Container.Name == other.Name) is { } guest)
                    leaving.Add(guest);
                else
                    blockers.Add(new Blocker(other.Name == away.Container.Name ? BlockerCode.NameTaken : BlockerCode.AddressTaken,
                        $"{other.Name}, which belongs here, has its {(other.Name == away.Container.Name ? "name" : "address")}"));
            }

            // 2. Then as many guests as it takes.
            if (blockers.Count == 0 && !Enough(home!, away.Container, leaving, out Blocker? missing))
                blockers.Add(missing!);

            // 3. Each of them needs a place.
            List<Relocation> relocations = [];
            foreach (PresentGuest guest in leaving.TakeWhile(_ => blockers.Count == 0))
            {
                if (PlaceFor(guest, away, relocations) is { } place)
                    relocations.Add(place);
                else
                    blockers.Add(new Blocker(BlockerCode.NotEnoughMemory, $"its place is taken by {guest.Container.Name} of {guest.Home}, and no node has room for that one"));
            }

            if (blockers.Count > 0)
            {
                _staying.Add(new StayingAway(away.Container.Name, away.At, blockers));
                return;
            }

            Commit(away, relocations, home!);
        }

        private void Commit(AwayContainer away, List<Relocation> relocations, NodeRoom home)
        {
            List<int> before = [];
            foreach (Relocation relocation in relocations)
            {
                ContainerReport guest = relocation.Guest.Container;
                _steps.Add(new PlannedStep(_steps.Count + 1, HomecomingStepKind.MakeRoom, guest, situation.Home, relocation.To, [],
                    relocation.To == relocation.Guest.Home ? $"goes home itself and makes room for {away.Container.Name}" : $"makes room for {away.Container.Name}"));
                before.Add(_steps.Count);
                home.Give(guest);
                _rooms[relocation.To].Take(guest);
                _guests.Remove(relocation.Guest);
                _here.RemoveAll(container => container.Name == guest.Name);
            }

            _steps.Add(new PlannedStep(_steps.Count + 1, HomecomingStepKind.BringHome, away.Container, away.At, situation.Home, before, "comes home"));
            int brought = _steps.Count;
            home.Take(away.Container);
            _here.Add(away.Container);
            if (_rooms.TryGetValue(away.At, out NodeRoom? left))
                left.Give(away.Container);

            foreach (Relocation relocation in relocations.Where(relocation => relocation.Swaps))
            {
                ContainerReport guest = relocation.Guest.Container;
                _steps.Add(new PlannedStep(_steps.Count + 1, HomecomingStepKind.SendHome, guest, relocation.To, relocation.Guest.Home, [brought],
                    $"goes home itself, now that {away.Container.Name} has left {relocation.Guest.Home}"));
                _rooms[relocation.To].Give(guest);
                _rooms[relocation.Guest.Home].Take(guest);
            }
        }

        /// <summary>Adds guests to those that leave until the container fits. False if even without all of them it does not.</summary>
        private bool Enough(NodeRoom home, ContainerReport container, List<PresentGuest> leaving, out Blocker? missing)
        {
            foreach (PresentGuest guest in leaving)
                home.Give(guest.Container);
            int given = leaving.Count;
            missing = home.WhyNot(container);
            while (missing is not null)
            {
                List<PresentGuest> left = [.. _guests.Except(leaving)];
                // The smallest that suffices, else the largest and look again.
                PresentGuest? next = left.LastOrDefault(guest => home.FitsWithout(guest.Container, container)) ?? left.FirstOrDefault();
                if (next is null)
                    break;
                leaving.Add(next);
                home.Give(next.Container);
                given++;
                missing = home.WhyNot(container);
            }

            // Only tried: what is decided is taken in Commit.
            foreach (PresentGuest guest in leaving.Take(given))
                home.Take(guest.Container);
            return missing is null;
        }

        private Relocation? PlaceFor(PresentGuest guest, AwayContainer away, List<Relocation> others)
        {
            foreach (Relocation other in others)
                _rooms[other.To].Take(other.Guest.Container);
            try
            {
                NodeRoom? itsHome = _rooms.GetValueOrDefault(guest.Home);
                if (itsHome?.WhyNot(guest.Container) is null && itsHome is not null)
                    return new Relocation(guest, guest.Home, Swaps: false);
                bool swaps = itsHome is not null && guest.Home == away.At && itsHome.FitsWithout(away.Container, guest.Container);
                NodeRoom? third = _rooms.Values
                    .Where(room => room.Name != situation.Home && room.Name != guest.Home && room.WhyNot(guest.Container) is null)
                    .OrderByDescending(room => room.ShareFreeAfter(guest.Container)).ThenBy(room => room.Name, StringComparer.Ordinal)
                    .FirstOrDefault();
                return third is null ? null : new Relocation(guest, third.Name, swaps);
            }
            finally
            {
                foreach (Relocation other in others)
                    _rooms[other.To].Give(other.Guest.Container);
            }
        }

        private static bool Collides(ContainerReport one, ContainerReport other) =>
            one.Name == other.Name || one.Addresses.Select(WithoutPrefix).Intersect(other.Addresses.Select(WithoutPrefix)).Any();

        private static string WithoutPrefix(string address) => address.Split('/')[0];
    }

    /// <param name="Swaps">its home has room only after ours has left it: fetched from there at the end</param>
    private sealed record Relocation(PresentGuest Guest, string To, bool Swaps);

    /// <summary>What a node has left while the plan grows.</summary>
    private sealed class NodeRoom
    {
        private readonly HashSet<string> _spread;
        private readonly long _total;
        private readonly long _reserve;
        private long _memory;
        private long _disk;

        public NodeRoom(PeerView node, PlacementPolicy policy)
        {
            HostReport host = node.Host!;
            Name = node.Name;
            _total = Math.Max(1, host.MemoryTotal);
            _reserve = (long)(_total * (policy.MemoryReservePercent / 100.0));
            // A peer could lie: what it claims beyond its own total does not count.
            _memory = Math.Min(host.MemoryAvailable, host.MemoryTotal) - _reserve;
            _disk = Math.Max(0, host.DiskAvailable);
            _spread = new HashSet<string>(node.SpreadGroups, StringComparer.Ordinal);
        }

        public string Name { get; }

        public double ShareFreeAfter(ContainerReport container) => (double)(_memory - container.MemoryBytes) / _total;

        public bool FitsWithout(ContainerReport leaving, ContainerReport coming)
        {
            Give(leaving);
            bool fits = WhyNot(coming) is null;
            Take(leaving);
            return fits;
        }

        public Blocker? WhyNot(ContainerReport container)
        {
            if (ContainerPolicy.Of(container).Spread is { } group && _spread.Contains(group))
                return new Blocker(BlockerCode.Reserved, $"{Name} has another member of the group {group} (evacuator.spread)");
            if (container.MemoryBytes > _memory)
                return new Blocker(BlockerCode.NotEnoughMemory,
                    $"{Name} has {Bytes.Text(Math.Max(0, _memory))} of memory left for it and {Bytes.Text(container.MemoryBytes)} are needed ({Bytes.Text(_reserve)} stay free as reserve)");
            return container.DiskBytes > _disk
                ? new Blocker(BlockerCode.NotEnoughDisk, $"{Name} has {Bytes.Text(_disk)} of disk left and {Bytes.Text(container.DiskBytes)} are needed")
                : null;
        }

        public void Take(ContainerReport container)
        {
            _memory -= container.MemoryBytes;
            _disk -= container.DiskBytes;
            if (ContainerPolicy.Of(container).Spread is { } group)
                _spread.Add(group);
        }

        /// <summary>The container leaves. Its trees are set aside rather than deleted; the disk that they keep is what the destination really looks at.</summary>
        public void Give(ContainerReport container)
        {
            _memory += container.MemoryBytes;
            _disk += container.DiskBytes;
            if (ContainerPolicy.Of(container).Spread is { } group)
                _spread.Remove(group);
        }
    }
}
