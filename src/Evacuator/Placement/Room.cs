using System.Globalization;
using Evacuator.Common.AgentApi;

namespace Evacuator.Placement;

/// <summary>
/// What a peer has left while a plan grows. Judging is called once for each pair of container and peer, half a million times for a large fleet: it compares numbers
/// and looks into sets, and makes no text; <see cref="Explain"/> does that for the few pairs that are shown.
/// </summary>
internal sealed class Room
{
    private readonly PeerView _peer;
    private readonly HostReport _host;
    private readonly Location _location;
    private readonly long _reserve;
    private readonly HashSet<string> _kept;
    private readonly IReadOnlyList<Blocker> _incompatible;
    private readonly bool _otherZone;
    private readonly double _load;
    private long _disk;
    private double _cpu;

    public Room(PeerView peer, PlacementPolicy policy)
    {
        _peer = peer;
        _host = peer.Host!;
        _location = new Location(peer.Name, peer.Zone, peer.Rack);
        // A peer could lie: what it claims beyond its own total does not count.
        _reserve = (long)(Math.Max(0, _host.MemoryTotal) * (policy.MemoryReservePercent / 100.0));
        FreeBefore = Math.Max(0, Math.Min(_host.MemoryAvailable, _host.MemoryTotal) - _reserve);
        _kept = new HashSet<string>(_host.KeptBundles, StringComparer.Ordinal);
        _incompatible = Compatibility.WhyNotLive(policy.From, peer.Name, _host);
        _otherZone = policy.From.Zone != peer.Zone;
        _load = double.IsFinite(_host.LoadAverage) ? Math.Max(0, _host.LoadAverage) : 0;
        Clear();
    }

    public string Name => _peer.Name;

    public long Reserve => _reserve;

    public long FreeBefore { get; }

    public long Free { get; private set; }

    public int Taken { get; private set; }

    /// <summary>As before the plan.</summary>
    public void Clear() => (Free, _disk, _cpu, Taken) = (FreeBefore, Math.Max(0, _host.DiskAvailable), 0, 0);

    /// <summary>Null if the unit fits; else the first kind of obstacle.</summary>
    public BlockerCode? WhyNot(PlacementUnit unit, SpreadMap spread)
    {
        if (unit.MemoryOnArrival > Free)
            return BlockerCode.NotEnoughMemory;
        if (unit.DiskOnArrival > _disk)
            return BlockerCode.NotEnoughDisk;
        foreach (UnitMember member in unit.Members)
        {
            ContainerPolicy wish = member.Wish;
            if (wish.Zones.Count > 0 && !wish.Zones.Contains(_peer.Zone))
                return BlockerCode.ZoneRule;
            if (wish.Spread is { } group && spread.IsTaken(_location, wish.SpreadOver, group))
                return BlockerCode.SpreadRule;
            if (_peer.Names.Contains(member.Container.Name))
                return BlockerCode.NameTaken;
            for (int i = 0; i < member.Addresses.Length; i++)
                if (_peer.Addresses.Contains(member.Addresses[i]))
                    return BlockerCode.AddressTaken;
            // A program that is started anew looks at its processor anew.
            if (_incompatible.Count > 0 && member.Mode == MoveMode.Live)
                return _incompatible[0].Code;
        }

        return null;
    }

    /// <summary>
    /// Smaller is better: how loaded the peer would be afterwards, by what is scarcer there, memory or processors (0..1). Another zone than the one that is left
    /// counts like a tenth of load, the container's own files being there already like half a tenth less.
    /// </summary>
    public double LoadAfter(PlacementUnit unit)
    {
        double processors = Math.Clamp((_load + _cpu + unit.Cpu) / Math.Max(1, _host.Cpus), 0, 1);
        // The load average of an idle host wavers; a difference of less than a twentieth says nothing.
        processors = Math.Floor(processors * 20) / 20;
        double load = Math.Max(MemoryAfter(unit), processors);
        if (_otherZone)
            load += 0.1;
        return _kept.Count > 0 && unit.Members.Any(member => _kept.Contains(member.Container.Bundle)) ? load - 0.05 : load;
    }

    /// <summary>Part of its memory that would be in use, 0..1.</summary>
    public double MemoryAfter(PlacementUnit unit) => 1 - (double)(Free - unit.Memory) / Math.Max(1, _host.MemoryTotal);

    /// <summary>How far a unit is from fitting here, in bytes of memory.</summary>
    public long Lacks(PlacementUnit unit) => Math.Max(0, unit.MemoryOnArrival - Free);

    public void Take(PlacementUnit unit, SpreadMap spread)
    {
        Free -= unit.Memory;
        _disk -= unit.Disk;
        _cpu += unit.Cpu;
        Taken += unit.Members.Length;
        foreach (UnitMember member in unit.Members)
            if (member.Wish.Spread is { } group)
                spread.Take(_location, group);
    }

    /// <summary>Every reason against the unit, in words.</summary>
    public IReadOnlyList<Blocker> Explain(PlacementUnit unit, SpreadMap spread)
    {
        List<Blocker> blockers = [];
        if (unit.MemoryOnArrival > Free)
            blockers.Add(new Blocker(BlockerCode.NotEnoughMemory,
                $"{Name} has {Bytes.Text(Free)} of memory left for it and {Bytes.Text(unit.MemoryOnArrival)} are needed while it arrives ({Bytes.Text(_reserve)} stay free as reserve)"));
        if (unit.DiskOnArrival > _disk)
            blockers.Add(new Blocker(BlockerCode.NotEnoughDisk, $"{Name} has {Bytes.Text(_disk)} of disk left and {Bytes.Text(unit.DiskOnArrival)} are needed"));
        foreach (UnitMember member in unit.Members)
        {
            ContainerPolicy wish = member.Wish;
            if (wish.Zones.Count > 0 && !wish.Zones.Contains(_peer.Zone))
                blockers.Add(new Blocker(BlockerCode.ZoneRule,
                    $"{Name} is in {(_peer.Zone.Length > 0 ? $"zone {_peer.Zone}" : "no zone that it tells")}, and {member.Container.Name} may be in {string.Join(" or ", wish.Zones)} only (evacuator.zone)"));
            if (wish.Spread is { } group && spread.IsTaken(_location, wish.SpreadOver, group))
                blockers.Add(new Blocker(BlockerCode.SpreadRule, wish.SpreadOver == SpreadOver.Node
                    ? $"{Name} already has a member of the group {group} (evacuator.spread)"
                    : $"the {(wish.SpreadOver == SpreadOver.Rack ? "rack" : "zone")} of {Name} already has a member of the group {group} (evacuator.spread, evacuator.spread-over)"));
            if (_peer.Names.Contains(member.Container.Name))
                blockers.Add(new Blocker(BlockerCode.NameTaken, $"{Name} already has a container named {member.Container.Name}: rename one of them"));
            foreach (string address in member.Addresses.Where(_peer.Addresses.Contains))
                blockers.Add(new Blocker(BlockerCode.AddressTaken, $"a container on {Name} has the address {address} of {member.Container.Name}: change one of them"));
            if (member.Mode == MoveMode.Live)
                blockers.AddRange(_incompatible);
        }

        return [.. blockers.DistinctBy(blocker => (blocker.Code, blocker.Text))];
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Name}: {Bytes.Text(Free)} free, {Taken} taken");
}
