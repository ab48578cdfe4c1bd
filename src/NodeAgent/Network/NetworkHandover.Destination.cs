using System.Security.Cryptography;
using System.Text;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Network.Netlink;

namespace Evacuator.NodeAgent.Network;

internal sealed partial class NetworkHandover
{
    private const byte AddressGenerationNone = 1;
    private const int NameLength = 15;

    /// <summary>
    /// Destination: makes the namespace, veths (the host's end down), addresses, routes and neighbours. Answers the description with the names
    /// chosen here, to be used for all later calls. Undoes itself if it fails.
    /// </summary>
    /// <exception cref="NetworkException">a step failed; nothing is left of it</exception>
    public Task<ContainerDescription> PrepareAsync(ContainerDescription container, CancellationToken cancel) =>
        container is { Network: NetworkKind.Named, NetnsPath: not null } ? Task.Run(() => Prepare(container), cancel) : Task.FromResult(container);

    /// <summary>Destination, prepared and not connected: replaces the neighbour tables by the description's.</summary>
    /// <exception cref="NetworkException">the kernel refused</exception>
    public void UpdateNeighbours(ContainerDescription prepared)
    {
        if (!HasOwnNetwork(prepared))
            return;
        using NetworkNamespace space = NetworkNamespace.Open(prepared.NetnsPath!);
        using RouteSocket routes = space.OpenRoutes();
        ILookup<int, NeighbourDescription> present = routes.Neighbours();
        foreach (InterfaceDescription link in prepared.Interfaces)
        {
            foreach (NeighbourDescription old in present[link.Index].Where(old => link.Neighbours.All(n => n.Address != old.Address)))
                routes.RemoveNeighbour(link.Index, old);
            // Permanent until the link is up: the kernel forgets all others when a carrier goes away, and resolving them now would fail.
            foreach (NeighbourDescription neighbour in link.Neighbours)
                routes.SetNeighbour(link.Index, neighbour, NeighbourState.Permanent);
        }
    }

    /// <summary>Destination: link up, announce every address at once and again after 50, 200 and 1000 ms in the background.</summary>
    /// <exception cref="NetworkException">a link could not be set up</exception>
    public void Connect(ContainerDescription prepared)
    {
        if (!HasOwnNetwork(prepared))
            return;
        long start = time.GetTimestamp();
        using NetworkNamespace space = NetworkNamespace.Open(prepared.NetnsPath!);
        using RouteSocket routes = space.OpenRoutes();
        using Announcer announcer = OpenAnnouncer(prepared);
        OnHost(host =>
        {
            foreach (InterfaceDescription link in prepared.Interfaces)
            {
                host.SetUp(HostEnd(host, link).Index, up: true, link.HostName!);
                // Each end's queue drops everything until a kernel worker has seen that the link is up, on a busy host tens of milliseconds later. Asked for
                // the link, the kernel does that at once (rtnl_getlink, since 6.8).
                _ = host.Link(link.HostName!);
                _ = routes.Link(link.Name);
            }
        });
        LogConnected(prepared.Name, Announce(announcer), (long)time.GetElapsedTime(start).TotalMicroseconds);

        // What was not permanent at the source becomes usual again: used at once, verified by the kernel while in use.
        foreach (InterfaceDescription link in prepared.Interfaces)
            foreach (NeighbourDescription neighbour in link.Neighbours.Where(n => n.State != NeighbourState.Permanent))
                routes.SetNeighbour(link.Index, neighbour, NeighbourState.Stale);
    }

    /// <summary>Removes the container's veths and its named namespace, at either side. Idempotent.</summary>
    /// <exception cref="NetworkException">the kernel refused</exception>
    public Task RemoveAsync(ContainerDescription container, CancellationToken cancel) =>
        container is { Network: NetworkKind.Named, NetnsPath: not null } ? Task.Run(() => Remove(container), cancel) : Task.CompletedTask;

    private ContainerDescription Prepare(ContainerDescription container)
    {
        string path = container.NetnsPath!;
        NamedNamespace.Create(path);
        ContainerDescription prepared = container with { Interfaces = [] };
        try
        {
            using NetworkNamespace space = NetworkNamespace.Open(path);
            using NetworkNamespace own = NetworkNamespace.Open(_paths.HostNetns);
            using RouteSocket routes = space.OpenRoutes();
            WriteSettings(space, container, key => NetworkSettings.InterfaceOf(key) is null);
            foreach (InterfaceDescription link in container.Interfaces)
            {
                InterfaceDescription named = ChooseHostEnd(container, link);
                routes.AddVeth(named, named.HostName!, named.HostMac!, own.Handle);
                prepared = prepared with { Interfaces = [.. prepared.Interfaces, named] };
                routes.SetAddressGeneration(link.Index, AddressGenerationNone, link.Name);
                OnHost(host => Enslave(host, named));
            }
            // Address generation waits: given back before the addresses exist, it would make some.
            WriteSettings(space, container, key => NetworkSettings.InterfaceOf(key) is not null && !IsAddressGeneration(key));
            if (container.Loopback is { Up: true } loopback)
                BringUp(routes, loopback);
            foreach (InterfaceDescription link in prepared.Interfaces.Where(l => l.Up))
                BringUp(routes, link);
            foreach (RouteDescription route in container.DevicelessRoutes)
                routes.AddRoute(0, route);
            WriteSettings(space, container, IsAddressGeneration);
            Rehearse(prepared);
        }
        catch
        {
            Remove(prepared);
            throw;
        }
        LogPrepared(container.Name, path);
        return prepared;
    }

    private static bool IsAddressGeneration(string key) => NetworkSettings.InterfaceOf(key) is not null && key.EndsWith("/addr_gen_mode", StringComparison.Ordinal);

    private static void BringUp(RouteSocket routes, InterfaceDescription link)
    {
        routes.SetUp(link.Index, up: true, link.Name);
        foreach (AddressDescription address in link.Addresses)
            routes.AddAddress(link.Index, address);
        // Routes to a gateway need the route to the gateway first; those without one come first, and the rest in the kernel's order.
        foreach (RouteDescription route in link.Routes.OrderBy(r => r.Gateway is null ? 0 : 1))
            routes.AddRoute(link.Index, route);
        foreach (NeighbourDescription neighbour in link.Neighbours)
            routes.SetNeighbour(link.Index, neighbour, NeighbourState.Permanent);
    }

    private static void Enslave(RouteSocket host, InterfaceDescription link)
    {
        LinkInfo end = host.Link(link.HostName!) ?? throw new NetworkException($"{link.HostName} vanished while it was made", ENODEV);
        LinkInfo bridge = host.Link(link.Bridge ?? "") ?? throw new NetworkException(
            $"there is no bridge {link.Bridge} on this host", ENODEV, code: BlockerCode.BridgeMissing);
        host.SetMaster(end.Index, bridge.Index, end.Name, bridge.Name);
        if (link.Port is { } port && host.Link(end.Name)?.Port != port)
            host.SetPort(end.Index, port, end.Name);
    }

    private InterfaceDescription ChooseHostEnd(ContainerDescription container, InterfaceDescription link)
    {
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes($"{container.Name}\0{link.Name}\0{link.Mac}"));
        string wanted = link.HostName ?? "";
        string name = wanted;
        for (int i = 0; name.Length is 0 or > NameLength || OnHost(host => host.Link(name)) is not null; i++)
            name = $"ev{Convert.ToHexStringLower(hash, 2 * (i % 8), 6)}";
        if (name != wanted)
            LogRenamed(container.Name, link.Name, name, wanted);
        // A bridge without an address of its own takes the lowest of its ports': a high one keeps the host's address on it as it is.
        return link with { HostName = name, HostMac = $"fe:{hash[16]:x2}:{hash[17]:x2}:{hash[18]:x2}:{hash[19]:x2}:{hash[20]:x2}" };
    }

    private void WriteSettings(NetworkNamespace space, ContainerDescription container, Func<string, bool> wanted)
    {
        IReadOnlyList<string> failed = space.Run(() => NetworkSettings.Write(container.Sysctls, wanted));
        if (failed.Count > 0)
            LogSettingsLeft(container.Name, string.Join(' ', failed));
    }

    private void Remove(ContainerDescription container)
    {
        OnHost(host =>
        {
            foreach (InterfaceDescription link in container.Interfaces)
                if (link.HostName is not null && host.Link(link.HostName) is { } end)
                {
                    // A name may have been taken by another container since; its hardware address has not.
                    if (end.Mac == link.HostMac && end.Kind == "veth")
                        host.RemoveLink(end.Index, end.Name);
                    else
                        LogStranger(container.Name, end.Name, end.Mac, link.HostMac);
                }
        });
        if (NamedNamespace.Remove(container.NetnsPath!))
            LogRemoved(container.Name, container.NetnsPath!);
    }
}
