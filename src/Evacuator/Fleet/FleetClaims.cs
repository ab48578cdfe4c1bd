using Evacuator.Common.AgentApi;
using Evacuator.Fleet.Etcd;
using Evacuator.Placement;

namespace Evacuator.Fleet;

/// <summary>What a plan has to reckon with that no peer's own answer tells.</summary>
/// <param name="Pending">what other nodes are about to send, and have no room for so far</param>
/// <param name="Owners">of names that a living other node has as well</param>
internal sealed record FleetClaims(IReadOnlyList<PlanShare> Pending, IReadOnlyDictionary<string, string> Owners)
{
    public static FleetClaims None { get; } = new([], new Dictionary<string, string>());

    /// <summary>Two containers of one name cannot both be found again: neither moves until one has another name.</summary>
    public IReadOnlyList<ContainerReport> Mark(IEnumerable<ContainerReport> containers) =>
    [
        .. containers.Select(container => Owners.GetValueOrDefault(container.Name) is { } owner
            ? container with { Blockers = [.. container.Blockers, new Blocker(BlockerCode.NameTaken, $"the name {container.Name} is taken by {owner}, which runs a container of this name: rename one of them")] }
            : container),
    ];

    /// <summary>The peers with what they will have left once the others' plans are done.</summary>
    public IReadOnlyList<PeerView> Reduce(IReadOnlyList<PeerView> peers)
    {
        if (Pending.Count == 0)
            return peers;
        ILookup<string, PlanShare> shares = Pending.ToLookup(share => share.Destination, StringComparer.Ordinal);
        return
        [
            .. peers.Select(peer => peer.Host is { } host && shares[peer.Name].ToList() is { Count: > 0 } coming
                ? peer with
                {
                    Host = host with
                    {
                        MemoryAvailable = host.MemoryAvailable - coming.Sum(share => Math.Max(0, share.Memory)),
                        DiskAvailable = host.DiskAvailable - coming.Sum(share => Math.Max(0, share.Disk)),
                    },
                }
                : peer),
        ];
    }
}
