using System.Net;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Network.Netlink;

namespace Evacuator.NodeAgent.Network;

internal sealed partial class NetworkHandover
{
    // On a LAN an answer takes well under a millisecond; the probe is sent again once, for a frame lost.
    private static readonly TimeSpan ProbeTime = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan ProbeAgain = TimeSpan.FromMilliseconds(80);

    /// <summary>Destination: everything that speaks against the container's network here.</summary>
    public Task<IReadOnlyList<Blocker>> CheckAsync(ContainerDescription container, CancellationToken cancel) =>
        container is { Network: NetworkKind.Named, NetnsPath: not null }
            ? Task.Factory.StartNew(() => Check(container), cancel, TaskCreationOptions.LongRunning, TaskScheduler.Default)
            : Task.FromResult<IReadOnlyList<Blocker>>([]);

    private IReadOnlyList<Blocker> Check(ContainerDescription container)
    {
        List<Blocker> blockers = [];
        if (File.Exists(container.NetnsPath))
            blockers.Add(new Blocker(BlockerCode.NameTaken, $"there is a network namespace {container.NetnsPath} on this host already; remove or rename it"));

        List<InterfaceDescription> reachable = [];
        foreach (InterfaceDescription link in container.Interfaces)
        {
            Blocker? fault = CheckBridge(link);
            if (fault is null)
                reachable.Add(link);
            else
                blockers.Add(fault);
        }
        blockers.AddRange(AddressesOnThisHost(container));
        // What is known to be taken need not be asked for on the wire.
        if (blockers.All(b => b.Code != BlockerCode.AddressTaken))
            foreach (InterfaceDescription link in reachable)
                blockers.AddRange(Probe(link));
        return blockers;
    }

    private Blocker? CheckBridge(InterfaceDescription link)
    {
        if (string.IsNullOrEmpty(link.Bridge))
            return new Blocker(BlockerCode.NetworkNotExternal, $"interface {link.Name} hangs on no bridge at the source");
        LinkInfo? bridge = OnHost(host => host.Link(link.Bridge));
        return bridge switch
        {
            null => new Blocker(BlockerCode.BridgeMissing, $"there is no bridge {link.Bridge} on this host for interface {link.Name}; make one with its uplink in the same network"),
            { Bridge: null } => new Blocker(BlockerCode.BridgeMissing, $"{link.Bridge} is not a bridge on this host, as interface {link.Name} needs"),
            { Up: false } => new Blocker(BlockerCode.BridgeMissing, $"bridge {link.Bridge} is down on this host; set it up"),
            { Bridge.KernelStp: true } => new Blocker(
                BlockerCode.FeatureMissing, $"bridge {link.Bridge} runs the kernel's spanning tree: a new port would be silent for its forward delay; turn STP off or use RSTP (mstpd)"),
            { Bridge.VlanFiltering: true } => new Blocker(BlockerCode.FeatureMissing, $"bridge {link.Bridge} filters VLANs, which a moved port would not know"),
            _ => null,
        };
    }

    /// <summary>Addresses and MACs of the container that this host or a named namespace on it has already.</summary>
    private IEnumerable<Blocker> AddressesOnThisHost(ContainerDescription container)
    {
        HashSet<string> wanted = [.. container.Interfaces.SelectMany(AddressesOf).Where(a => !a.IsIPv6LinkLocal).Select(a => a.ToString())];
        HashSet<string> macs = [.. container.Interfaces.Select(l => l.Mac)];
        List<(string Owner, string Path)> spaces = [("this host", _paths.HostNetns)];
        if (Directory.Exists(_paths.Netns))
            spaces.AddRange(Directory.EnumerateFiles(_paths.Netns).Where(NamedNamespace.Exists).Select(path => ($"the network namespace {path} on this host", path)));
        foreach ((string owner, string path) in spaces)
        {
            using NetworkNamespace space = NetworkNamespace.Open(path);
            using RouteSocket routes = space.OpenRoutes();
            foreach (string taken in routes.Addresses().SelectMany(a => a).Select(a => a.Address).Where(wanted.Contains))
                yield return new Blocker(BlockerCode.AddressTaken, $"the address {taken} is used by {owner}");
            foreach (LinkInfo link in routes.Links().Where(l => l.Mac is not null && macs.Contains(l.Mac)))
                yield return new Blocker(BlockerCode.AddressTaken, $"the hardware address {link.Mac} is used by {owner} ({link.Name})");
        }
    }

    /// <summary>
    /// Asks on the bridge who has the container's addresses. The container itself still answers, from the source and with its own hardware
    /// address; anyone else is in the way.
    /// </summary>
    private IEnumerable<Blocker> Probe(InterfaceDescription link)
    {
        List<IPAddress> addresses = [.. AddressesOf(link)];
        using NetworkNamespace own = NetworkNamespace.Open(_paths.HostNetns);
        LinkInfo? bridge = OnHost(host => host.Link(link.Bridge!));
        if (bridge?.Mac is null || addresses.Count == 0)
            return [];
        byte[] bridgeMac = RouteSocket.ParseMac(bridge.Mac);
        List<byte[]> probes = [.. addresses.Select(address => Frames.Probe(bridgeMac, address))];
        Dictionary<IPAddress, string> claims = [];
        using PacketSocket socket = own.Run(() => PacketSocket.Open(bridge.Index, listen: true));
        long start = time.GetTimestamp();
        bool again = true;
        probes.ForEach(probe => socket.TrySend(probe));
        while (time.GetElapsedTime(start) is var elapsed && elapsed < ProbeTime)
        {
            if (again && elapsed >= ProbeAgain)
            {
                probes.ForEach(probe => socket.TrySend(probe));
                again = false;
            }
            if (socket.TryReceive((again ? ProbeAgain : ProbeTime) - elapsed, out ReadOnlySpan<byte> frame)
                && Frames.TryReadClaim(frame, out IPAddress address, out byte[] mac) && addresses.Contains(address)
                && RouteSocket.FormatMac(mac) != link.Mac)
                claims[address] = RouteSocket.FormatMac(mac);
        }
        return claims.Select(claim => new Blocker(
            BlockerCode.AddressTaken, $"the address {claim.Key} is used by the hardware address {claim.Value} in the network of bridge {link.Bridge}, while the container has {link.Mac}"));
    }
}
