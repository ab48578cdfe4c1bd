using Evacuator.Common.AgentApi;

namespace Evacuator.Placement;

/// <summary>What has to find one place: a container, or a group whose members go together.</summary>
internal sealed class PlacementUnit
{
    /// <param name="members">in the order in which they leave</param>
    public PlacementUnit(UnitMember[] members)
    {
        Members = members;
        Name = members[0].Wish.Group is { } group && members.Length > 1 ? group : members[0].Container.Name;
        long largest = 0;
        foreach (UnitMember member in members)
        {
            Priority = Math.Max(Priority, member.Wish.Priority);
            Memory += member.Container.MemoryBytes;
            Disk += member.Container.DiskBytes;
            Cpu += double.IsFinite(member.Container.CpuCores) ? Math.Max(0, member.Container.CpuCores) : 0;
            largest = Math.Max(largest, member.Container.MemoryBytes);
        }

        // The last to arrive may be the largest: what the others hold by then is simple, what it needs on arrival is not.
        MemoryOnArrival = Memory - largest + ArrivalNeeds.Memory(largest);
        DiskOnArrival = ArrivalNeeds.Disk(Disk);
    }

    public UnitMember[] Members { get; }

    /// <summary>Of the group, or of the one container.</summary>
    public string Name { get; }

    /// <summary>The highest of its members.</summary>
    public int Priority { get; }

    public long Memory { get; }

    public long MemoryOnArrival { get; }

    public long Disk { get; }

    public long DiskOnArrival { get; }

    /// <summary>Processors kept busy.</summary>
    public double Cpu { get; }
}

/// <param name="Mode">how it can go</param>
/// <param name="ModeReason">why not live; empty when live</param>
internal sealed record UnitMember(ContainerReport Container, ContainerPolicy Wish, MoveMode Mode, string ModeReason)
{
    /// <summary>Without prefix length.</summary>
    public string[] Addresses { get; } = [.. Container.Addresses.Select(WithoutPrefix)];

    public static string WithoutPrefix(string address) => address.IndexOf('/', StringComparison.Ordinal) is > 0 and var slash ? address[..slash] : address;
}
