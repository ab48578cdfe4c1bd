using System.Collections.Frozen;
using Evacuator.Common.AgentApi;
using Evacuator.Placement;

namespace Evacuator.Simulation;

/// <summary>A host without a kernel: its memory and the containers on it. Not thread-safe; the world has one lock.</summary>
internal sealed class SimulatedNode(string name, string zone, long memory)
{
    private readonly Dictionary<string, ContainerReport> _containers = [];
    private long _used;
    private PeerView? _view;

    public string Name { get; } = name;

    public string Zone { get; } = zone;

    public long Memory { get; } = memory;

    public bool Open { get; private set; } = true;

    public long Free => Memory - _used;

    public IReadOnlyCollection<ContainerReport> Containers => _containers.Values;

    /// <summary>As its agent would report it.</summary>
    public HostReport Host => new()
    {
        Node = Name,
        BootId = "simulated",
        AgentVersion = "simulated",
        ProtocolVersion = 1,
        Kernel = "6.12.48",
        MemoryTotal = Memory,
        MemoryAvailable = Free,
        MemoryReserved = 0,
        DiskAvailable = 1L << 42,
        Cpus = 32,
        LoadAverage = _containers.Count * 0.1,
        InboundOpen = Open,
        Requirements = [],
    };

    /// <summary>As a source sees it when it asks.</summary>
    public PeerView View => _view ??= new PeerView
    {
        Name = Name,
        Zone = Zone,
        Host = Host,
        Names = _containers.Keys.ToFrozenSet(StringComparer.Ordinal),
        Addresses = _containers.Values.SelectMany(container => container.Addresses).Select(UnitMember.WithoutPrefix).ToFrozenSet(StringComparer.Ordinal),
        Excluded = Open ? null : new ExcludedPeer(Name, BlockerCode.AdmissionClosed, "it is being emptied"),
    };

    public void SetOpen(bool open) => (Open, _view) = (open, null);

    /// <summary>As its agent decides when room is asked for.</summary>
    public bool TryAdd(ContainerReport container)
    {
        if (!Open || ArrivalNeeds.Memory(container.MemoryBytes) > Free || !_containers.TryAdd(container.Name, container))
            return false;
        _used += container.MemoryBytes;
        _view = null;
        return true;
    }

    public void Remove(ContainerReport container)
    {
        if (!_containers.Remove(container.Name))
            throw new InvalidOperationException($"{container.Name} is not on {Name}");
        _used -= container.MemoryBytes;
        _view = null;
    }
}
