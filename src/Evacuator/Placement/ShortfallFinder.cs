using Evacuator.Common.AgentApi;

namespace Evacuator.Placement;

/// <summary>For a plan that does not fit: what is missing, and what a person could do about it.</summary>
internal static class ShortfallFinder
{
    private const int MostSources = 8;

    /// <param name="over">units without a place</param>
    /// <param name="rooms">as filled by the plan</param>
    /// <param name="known">all peers, also those that get nothing</param>
    public static Shortfall? Find(IReadOnlyList<PlacementUnit> over, IReadOnlyList<Room> rooms, IReadOnlyList<PeerView> known, SpreadMap spread, PlacementPolicy policy)
    {
        if (over.Count == 0)
            return null;
        List<PlacementUnit> noMemory = [.. over.Where(unit => rooms.Count == 0 || rooms.Any(room => room.WhyNot(unit, spread) == BlockerCode.NotEnoughMemory))];
        List<PlacementUnit> noDisk = [.. over.Where(unit => rooms.Any(room => room.WhyNot(unit, spread) == BlockerCode.NotEnoughDisk))];
        return new Shortfall(
            noMemory.Sum(unit => unit.Memory), noDisk.Sum(unit => unit.Disk),
            [.. over.SelectMany(unit => unit.Members).Select(member => member.Container.Name).Order(StringComparer.Ordinal)],
            [.. Rules(over, rooms, spread).Concat(Sources(noMemory, rooms, known, policy)).Take(MostSources)]);
    }

    /// <summary>Units that no amount of room helps: a rule of their owner forbids each peer.</summary>
    private static IEnumerable<string> Rules(IReadOnlyList<PlacementUnit> over, IReadOnlyList<Room> rooms, SpreadMap spread)
    {
        if (rooms.Count == 0)
            yield break;
        foreach (PlacementUnit unit in over)
        {
            List<BlockerCode?> codes = [.. rooms.Select(room => room.WhyNot(unit, spread)).Distinct()];
            if (codes.Any(code => code is not (BlockerCode.ZoneRule or BlockerCode.SpreadRule)))
                continue;
            string[] keys = [.. codes.Select(code => code == BlockerCode.ZoneRule ? Annotations.Zone : Annotations.Spread)];
            string[] zones = [.. unit.Members.SelectMany(member => member.Wish.Zones).Distinct().Order(StringComparer.Ordinal)];
            yield return $"no peer may take {unit.Name}, however much room it has: mend its annotation {string.Join(" or ", keys)}, or add a node "
                + (codes.Contains(BlockerCode.ZoneRule) ? $"of zone {string.Join(" or ", zones)}" : "where none of its group is");
        }
    }

    private static IEnumerable<string> Sources(List<PlacementUnit> noMemory, IReadOnlyList<Room> rooms, IReadOnlyList<PeerView> known, PlacementPolicy policy)
    {
        // 1. Peers that have room and take nothing.
        foreach (PeerView peer in known.Where(peer => peer is { Excluded: not null, Host: not null })
            .OrderByDescending(peer => peer.Host!.MemoryAvailable).ThenBy(peer => peer.Name, StringComparer.Ordinal).Take(3))
            yield return $"{peer.Name} has {Bytes.Text(Math.Max(0, peer.Host!.MemoryAvailable))} free but gets nothing: {peer.Excluded!.Reason}";

        if (noMemory.Count > 0 && rooms.Count > 0)
        {
            PlacementUnit smallest = noMemory.MinBy(unit => (unit.MemoryOnArrival, unit.Name))!;
            Room closest = rooms.MinBy(room => (room.Lacks(smallest), room.Name))!;
            // 2. The reserve.
            if (closest.Lacks(smallest) is > 0 and var lacks && lacks <= closest.Reserve)
                yield return $"the reserve of {policy.MemoryReservePercent} % on {closest.Name} holds {Bytes.Text(closest.Reserve)}, and {smallest.Name} lacks {Bytes.Text(lacks)} there ([move] memory-reserve, on both nodes)";
            // 3. Enough in all, but in pieces.
            long free = rooms.Sum(room => room.Free);
            if (closest.Lacks(smallest) > 0 && free >= noMemory.Sum(unit => unit.MemoryOnArrival))
                yield return $"the peers have {Bytes.Text(free)} in all, but in pieces: move {Bytes.Text(closest.Lacks(smallest))} of the containers on {closest.Name} to another peer, and {smallest.Name} fits there";
            else if (closest.Lacks(smallest) > 0)
                yield return $"free {Bytes.Text(closest.Lacks(smallest))} on {closest.Name}, and {smallest.Name} fits there";
        }

        // 4. Peers that could not be asked.
        foreach (PeerView peer in known.Where(peer => peer is { Excluded: not null, Host: null }).Take(3))
            yield return $"{peer.Name} could not be asked: {peer.Excluded!.Reason}";
        if (known.Count == 0)
            yield return "the fleet has no other node: join one (\"evacuator fleet init\", \"evacuator fleet join\")";
    }
}
