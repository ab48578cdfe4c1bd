using System.Diagnostics;
using System.Net;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.Network.Netlink;
using Microsoft.Extensions.Logging.Abstractions;

namespace Evacuator.NodeAgent.Tests.Network;

/// <summary>
/// Two hosts as network namespaces, each with a bridge br0, joined by a veth as a cable would join them. Removed with everything in it.
/// </summary>
public sealed class NetworkLab : IDisposable
{
    private readonly string _id = Guid.NewGuid().ToString("N")[..8];
    private readonly List<string> _namespaces = [];

    internal NetworkLab()
    {
        Source = Host("src", "10.77.0.1/24");
        Destination = Host("dst", "10.77.0.2/24");
        try
        {
            Ip($"link add up0 netns {Source.Name} type veth peer name up0 netns {Destination.Name}");
            foreach (LabHost host in (LabHost[])[Source, Destination])
            {
                Ip($"-n {host.Name} link set up0 master br0");
                Ip($"-n {host.Name} link set up0 up");
            }
            WaitForCable();
        }
        catch
        {
            // A constructor that fails leaves nobody to dispose.
            Dispose();
            throw;
        }
    }

    internal LabHost Source { get; }

    internal LabHost Destination { get; }

    /// <summary>A container's namespace on the source's bridge, as the lab and CNI make it.</summary>
    internal ContainerDescription Container(string address = "10.77.0.7/24", string mac = "02:00:00:00:07:07")
    {
        string name = $"c{_id}";
        string hostEnd = $"h{_id}";
        Namespace(name);
        Ip($"-n {name} link set lo up");
        Ip($"-n {name} link add name eth0 address {mac} index 17 type veth peer name {hostEnd} netns {Source.Name}");
        Ip($"-n {Source.Name} link set {hostEnd} master br0 up");
        Ip($"-n {name} link set eth0 mtu 1450 up");
        Ip($"-n {name} address add {address} broadcast + dev eth0");
        Ip($"-n {name} address add fd77::7/64 dev eth0 nodad");
        Ip($"-n {name} route add default via 10.77.0.1");
        Ip($"-n {name} route add 10.99.0.0/16 via 10.77.0.2 metric 50 table 77 mtu 1400");
        Ip($"-n {name} route add blackhole 10.98.0.0/16");
        Ip($"-n {name} -6 route add fd99::/64 via fd77::1 dev eth0");
        return Description(name, $"/run/netns/{name}");
    }

    internal static ContainerDescription Description(string name, string? netns, NetworkKind kind = NetworkKind.Named) => new()
    {
        Name = name, State = "running", Bundle = $"/srv/{name}", Rootfs = $"/srv/{name}/rootfs", ConfigJson = "{}", RuncRoot = "/run/runc",
        SystemdCgroup = false, CgroupPath = $"/{name}", InitPid = 0, MemoryBytes = 0, Annotations = new Dictionary<string, string>(),
        Network = kind, NetnsPath = netns, Trees = [], HostPaths = [], SharedPaths = [],
    };

    /// <summary>The same container as the other host names its namespace: the two share this machine's file system, so that has a place of its own.</summary>
    internal ContainerDescription AtDestination(ContainerDescription container) =>
        container with { NetnsPath = $"{Destination.Paths.Netns}/{container.Name}" };

    internal void Namespace(string name)
    {
        Ip($"netns add {name}");
        _namespaces.Add(name);
    }

    internal static string Ip(string arguments) => Run("ip", arguments);

    internal static string Run(string program, string arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        string output = process.StandardOutput.ReadToEnd();
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program} {arguments}: {errors}");
    }

    public void Dispose()
    {
        Source.Handover.DisposeAsync().AsTask().GetAwaiter().GetResult();
        Destination.Handover.DisposeAsync().AsTask().GetAwaiter().GetResult();
        foreach (string name in _namespaces.Where(name => File.Exists($"/run/netns/{name}")))
            Ip($"netns delete {name}");
        if (!Directory.Exists(Destination.Paths.Netns))
            return;
        foreach (string path in Directory.EnumerateFiles(Destination.Paths.Netns))
            NamedNamespace.Remove(path);
        while (Interop.Namespaces.Unmount(Destination.Paths.Netns, Interop.Namespaces.MNT_DETACH) == 0)
        {
        }
        Directory.Delete(Destination.Paths.Netns);
    }

    /// <summary>The kernel may take up to a second until it passes on that a new link has its carrier.</summary>
    private void WaitForCable()
    {
        for (int attempt = 0; attempt < 50; attempt++)
            if (Destination.Asks("10.77.0.1"))
                return;
        throw new InvalidOperationException("the two hosts of the test do not reach each other");
    }

    private LabHost Host(string role, string address)
    {
        string name = $"{role}{_id}";
        Namespace(name);
        Ip($"-n {name} link set lo up");
        Ip($"-n {name} link add br0 type bridge");
        Ip($"-n {name} link set br0 up");
        Ip($"-n {name} address add {address} dev br0");
        KernelPaths paths = new() { HostNetns = $"/run/netns/{name}", Netns = $"/run/evacuator-test-{name}" };
        return new LabHost(name, paths, new NetworkHandover(TimeProvider.System, NullLogger<NetworkHandover>.Instance, paths));
    }
}

internal sealed record LabHost(string Name, KernelPaths Paths, NetworkHandover Handover)
{
    /// <summary>Whether somebody answers for the address on this host's bridge. What has not answered in 300 ms is silent.</summary>
    internal bool Asks(string text)
    {
        IPAddress address = IPAddress.Parse(text);
        using NetworkNamespace host = NetworkNamespace.Open(Paths.HostNetns);
        using RouteSocket routes = host.OpenRoutes();
        LinkInfo bridge = routes.Link("br0")!;
        using PacketSocket socket = host.Run(() => PacketSocket.Open(bridge.Index, listen: true));
        // Refused while the bridge has no carrier yet: what follows then waits for one.
        socket.TrySend(Frames.Probe(RouteSocket.ParseMac(bridge.Mac!), address));
        while (socket.TryReceive(TimeSpan.FromMilliseconds(300), out ReadOnlySpan<byte> frame))
            if (Frames.TryReadClaim(frame, out IPAddress claimed, out _) && claimed.Equals(address))
                return true;
        return false;
    }
}
