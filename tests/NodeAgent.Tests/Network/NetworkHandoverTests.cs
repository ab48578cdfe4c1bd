using System.Net;
using System.Net.Sockets;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.Network.Netlink;
using Evacuator.Testing;
using static Evacuator.NodeAgent.Tests.Network.NetworkLab;

namespace Evacuator.NodeAgent.Tests.Network;

public sealed class NetworkHandoverTests : IDisposable
{
    private readonly NetworkLab _lab = Prerequisites.WhyNoRoot is null ? new NetworkLab() : null!;

    public void Dispose() => _lab?.Dispose();

    [RootFact]
    public async Task Capture_ContainerOnBridge_HasAllThatTheKernelKnows()
    {
        ContainerDescription container = _lab.Container();
        Ip($"-n {container.Name} neigh replace 10.77.0.1 lladdr 02:aa:00:00:00:01 dev eth0 nud stale");
        Ip($"-n {container.Name} neigh replace 10.77.0.9 lladdr 02:aa:00:00:00:09 dev eth0 nud permanent");

        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(container, default);

        Assert.Empty(captured.NetworkFaults);
        InterfaceDescription link = Assert.Single(captured.Interfaces);
        Assert.Equal(("eth0", 17, "02:00:00:00:07:07", 1450, "br0", true), (link.Name, link.Index, link.Mac, link.Mtu, link.Bridge, link.Up));
        Assert.StartsWith("h", link.HostName);
        Assert.Contains(link.Addresses, a => a is { Address: "10.77.0.7", PrefixLength: 24, Broadcast: "10.77.0.255" });
        Assert.Contains(link.Addresses, a => a is { Address: "fd77::7", PrefixLength: 64 });
        Assert.Contains(link.Routes, r => r is { Destination: "0.0.0.0/0", Gateway: "10.77.0.1", Table: 254 });
        Assert.Contains(link.Routes, r => r is { Destination: "10.99.0.0/16", Gateway: "10.77.0.2", Table: 77, Priority: 50 } && r.Metrics![2] == 1400);
        Assert.Contains(link.Routes, r => r is { Destination: "fd99::/64", Gateway: "fd77::1" });
        Assert.Equal("10.98.0.0/16", Assert.Single(captured.DevicelessRoutes, r => !r.Destination.Contains(':')).Destination);
        Assert.Contains(new NeighbourDescription("10.77.0.1", "02:aa:00:00:00:01", NeighbourState.Stale), link.Neighbours);
        Assert.Contains(new NeighbourDescription("10.77.0.9", "02:aa:00:00:00:09", NeighbourState.Permanent), link.Neighbours);
        Assert.Equal("1450", Run("ip", $"netns exec {container.Name} cat /sys/class/net/eth0/mtu").Trim());
        Assert.Contains("net/ipv4/ip_forward", captured.Sysctls.Keys);
    }

    /// <summary>All containers of a host are looked at when one moves, and another may just be leaving, with its interface and all settings of that.</summary>
    [RootFact]
    public async Task Settings_InterfacesComeAndGoMeanwhile_TheRestIsRead()
    {
        string name = _lab.Container().Name;
        using NetworkNamespace space = NetworkNamespace.Open($"/run/netns/{name}");
        Task change = Task.Run(() =>
        {
            for (int round = 0; round < 40; round++)
            {
                Ip($"-n {name} link add name gone0 type veth peer name gone1");
                Ip($"-n {name} link delete gone0");
            }
        });
        int reads = 0;
        do
        {
            Assert.Contains("net/ipv4/ip_forward", space.Run(NetworkSettings.Read).Keys);
            reads++;
        }
        while (!change.IsCompleted);
        await change;
        Assert.True(reads > 3, $"{reads} reads");
    }

    [RootFact]
    public async Task CapturePrepareCapture_AllOfIt_IsTheSame()
    {
        ContainerDescription container = _lab.Container();
        Ip($"netns exec {container.Name} sysctl -qw net.ipv4.tcp_keepalive_time=77 net.ipv4.conf.eth0.rp_filter=2 net.ipv4.conf.default.arp_ignore=1");
        Ip($"-n {container.Name} neigh replace 10.77.0.1 lladdr 02:aa:00:00:00:01 dev eth0 nud stale");
        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(container, default);

        ContainerDescription prepared = await _lab.Destination.Handover.PrepareAsync(_lab.AtDestination(captured), default);
        ContainerDescription again = await _lab.Destination.Handover.CaptureAsync(prepared, default);

        InterfaceDescription was = Assert.Single(captured.Interfaces), now = Assert.Single(again.Interfaces);
        Assert.Equal(was.HostName, now.HostName);
        Assert.Equal(was.Addresses.ToHashSet(), now.Addresses.ToHashSet());
        Assert.Equal(was.Routes.Select(Key).ToHashSet(), now.Routes.Select(Key).ToHashSet());
        Assert.Equal(captured.DevicelessRoutes.Select(Key).ToHashSet(), again.DevicelessRoutes.Select(Key).ToHashSet());
        Assert.Equal((was.Name, was.Index, was.Mac, was.Mtu, was.Bridge, was.Port, was.Up), (now.Name, now.Index, now.Mac, now.Mtu, now.Bridge, now.Port, now.Up));
        Assert.Equal(was.Neighbours.Select(n => (n.Address, n.Mac)).ToHashSet(), now.Neighbours.Select(n => (n.Address, n.Mac)).ToHashSet());
        Assert.Equal(captured.Sysctls, again.Sysctls.Where(s => captured.Sysctls.ContainsKey(s.Key)).ToDictionary());
        Assert.Equal("77", again.Sysctls["net/ipv4/tcp_keepalive_time"]);

        static string Key(RouteDescription r) => $"{r with { Metrics = null }} {string.Join(',', r.Metrics ?? new Dictionary<int, uint>())}";
    }

    [RootFact]
    public async Task Disconnect_ContainerAnswering_IsSilentAndKeepsItsCarrierUntilReconnect()
    {
        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(_lab.Container(), default);
        Assert.True(Answers("10.77.0.7"));

        _lab.Source.Handover.Disconnect(captured);
        _lab.Source.Handover.Disconnect(captured);

        Assert.False(Answers("10.77.0.7"));
        Assert.Equal("1", Run("ip", $"netns exec {captured.Name} cat /sys/class/net/eth0/carrier").Trim());

        _lab.Source.Handover.Reconnect(captured);

        Assert.True(Answers("10.77.0.7"));
    }

    [RootFact]
    public async Task Handover_ToTheOtherHost_MovesTrafficAndIsSilentBefore()
    {
        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(_lab.Container(), default);
        Assert.True(Answers("10.77.0.7"));
        Assert.Empty(await _lab.Destination.Handover.CheckAsync(_lab.AtDestination(captured), default));
        ContainerDescription prepared = await _lab.Destination.Handover.PrepareAsync(_lab.AtDestination(captured), default);
        _lab.Source.Handover.Disconnect(captured);

        Assert.False(Answers("10.77.0.7"));
        _lab.Destination.Handover.Connect(prepared);

        // The bridges heard the announcement: traffic from the source's host goes over the cable now.
        Assert.True(Answers("10.77.0.7"));
        Assert.Contains("up0", Run("bridge", $"-n {_lab.Source.Name} fdb show br br0 dev up0").Contains("02:00:00:00:07:07") ? "up0" : "nowhere");
        await _lab.Source.Handover.RemoveAsync(captured, default);
        Assert.False(File.Exists(captured.NetnsPath));
        Assert.DoesNotContain(captured.Interfaces[0].HostName!, Ip($"-n {_lab.Source.Name} -o link"));
        Assert.True(Answers("10.77.0.7"));
        await _lab.Destination.Handover.RemoveAsync(prepared, default);
        Assert.False(File.Exists(prepared.NetnsPath));
    }

    [RootFact]
    public async Task Connect_Prepared_AnnouncesEveryAddress()
    {
        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(_lab.Container(), default);
        ContainerDescription prepared = await _lab.Destination.Handover.PrepareAsync(_lab.AtDestination(captured), default);
        _lab.Source.Handover.Disconnect(captured);
        using NetworkNamespace observer = NetworkNamespace.Open(_lab.Source.Paths.HostNetns);
        using RouteSocket routes = observer.OpenRoutes();
        int uplink = routes.Link("up0")!.Index;
        using PacketSocket socket = observer.Run(() => PacketSocket.Open(uplink, listen: true));

        _lab.Destination.Handover.Connect(prepared);

        Dictionary<IPAddress, string> claims = [];
        while (claims.Count < 3 && socket.TryReceive(TimeSpan.FromSeconds(10), out ReadOnlySpan<byte> frame))
            if (Frames.TryReadClaim(frame, out IPAddress address, out byte[] mac))
                claims[address] = RouteSocket.FormatMac(mac);
        Assert.Equal("02:00:00:00:07:07", claims[IPAddress.Parse("10.77.0.7")]);
        Assert.Equal("02:00:00:00:07:07", claims[IPAddress.Parse("fd77::7")]);
    }

    [RootFact]
    public async Task Connect_WhileTheHostsLinksChange_WhatTheContainerSaysAtOnceIsHeard()
    {
        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(_lab.Container(), default);
        _lab.Source.Handover.Disconnect(captured);
        using NetworkNamespace outside = NetworkNamespace.Open(_lab.Source.Paths.HostNetns);
        using RouteSocket routes = outside.OpenRoutes();
        // Known, so that what is lost is not asked for again.
        NeighbourDescription listening = new("10.77.0.1", routes.Link("br0")!.Mac!, NeighbourState.Permanent);
        captured = captured with { Interfaces = [captured.Interfaces[0] with { Neighbours = [listening] }] };
        using Socket listener = outside.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 10_000 });
        listener.Bind(new IPEndPoint(IPAddress.Any, 7077));
        // Other containers come and go at the same time, so that the kernel's worker for links has to wait for its lock.
        using CancellationTokenSource enough = new();
        Task[] others = [.. Enumerable.Range(0, 3).Select(other => Task.Run(() =>
        {
            while (!enough.IsCancellationRequested)
            {
                Ip($"-n {_lab.Destination.Name} link add other{other} type veth peer name peer{other}");
                Ip($"-n {_lab.Destination.Name} link del other{other}");
            }
        }))];
        try
        {
            for (byte time = 0; time < 20; time++)
            {
                ContainerDescription prepared = await _lab.Destination.Handover.PrepareAsync(_lab.AtDestination(captured), default);
                using NetworkNamespace inside = NetworkNamespace.Open(prepared.NetnsPath!);
                using Socket speaker = inside.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp));

                _lab.Destination.Handover.Connect(prepared);
                speaker.SendTo([time], new IPEndPoint(IPAddress.Parse("10.77.0.1"), 7077));

                byte[] heard = new byte[1];
                Assert.Equal(1, listener.Receive(heard));
                Assert.Equal(time, heard[0]);
                await _lab.Destination.Handover.RemoveAsync(prepared, default);
            }
        }
        finally
        {
            await enough.CancelAsync();
            await Task.WhenAll(others);
        }
    }

    [RootFact]
    public async Task Connect_Prepared_NeighboursAreUsableAndNotPermanent()
    {
        ContainerDescription container = _lab.Container();
        Ip($"-n {container.Name} neigh replace 10.77.0.1 lladdr 02:aa:00:00:00:01 dev eth0 nud reachable");
        Ip($"-n {container.Name} neigh replace 10.77.0.9 lladdr 02:aa:00:00:00:09 dev eth0 nud permanent");
        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(container, default);
        ContainerDescription prepared = await _lab.Destination.Handover.PrepareAsync(_lab.AtDestination(captured), default);
        Ip($"-n {container.Name} neigh replace 10.77.0.8 lladdr 02:aa:00:00:00:08 dev eth0 nud reachable");
        ContainerDescription fresh = await _lab.Source.Handover.RefreshNeighboursAsync(captured, default);
        ContainerDescription updated = prepared with { Interfaces = [prepared.Interfaces[0] with { Neighbours = fresh.Interfaces[0].Neighbours }] };

        _lab.Source.Handover.Disconnect(captured);
        _lab.Destination.Handover.UpdateNeighbours(updated);
        _lab.Destination.Handover.Connect(updated);

        Dictionary<string, NeighbourState> now = (await _lab.Destination.Handover.RefreshNeighboursAsync(updated, default))
            .Interfaces[0].Neighbours.ToDictionary(n => n.Address, n => n.State);
        Assert.NotEqual(NeighbourState.Permanent, now["10.77.0.1"]);
        Assert.NotEqual(NeighbourState.Permanent, now["10.77.0.8"]);
        Assert.Equal(NeighbourState.Permanent, now["10.77.0.9"]);
    }

    [RootFact]
    public async Task Check_AddressUsedByAnother_IsRefusedWithItsHardwareAddress()
    {
        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(_lab.Container("10.77.0.8/24"), default);
        Ip($"-n {_lab.Source.Name} address add 10.77.0.8/24 dev br0");
        string mac = Run("ip", $"netns exec {_lab.Source.Name} cat /sys/class/net/br0/address").Trim();

        IReadOnlyList<Blocker> blockers = await _lab.Destination.Handover.CheckAsync(_lab.AtDestination(captured), default);

        Blocker blocker = Assert.Single(blockers, b => b.Code == BlockerCode.AddressTaken);
        Assert.Contains(mac, blocker.Text);
        Assert.Contains("10.77.0.8", blocker.Text);
    }

    [RootFact]
    public async Task Check_AddressOnTheDestinationItself_IsRefused()
    {
        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(_lab.Container("10.77.0.2/24"), default);

        IReadOnlyList<Blocker> blockers = await _lab.Destination.Handover.CheckAsync(_lab.AtDestination(captured), default);

        Assert.Contains(blockers, b => b.Code == BlockerCode.AddressTaken && b.Text.Contains("this host"));
    }

    [RootFact]
    public async Task Check_NoBridgeOrNameTaken_IsRefused()
    {
        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(_lab.Container(), default);
        Ip($"-n {_lab.Destination.Name} link delete br0");

        IReadOnlyList<Blocker> blockers = await _lab.Destination.Handover.CheckAsync(captured, default);

        Assert.Contains(blockers, b => b.Code == BlockerCode.BridgeMissing);
        Assert.Contains(blockers, b => b.Code == BlockerCode.NameTaken);
    }

    [RootFact]
    public async Task Prepare_BridgeMissing_FailsAndLeavesNothing()
    {
        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(_lab.Container(), default);
        ContainerDescription wanted = _lab.AtDestination(captured);
        Ip($"-n {_lab.Destination.Name} link delete br0");

        NetworkException refused = await Assert.ThrowsAsync<NetworkException>(() => _lab.Destination.Handover.PrepareAsync(wanted, default));

        Assert.Contains("br0", refused.Message);
        Assert.False(File.Exists(wanted.NetnsPath));
    }

    [RootFact]
    public async Task Prepare_HostNameTaken_ChoosesAnotherAndRemovesOnlyItsOwn()
    {
        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(_lab.Container(), default);
        string taken = captured.Interfaces[0].HostName!;
        Ip($"-n {_lab.Destination.Name} link add {taken} type veth peer name other0");

        ContainerDescription prepared = await _lab.Destination.Handover.PrepareAsync(_lab.AtDestination(captured), default);

        Assert.NotEqual(taken, prepared.Interfaces[0].HostName);
        await _lab.Destination.Handover.RemoveAsync(prepared with { Interfaces = [.. prepared.Interfaces, captured.Interfaces[0]] }, default);
        string left = Ip($"-n {_lab.Destination.Name} -o link");
        Assert.Contains(taken, left);
        Assert.DoesNotContain(prepared.Interfaces[0].HostName!, left);
    }

    [RootFact]
    public async Task Capture_HostEndOffTheBridge_IsAFault()
    {
        ContainerDescription container = _lab.Container();
        string hostEnd = "h" + container.Name[1..];
        Ip($"-n {_lab.Source.Name} link set {hostEnd} nomaster");

        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(container, default);

        Assert.Contains(captured.NetworkFaults, f => f.Code == BlockerCode.NetworkNotExternal && f.Text.Contains(hostEnd));
    }

    private bool Answers(string address) => _lab.Source.Asks(address);
}
