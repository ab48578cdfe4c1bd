using System.Net;
using System.Text.RegularExpressions;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.Network.Netlink;

namespace Evacuator.NodeAgent.Containers;

/// <summary>
/// What a description that came from a peer has to keep to before any of its paths and names are used by root. A peer is trusted to hand over
/// a container; it is not trusted with this host's own files, cgroups and namespaces.
/// </summary>
internal static partial class ManifestRules
{
    private const int ConfigLimit = 1 << 20;
    private const int TreeLimit = 256;
    private const int InterfaceLimit = 32;
    private const int EntryLimit = 8192;
    private const int NameLength = 15;

    /// <summary>Every fault, in words; empty if the manifest may be used.</summary>
    public static IReadOnlyList<string> Check(ContainerDescription manifest)
    {
        List<string> faults = [];
        void Require(bool condition, string fault)
        {
            if (!condition)
                faults.Add(fault);
        }

        Require(RuncRuntime.IsName(manifest.Name), $"the name '{manifest.Name}' is not one that runc accepts");
        Require(manifest.ConfigJson.Length <= ConfigLimit, $"config.json is longer than {ConfigLimit} characters");
        Require(manifest.MemoryBytes >= 0, "its memory is negative");
        Require(
            HostPlaces.IsPlain(manifest.CgroupPath) && !HostPlaces.IsUnitCgroup(manifest.CgroupPath), $"the cgroup '{manifest.CgroupPath}' is not a container's");
        CheckTrees(manifest, Require);
        CheckNetwork(manifest, Require);
        if (faults.Count == 0)
            CheckConfig(manifest, Require);
        return faults;
    }

    private static void CheckTrees(ContainerDescription manifest, Action<bool, string> require)
    {
        require(manifest.Trees.Count is > 0 and <= TreeLimit, $"it has {manifest.Trees.Count} trees");
        require(manifest.HostPaths.Count <= TreeLimit, $"it names {manifest.HostPaths.Count} paths of the host");
        foreach (string path in manifest.Trees.Select(tree => tree.Path))
            require(
                HostPlaces.IsPlain(path) && !HostPlaces.IsSystem(path) && !HostPlaces.IsTooWide(path), $"the path '{path}' may not be taken by a container");
        // Whoever fills the outer tree could put a link where the inner one is to be, and so have it written anywhere.
        string[] sorted = [.. manifest.Trees.Select(tree => tree.Path + "/").Order(StringComparer.Ordinal)];
        for (int i = 1; i < sorted.Length; i++)
            require(!sorted[i].StartsWith(sorted[i - 1], StringComparison.Ordinal), $"the tree '{sorted[i].TrimEnd('/')}' is inside of another one");
        foreach (string path in manifest.HostPaths)
            require(HostPlaces.IsPlain(path), $"'{path}' is not a plain path");
        require(
            manifest.Trees.Any(tree => HostPlaces.IsPlain(tree.Path) && HostPlaces.IsWithin(manifest.Bundle, tree.Path)) || IsShared(manifest, manifest.Bundle),
            $"its bundle {manifest.Bundle} is in none of its trees");
        require(
            manifest.Trees.Any(tree => HostPlaces.IsPlain(tree.Path) && HostPlaces.IsWithin(manifest.Rootfs, tree.Path)) || IsShared(manifest, manifest.Rootfs),
            $"its root file system {manifest.Rootfs} is in none of its trees");
        require(HostPlaces.IsPlain(manifest.Bundle) && HostPlaces.IsPlain(manifest.Rootfs), "bundle and root file system have to be plain absolute paths");
    }

    private static bool IsShared(ContainerDescription manifest, string path) => manifest.SharedPaths.Any(place => HostPlaces.IsWithin(path, place));

    private static void CheckNetwork(ContainerDescription manifest, Action<bool, string> require)
    {
        require(manifest.Network is NetworkKind.Named or NetworkKind.Isolated, $"a container with the network '{manifest.Network}' cannot move");
        require(
            manifest.Network == NetworkKind.Named ? manifest.NetnsPath is { } path && IsNamespacePath(path) : manifest.Interfaces.Count == 0,
            $"the network namespace '{manifest.NetnsPath}' is not one by name in /run/netns");
        require(manifest.Interfaces.Count <= InterfaceLimit, $"it has {manifest.Interfaces.Count} interfaces");
        require(manifest.Sysctls.Count <= EntryLimit, $"it has {manifest.Sysctls.Count} network settings");
        foreach ((string key, string value) in manifest.Sysctls.Take(EntryLimit))
            require(SettingPattern().IsMatch(key) && !key.Contains("..") && value.Length <= 1024, $"the network setting '{key}' is not allowed");
        foreach (InterfaceDescription link in manifest.Interfaces.Take(InterfaceLimit))
        {
            require(IsInterfaceName(link.Name) && link.Name != "lo", $"'{link.Name}' is not a name of an interface");
            require(link.HostName is null || IsInterfaceName(link.HostName), $"'{link.HostName}' is not a name of an interface");
            require(link.Bridge is not null && IsInterfaceName(link.Bridge), $"interface {link.Name} hangs on no bridge");
            require(link.Kind == "veth", $"interface {link.Name} is of the kind '{link.Kind}'");
            require(RouteSocket.TryParseMac(link.Mac, out byte[] mac) && (mac[0] & 1) == 0, $"'{link.Mac}' is not a hardware address of an interface");
            require(link.Mtu is >= 68 and <= 65535 && link.Index is > 1 and < 1 << 30, $"interface {link.Name} has MTU {link.Mtu} and index {link.Index}");
        }
        foreach (InterfaceDescription link in manifest.Loopback is { } lo ? manifest.Interfaces.Append(lo) : manifest.Interfaces)
            CheckLink(link, require);
        foreach (RouteDescription route in manifest.DevicelessRoutes.Take(EntryLimit))
            require(IsRoute(route), $"the route '{route.Destination}' cannot be understood");
    }

    private static void CheckLink(InterfaceDescription link, Action<bool, string> require)
    {
        require(
            link.Addresses.Count <= EntryLimit && link.Routes.Count <= EntryLimit && link.Neighbours.Count <= EntryLimit,
            $"interface {link.Name} has more than {EntryLimit} addresses, routes or neighbours");
        foreach (AddressDescription address in link.Addresses.Take(EntryLimit))
            require(
                IPAddress.TryParse(address.Address, out _) && address.PrefixLength is >= 0 and <= 128 && IsAddressOrNull(address.Broadcast) && IsAddressOrNull(address.Peer)
                && address.Label is null or { Length: <= NameLength }, $"the address '{address.Address}/{address.PrefixLength}' cannot be understood");
        foreach (RouteDescription route in link.Routes.Take(EntryLimit))
            require(IsRoute(route), $"the route '{route.Destination}' cannot be understood");
        foreach (NeighbourDescription neighbour in link.Neighbours.Take(EntryLimit))
            require(
                IPAddress.TryParse(neighbour.Address, out _) && RouteSocket.TryParseMac(neighbour.Mac, out _), $"the neighbour '{neighbour.Address}' cannot be understood");
    }

    /// <summary>What runc will read must be what was checked.</summary>
    private static void CheckConfig(ContainerDescription manifest, Action<bool, string> require)
    {
        try
        {
            OciConfig config = OciConfig.Parse(manifest.ConfigJson, "config.json");
            require(
                config.Namespaces.GetValueOrDefault("network") == manifest.NetnsPath, "config.json names another network namespace than the manifest");
            require(config.Namespaces.ContainsKey("pid") && config.Namespaces["pid"] is null, "it has no pid namespace of its own");
        }
        catch (ContainerException e)
        {
            require(false, e.Message);
        }
    }

    private static bool IsNamespacePath(string path) =>
        HostPlaces.IsPlain(path) && Path.GetDirectoryName(path) is "/run/netns" or "/var/run/netns" && !Path.GetFileName(path).Contains(' ');

    private static bool IsInterfaceName(string name) =>
        name.Length is > 0 and <= NameLength && name is not ("." or "..") && !name.Any(c => c is '/' or ':' || char.IsWhiteSpace(c) || char.IsControl(c));

    private static bool IsRoute(RouteDescription route) =>
        IPNetwork.TryParse(route.Destination, out _) && IsAddressOrNull(route.Gateway) && IsAddressOrNull(route.Source)
        && (route.Metrics is null || (route.Metrics.Count <= 64 && route.Metrics.Keys.All(type => type is > 0 and < 256)));

    private static bool IsAddressOrNull(string? address) => address is null || IPAddress.TryParse(address, out _);

    [GeneratedRegex("^net/[A-Za-z0-9_.@+-]+(/[A-Za-z0-9_.@+-]+)+$")]
    private static partial Regex SettingPattern();
}
