using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Network.Netlink;

namespace Evacuator.NodeAgent.Network;

internal sealed partial class NetworkHandover
{
    // Made by the kernel in every namespace when their modules are loaded; they are down and mean nothing.
    internal static readonly IReadOnlySet<string> FallbackDevices =
        new HashSet<string> { "tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip6gre0", "ip_vti0", "ip6_vti0" };

    /// <summary>Fills in interfaces, routes, neighbours and network settings from the kernel.</summary>
    /// <exception cref="NetworkException">the namespace cannot be read</exception>
    public Task<ContainerDescription> CaptureAsync(ContainerDescription container, CancellationToken cancel) =>
        Task.Run(() => Capture(container, withSettings: true), cancel);

    /// <summary>Reads the neighbour tables again (a few hundred µs): they change until the freeze.</summary>
    public Task<ContainerDescription> RefreshNeighboursAsync(ContainerDescription container, CancellationToken cancel) =>
        HasOwnNetwork(container) ? Task.Run(() => RefreshNeighbours(container), cancel) : Task.FromResult(container);

    /// <summary>Like <see cref="CaptureAsync"/>, at once; the settings are the slow part (some hundred small files), which only a move needs.</summary>
    internal ContainerDescription Capture(ContainerDescription container, bool withSettings)
    {
        ContainerDescription captured = Read(container, withSettings);
        if (withSettings)
            Rehearse(captured);
        return captured;
    }

    private ContainerDescription Read(ContainerDescription container, bool withSettings)
    {
        if (container.Network == NetworkKind.Host)
            return container;
        string path = container.NetnsPath ?? $"{_paths.Proc}/{container.InitPid}/ns/net";
        List<Blocker> faults = [];
        using NetworkNamespace space = NetworkNamespace.Open(path);
        if (container.NetnsPath is not null && IsElsewhere(container, path))
            faults.Add(new Blocker(
                BlockerCode.NetworkNotExternal, $"its processes do not run in the network namespace {path} that its config.json names; start it again"));
        (RouteSocket routes, Dictionary<string, string> settings) = space.Run(() => (RouteSocket.Open(), withSettings ? NetworkSettings.Read() : []));
        using (routes)
        {
            IReadOnlyList<LinkInfo> links = routes.Links();
            ILookup<int, AddressDescription> addresses = routes.Addresses();
            List<string> strange = [];
            ILookup<int, RouteDescription> routeTable = routes.Routes(strange);
            ILookup<int, NeighbourDescription> neighbours = routes.Neighbours();
            if (routes.CustomRules() is > 0 and int rules)
                strange.Add($"there are {rules} policy routing rules");
            faults.AddRange(strange.Select(s => new Blocker(
                BlockerCode.FeatureMissing, $"in its network namespace {s}, which cannot be carried to another host; remove that or move it by hand")));

            Dictionary<int, LinkInfo> host = OnHost(own => own.Links()).ToDictionary(l => l.Index);
            int? id = OnHost(own => own.NamespaceId(space.Handle));
            List<InterfaceDescription> interfaces = [];
            InterfaceDescription? loopback = null;
            foreach (LinkInfo link in links.OrderBy(l => l.Index))
            {
                InterfaceDescription found = new()
                {
                    Name = link.Name, Index = link.Index, Kind = link.Loopback ? "lo" : link.Kind, Mac = link.Mac ?? "", Mtu = link.Mtu, Up = link.Up,
                    Addresses = [.. addresses[link.Index]], Routes = [.. routeTable[link.Index]],
                    Neighbours = link.Loopback ? [] : [.. neighbours[link.Index]],
                };
                if (link.Loopback)
                    loopback = found;
                else if (link.Kind == "veth")
                    interfaces.Add(WithHostEnd(found, host, id, faults));
                else if (link.Up || found.Addresses.Count > 0 || !FallbackDevices.Contains(link.Name))
                    faults.Add(new Blocker(
                        BlockerCode.UnsupportedDevice, $"its interface {link.Name} is of the kind '{(link.Kind.Length > 0 ? link.Kind : "physical")}'; only veth can move"));
            }
            return container with
            {
                Network = container.Network == NetworkKind.Isolated && interfaces.Count > 0 ? NetworkKind.Unnamed : container.Network,
                Interfaces = interfaces, Loopback = loopback, DevicelessRoutes = [.. routeTable[0]], NetworkFaults = faults, Sysctls = settings,
            };
        }
    }

    private ContainerDescription RefreshNeighbours(ContainerDescription container)
    {
        using NetworkNamespace space = NetworkNamespace.Open(container.NetnsPath!);
        using RouteSocket routes = space.OpenRoutes();
        ILookup<int, NeighbourDescription> neighbours = routes.Neighbours();
        return container with { Interfaces = [.. container.Interfaces.Select(i => i with { Neighbours = [.. neighbours[i.Index]] })] };
    }

    /// <summary>The other end of a veth is the host's veth that points back: same peer index, and this namespace as its peer's.</summary>
    private static InterfaceDescription WithHostEnd(InterfaceDescription link, Dictionary<int, LinkInfo> host, int? namespaceId, List<Blocker> faults)
    {
        LinkInfo? end = host.Values.FirstOrDefault(l => l.Kind == "veth" && l.PeerIndex == link.Index && l.PeerNamespace is { } id && id == namespaceId);
        if (end is null)
        {
            faults.Add(new Blocker(BlockerCode.NetworkNotExternal, $"the other end of its interface {link.Name} is not on this host; only veths on a bridge of the host can move"));
            return link;
        }
        LinkInfo? bridge = host.GetValueOrDefault(end.MasterIndex);
        if (bridge?.Bridge is null)
            faults.Add(new Blocker(
                BlockerCode.NetworkNotExternal, $"the host's end {end.Name} of its interface {link.Name} is on no bridge; put it on one that the peers have too"));
        else if (bridge.Bridge.VlanFiltering)
            faults.Add(new Blocker(BlockerCode.FeatureMissing, $"bridge {bridge.Name} filters VLANs, and the VLANs of its port {end.Name} cannot be carried"));
        return link with { HostName = end.Name, HostMac = end.Mac, Bridge = bridge?.Bridge is null ? null : bridge.Name, Port = end.Port };
    }

    private bool IsElsewhere(ContainerDescription container, string path) =>
        container.InitPid > 0
        && Interop.FileCalls.TryStat($"{_paths.Proc}/{container.InitPid}/ns/net", out Interop.FileCalls.Statx actual)
        && Interop.FileCalls.TryStat(path, out Interop.FileCalls.Statx named)
        && actual.Identity != named.Identity;
}
