using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Host;
using Evacuator.NodeAgent.Tests.Containers;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.Tests.Network;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Host;

/// <summary>
/// A host drawn as files (what /proc and the cgroup hierarchy would say) with a network namespace of the test's own, to which one trace of a
/// container after the other is added.
/// </summary>
public sealed class EmptinessProofTests : IDisposable
{
    private const string HostMounts = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 0:20 / /var/lib/docker rw - ext4 /dev/sda1 rw\n";

    private readonly string _root = Directory.CreateTempSubdirectory("evacuator-empty-").FullName;
    private readonly string _netns = $"empty{Guid.NewGuid():N}"[..12];

    public EmptinessProofTests()
    {
        if (Prerequisites.WhyNoRoot is null)
            NetworkLab.Ip($"netns add {_netns}");
        Directory.CreateDirectory($"{_root}/rootfs");
        Process(1, "systemd", "/init.scope");
        Process(2, "kthreadd", "/", flags: 0x00200000);
        Process(300, "resolver", "/system.slice/private.service", net: "net:[9]", dev: "    lo: 0 0\n  sit0: 0 0\n", mount: "mnt:[9]");
        Process(301, "gone", "/system.slice/a.service", state: 'Z', pidSpace: null);
        Cgroup("/init.scope", 1);
        Cgroup("/system.slice/private.service", 300);
        File.WriteAllText($"{_root}/cgroup/cgroup.procs", "2\n");
    }

    public void Dispose()
    {
        if (File.Exists($"/run/netns/{_netns}"))
            NetworkLab.Ip($"netns delete {_netns}");
        Directory.Delete(_root, recursive: true);
    }

    [RootFact]
    public void Host_WithItsOwnServicesAlone_IsEmpty()
    {
        Directory.CreateDirectory($"{_root}/state/c1");
        File.WriteAllText($"{_root}/state/c1/state.json", """{"init_process_pid":4000000,"init_process_start":5}""");

        EmptinessReport report = Prove();

        Assert.Empty(report.Checks.SelectMany(check => check.Left));
        Assert.True(report.Empty);
        Assert.Equal(["cgroups", "processes", "runtimes", "network-namespaces", "veths", "mounts"], report.Checks.Select(check => check.Name));
    }

    [RootFact]
    public void Check_OfAnother_BelongsToTheProof()
    {
        EmptinessReport report = new EmptinessProof(Options(), TimeProvider.System).Prove(new EmptinessCheck("moves", Passed: false, 1, ["a move is under way"]));

        Assert.False(report.Empty);
        Assert.Equal("moves", Assert.Single(report.Checks, check => !check.Passed).Name);
    }

    [RootFact]
    public void Cgroup_NoUnit_IsLeft()
    {
        Cgroup("/containers/c1", 300);
        AssertLeft("cgroups", "/containers/c1", Prove());
    }

    [RootFact]
    public void Process_OtherPidNamespace_IsLeft()
    {
        Process(400, "counter", "/system.slice/a.service", pidSpace: "pid:[8]");
        AssertLeft("processes", "process 400 (counter)", Prove());
    }

    [RootFact]
    public void Process_OtherRootOutsideOfAService_IsLeft()
    {
        Process(400, "counter", "/user.slice", mount: "mnt:[8]", root: "rootfs");
        AssertLeft("processes", "another root", Prove());
    }

    [RootFact]
    public void Process_OtherNetworkWithAnInterface_IsLeft()
    {
        Process(400, "counter", "/system.slice/a.service", net: "net:[8]", dev: "    lo: 0 0\n  eth0: 0 0\n");
        AssertLeft("processes", "eth0", Prove());
    }

    [RootFact]
    public void Process_NamespacesUnreadable_IsLeft()
    {
        Process(400, "secret", "/system.slice/a.service", pidSpace: null);
        AssertLeft("processes", "cannot be read", Prove());
    }

    [RootFact]
    public void Runtime_ContainerAlive_IsLeft()
    {
        Directory.CreateDirectory($"{_root}/state/c1");
        File.WriteAllText($"{_root}/state/c1/state.json", """{"init_process_pid":300,"init_process_start":77}""");
        AssertLeft("runtimes", "container c1: its process 300", Prove());
    }

    [RootTheory]
    [InlineData("state.json", "{")]
    [InlineData("other", "x")]
    public void Runtime_StateNotUnderstood_IsLeft(string file, string content)
    {
        Directory.CreateDirectory($"{_root}/state/c1");
        File.WriteAllText($"{_root}/state/c1/{file}", content);
        AssertLeft("runtimes", "c1", Prove());
    }

    [RootFact]
    public void Veth_NotAnUplink_IsLeft()
    {
        NetworkLab.Ip($"-n {_netns} link add ve-c1 type veth peer name up0");

        AssertLeft("veths", "ve-c1", Prove());
        Assert.Single(Prove().Checks.Single(check => check.Name == "veths").Left);
    }

    [RootFact]
    public void NetworkNamespace_NamedWithAnInterface_IsLeft()
    {
        NetworkLab.Ip($"-n {_netns} link add br0 type bridge");
        File.AppendAllText($"{_root}/proc/1/mountinfo", $"30 20 0:4 net:[7] /run/netns/{_netns} rw - nsfs nsfs rw\n");
        AssertLeft("network-namespaces", $"{_netns} has br0", Prove());
    }

    [RootFact]
    public void Mount_OfARuntime_IsLeft()
    {
        File.AppendAllText($"{_root}/proc/1/mountinfo", "31 21 0:50 / /var/lib/docker/overlay2/9f/merged rw - overlay overlay rw\n");
        AssertLeft("mounts", "/var/lib/docker/overlay2/9f/merged", Prove());
    }

    [RootFact]
    public void WhatLasts_ContainersThatWillLeave_AreNotInIt()
    {
        Trace("c1", 400);

        EmptinessReport report = new EmptinessProof(Options(), TimeProvider.System).ProveWithout(LeavingOf("c1"));

        Assert.Empty(report.Checks.SelectMany(check => check.Left));
        Assert.Equal(6, Prove().Checks.Count(check => !check.Passed));
    }

    [RootFact]
    public void WhatLasts_UplinkOfTheHostAndForeignContainer_AreNamedBeforeAnythingMoves()
    {
        Trace("c1", 400);
        NetworkLab.Ip($"-n {_netns} link add uplink0 type veth peer name up0");
        Process(500, "other", "/machine.slice/libpod-1.scope", pidSpace: "pid:[9]");

        EmptinessReport report = new EmptinessProof(Options(), TimeProvider.System).ProveWithout(LeavingOf("c1"));

        AssertLeft("veths", "veth uplink0 is on this host; if it is an uplink of the host itself, name it in [node] uplinks", report);
        AssertLeft("processes", "process 500 (other)", report);
        Assert.Equal(["processes", "veths"], report.Checks.Where(check => !check.Passed).Select(check => check.Name));
    }

    /// <summary>All that a container leaves in the kernel.</summary>
    private void Trace(string name, int pid)
    {
        NetworkLab.Ip($"-n {_netns} link add ve-{name} type veth peer name in-{name}");
        Process(pid, "counter", $"/containers/{name}", pidSpace: "pid:[8]");
        Cgroup($"/containers/{name}", pid);
        Directory.CreateDirectory($"{_root}/state/{name}");
        File.WriteAllText($"{_root}/state/{name}/state.json", $$"""{"init_process_pid":{{pid}},"init_process_start":77}""");
        File.AppendAllText($"{_root}/proc/1/mountinfo", $"30 20 0:4 net:[7] /run/netns/{_netns} rw - nsfs nsfs rw\n31 21 0:50 / /var/lib/containers/{name}/rootfs rw - overlay overlay rw\n");
    }

    private Leaving LeavingOf(string name) => Leaving.Of(
    [
        new ContainerDescription
        {
            Name = name, State = "running", Bundle = $"/var/lib/containers/{name}", Rootfs = $"/var/lib/containers/{name}/rootfs", ConfigJson = "{}", RuncRoot = $"{_root}/state",
            SystemdCgroup = false, CgroupPath = $"/containers/{name}", InitPid = 400, MemoryBytes = 0, Annotations = new Dictionary<string, string>(), Network = NetworkKind.Named,
            NetnsPath = $"/var/run/netns/{_netns}", Trees = [], HostPaths = [], SharedPaths = [],
            Interfaces = [.. ((string[])[$"ve-{name}", $"in-{name}"]).Select((host, at) => new InterfaceDescription { Name = $"eth{at}", Index = 2, Kind = "veth", HostName = host, Mac = "02:00:00:00:00:01", Mtu = 1500, Up = true })],
        },
    ]);

    [RootTheory]
    [InlineData("proc/1/mountinfo", "mounts")]
    [InlineData("proc/1/ns/pid", "processes")]
    [InlineData("cgroup/cgroup.procs", "cgroups")]
    public void Anything_ThatCannotBeRead_IsLeft(string path, string check)
    {
        File.Delete($"{_root}/{path}");
        AssertLeft(check, "could not be looked at", Prove());
    }

    [RootFact]
    public void RealKernel_HandMadeContainer_IsFound()
    {
        using TestCgroup cgroup = new();
        int pid = cgroup.Contain();

        EmptinessReport report = new EmptinessProof(new EmptinessOptions { InitPid = Environment.ProcessId }, TimeProvider.System).Prove();

        Assert.False(report.Empty);
        EmptinessCheck processes = report.Checks.Single(check => check.Name == "processes");
        // Other tests and other nodes on this machine leave traces of their own: what is shown first need not be ours.
        Assert.True(processes is { Passed: false, Examined: > 1 }, string.Join('\n', processes.Left));
        Assert.DoesNotContain(processes.Left, left => left.Contains("could not be looked at"));
        Assert.False(report.Checks.Single(check => check.Name == "cgroups").Passed);
        Assert.NotNull(EmptinessProof.WhyContainer(cgroup.Path));
        Assert.True(pid > 1);
    }

    private static void AssertLeft(string check, string text, EmptinessReport report)
    {
        Assert.False(report.Empty);
        EmptinessCheck found = report.Checks.Single(c => c.Name == check);
        Assert.False(found.Passed);
        Assert.Contains(found.Left, left => left.Contains(text));
    }

    private EmptinessReport Prove() => new EmptinessProof(Options(), TimeProvider.System).Prove();

    private EmptinessOptions Options() => new()
    {
        Paths = new KernelPaths { Proc = $"{_root}/proc", Cgroup = $"{_root}/cgroup", HostNetns = $"/run/netns/{_netns}" },
        Uplinks = ["up0"],
        RuntimeRoots = [$"{_root}/state", $"{_root}/none/*/x"],
    };

    private void Cgroup(string path, int pid)
    {
        for (string part = path; part.Length > 0; part = part[..part.LastIndexOf('/')])
        {
            Directory.CreateDirectory($"{_root}/cgroup{part}");
            if (!File.Exists($"{_root}/cgroup{part}/cgroup.procs"))
                File.WriteAllText($"{_root}/cgroup{part}/cgroup.procs", "");
        }
        File.WriteAllText($"{_root}/cgroup{path}/cgroup.procs", $"{pid}\n");
    }

    private void Process(
        int pid, string name, string cgroup, char state = 'S', uint flags = 0, string? pidSpace = "pid:[1]", string net = "net:[1]", string mount = "mnt:[1]",
        string dev = "", string root = "")
    {
        string directory = $"{_root}/proc/{pid}";
        Directory.CreateDirectory($"{directory}/ns");
        Directory.CreateDirectory($"{directory}/net");
        File.WriteAllText($"{directory}/stat", $"{pid} ({name}) {state} 1 1 1 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 1 0 77 0 0");
        File.WriteAllText($"{directory}/cgroup", $"0::{cgroup}\n");
        File.WriteAllText($"{directory}/mountinfo", HostMounts);
        File.WriteAllText($"{directory}/net/dev", $"Inter-| Receive\n face |bytes\n{dev}");
        File.CreateSymbolicLink($"{directory}/root", $"{_root}/{root}");
        if (pidSpace is not null)
            File.CreateSymbolicLink($"{directory}/ns/pid", pidSpace);
        File.CreateSymbolicLink($"{directory}/ns/net", net);
        File.CreateSymbolicLink($"{directory}/ns/mnt", mount);
    }
}
