using System.Text.Json.Serialization;
using Evacuator.Common.AgentApi;

namespace Evacuator.NodeAgent.Network;

/// <summary>A veth of a container, with all that the kernel keeps about it.</summary>
internal sealed record InterfaceDescription
{
    /// <summary>In the container, e.g. eth0.</summary>
    public required string Name { get; init; }

    /// <summary>Its index in the container; kept, since sockets bound to a device and link-local scopes remember it.</summary>
    public required int Index { get; init; }

    /// <summary>Kind as the kernel names it: veth.</summary>
    public required string Kind { get; init; }

    /// <summary>The host's end; the destination may have to choose another name.</summary>
    public string? HostName { get; init; }

    /// <summary>Hardware address of the host's end: guards against removing a stranger's interface of the same name.</summary>
    public string? HostMac { get; init; }

    /// <summary>Bridge that the host's end hangs on; null if on none.</summary>
    public string? Bridge { get; init; }

    public required string Mac { get; init; }

    public required int Mtu { get; init; }

    public required bool Up { get; init; }

    /// <summary>Settings of the bridge port; null if not on a bridge.</summary>
    public BridgePortDescription? Port { get; init; }

    public IReadOnlyList<AddressDescription> Addresses { get; init; } = [];

    public IReadOnlyList<RouteDescription> Routes { get; init; } = [];

    public IReadOnlyList<NeighbourDescription> Neighbours { get; init; } = [];
}

/// <summary>An address of an interface. Scope and flags are the kernel's numbers (RT_SCOPE_*, IFA_F_*), lifetimes seconds, null for ever.</summary>
internal sealed record AddressDescription(
    string Address, int PrefixLength, byte Scope, uint Flags, string? Broadcast = null, string? Label = null, string? Peer = null,
    uint? ValidSeconds = null, uint? PreferredSeconds = null);

/// <summary>
/// A route. Destination is ADDRESS/PREFIX; numbers are the kernel's: table (RT_TABLE_*), protocol (RTPROT_*), scope (RT_SCOPE_*), type
/// (RTN_*), flags (RTNH_F_ONLINK …), metrics by RTAX_* number.
/// </summary>
internal sealed record RouteDescription(
    string Destination, uint Table, byte Protocol, byte Scope, byte Type, string? Gateway = null, string? Source = null,
    uint? Priority = null, uint Flags = 0, byte Tos = 0, IReadOnlyDictionary<int, uint>? Metrics = null);

/// <summary>What the container knew about a neighbour: without it the first packets after the move wait a second for ARP.</summary>
internal sealed record NeighbourDescription(string Address, string Mac, NeighbourState State, bool Router = false);

/// <summary>NUD_* of the kernel.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<NeighbourState>))]
internal enum NeighbourState
{
    None = 0,
    Incomplete = 0x01,
    Reachable = 0x02,
    Stale = 0x04,
    Delay = 0x08,
    Probe = 0x10,
    Failed = 0x20,
    NoArp = 0x40,
    Permanent = 0x80,
}

/// <summary>Settings of a bridge port that decide what reaches the container.</summary>
internal sealed record BridgePortDescription(bool Isolated, bool Hairpin, bool Guard, bool Learning, bool UnicastFlood, bool MulticastFlood);
