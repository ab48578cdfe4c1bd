using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Network;

namespace Evacuator.NodeAgent.Tests.Containers;

public sealed class ManifestRulesTests
{
    private static readonly ContainerDescription Good = new()
    {
        Name = "c1", State = "running", Bundle = "/srv/c1", Rootfs = "/srv/c1/rootfs", RuncRoot = "/run/runc", SystemdCgroup = false, CgroupPath = "/containers/c1",
        ConfigJson = """{"root":{"path":"rootfs"},"linux":{"namespaces":[{"type":"pid"},{"type":"network","path":"/run/netns/c1"}]}}""",
        InitPid = 7, MemoryBytes = 1, Annotations = new Dictionary<string, string>(), Network = NetworkKind.Named, NetnsPath = "/run/netns/c1",
        Interfaces =
        [
            new InterfaceDescription
            {
                Name = "eth0", Index = 2, Kind = "veth", HostName = "ve-c1", Bridge = "br0", Mac = "02:00:00:00:00:01", Mtu = 1500, Up = true,
                Addresses = [new AddressDescription("10.0.0.7", 24, 0, 0)], Routes = [new RouteDescription("0.0.0.0/0", 254, 3, 0, 1, "10.0.0.1")],
                Neighbours = [new NeighbourDescription("10.0.0.1", "02:00:00:00:00:02", NeighbourState.Stale)],
            },
        ],
        Sysctls = new Dictionary<string, string> { ["net/ipv4/ip_forward"] = "1" },
        Trees = [new TreeDescription("/srv/c1", TreeKind.Bundle, ReadOnly: false)], HostPaths = [], SharedPaths = [],
    };

    [Fact]
    public void Manifest_OfAContainer_IsAcceptedAlsoAfterTheWire()
    {
        ContainerDescription sent = JsonSerializer.Deserialize<ContainerDescription>(JsonSerializer.Serialize(Good, ApiJson.Options), ApiJson.Options)!;

        Assert.Empty(ManifestRules.Check(Good));
        Assert.Empty(ManifestRules.Check(sent));
        Assert.Equal(Good.Interfaces[0].Routes, sent.Interfaces[0].Routes);
    }

    public static TheoryData<string, string> Attacks => new()
    {
        { "name", "../../etc" }, { "name", "" }, { "bundle", "/etc/x" }, { "tree", "/etc/cron.d" }, { "tree", "/" }, { "tree", "/srv" }, { "tree", "/srv/../etc/x" },
        { "tree", "srv/c1" }, { "tree", "/srv/c1/rootfs" }, { "tree", "/srv/c1" }, { "tree", "/var/lib/evacuator-agent/x" }, { "tree", "/usr/local/bin" }, { "cgroup", "/system.slice/ssh.service" }, { "cgroup", "/" },
        { "cgroup", "/containers/../system.slice" }, { "netns", "/etc/shadow" }, { "netns", "/run/netns/../../etc/passwd" }, { "netns", "/run/netns/a/b" },
        { "interface", "../x" }, { "interface", "lo" }, { "interface", "a-name-far-too-long" }, { "bridge", "a/b" }, { "mac", "01:00:00:00:00:01" }, { "mac", "zz" },
        { "address", "10.0.0.x" }, { "route", "10.0.0.0/99" }, { "neighbour", "x" }, { "sysctl", "kernel/core_pattern" }, { "sysctl", "net/../kernel/core_pattern" },
        { "network", "host" }, { "config", "{}" }, { "config", """{"root":{"path":"rootfs"},"linux":{"namespaces":[{"type":"pid"},{"type":"network","path":"/run/netns/other"}]}}""" },
        { "config", """{"root":{"path":"rootfs"},"linux":{"namespaces":[{"type":"network","path":"/run/netns/c1"}]}}""" },
    };

    [Theory]
    [MemberData(nameof(Attacks))]
    public void Manifest_ThatReachesForTheHost_IsRefused(string what, string value)
    {
        InterfaceDescription link = Good.Interfaces[0];
        ContainerDescription bad = what switch
        {
            "name" => Good with { Name = value },
            "bundle" => Good with { Bundle = value },
            "tree" => Good with { Trees = [.. Good.Trees, new TreeDescription(value, TreeKind.Bind, ReadOnly: false)] },
            "cgroup" => Good with { CgroupPath = value },
            "netns" => Good with { NetnsPath = value },
            "interface" => Good with { Interfaces = [link with { Name = value }] },
            "bridge" => Good with { Interfaces = [link with { Bridge = value }] },
            "mac" => Good with { Interfaces = [link with { Mac = value }] },
            "address" => Good with { Interfaces = [link with { Addresses = [new AddressDescription(value, 24, 0, 0)] }] },
            "route" => Good with { Interfaces = [link with { Routes = [new RouteDescription(value, 254, 3, 0, 1)] }] },
            "neighbour" => Good with { Interfaces = [link with { Neighbours = [new NeighbourDescription(value, link.Mac, NeighbourState.Stale)] }] },
            "sysctl" => Good with { Sysctls = new Dictionary<string, string> { [value] = "1" } },
            "network" => Good with { Network = NetworkKind.Host },
            "config" => Good with { ConfigJson = value },
            _ => throw new ArgumentOutOfRangeException(nameof(what)),
        };

        Assert.NotEmpty(ManifestRules.Check(bad));
    }
}
