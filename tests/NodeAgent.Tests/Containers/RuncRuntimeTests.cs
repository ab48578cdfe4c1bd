using System.Diagnostics;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Network;
using Evacuator.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Evacuator.NodeAgent.Tests.Containers;

/// <summary>A state directory as runc writes it, and processes that look like a container's; runc itself is exercised in the lab.</summary>
public sealed class RuncRuntimeTests : IAsyncLifetime
{
    private readonly string _root = Directory.CreateTempSubdirectory("evacuator-runc-").FullName;
    private readonly NetworkHandover _network = new(TimeProvider.System, NullLogger<NetworkHandover>.Instance);
    private readonly RuncRuntime _runtime;

    public RuncRuntimeTests() => _runtime = new RuncRuntime($"{_root}/state", _network, TimeProvider.System, NullLogger<RuncRuntime>.Instance);

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        await _network.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    [RootFact]
    public async Task List_RunningPausedStoppedAndBroken_HaveTheirStates()
    {
        using TestCgroup running = new(), paused = new();
        Write("running", running, running.Contain());
        Write("paused", paused, paused.Contain());
        Write("stopped", running, int.MaxValue);
        Write("broken", running, 1);
        File.WriteAllText($"{_root}/state/broken/state.json", "{");
        await new CgroupFreezer(TimeProvider.System).FreezeAsync(paused.Path, TimeSpan.FromSeconds(10), default);

        IReadOnlyList<RuncContainer> list = await _runtime.ListAsync(default);

        Assert.Equal(
            [("broken", "unreadable"), ("paused", "paused"), ("running", "running"), ("stopped", "stopped")], list.Select(c => (c.Name, c.State)));
    }

    [RootFact]
    public async Task Describe_Running_HasItsPlacesMemoryAndNetwork()
    {
        using TestCgroup cgroup = new();
        int pid = cgroup.Contain();
        Write("c1", cgroup, pid, """{"evacuator.policy":"stay"}""");

        ContainerDescription container = await _runtime.DescribeAsync("c1", default);
        ContainerReport report = await _runtime.ReportAsync("c1", default);

        Assert.Equal(("running", pid, cgroup.Path, $"{_root}/c1", NetworkKind.Isolated), (container.State, container.InitPid, container.CgroupPath, container.Bundle, container.Network));
        Assert.True(container.MemoryBytes > 0);
        Assert.Equal($"{_root}/c1", Assert.Single(container.Trees).Path);
        Assert.Equal(2, report.Processes);
        Assert.True(report.DiskBytes > 0);
        Assert.Contains(report.Blockers, b => b.Code == BlockerCode.PolicyStay);
    }

    [RootFact]
    public async Task TreesOfOthers_RunningStoppedAndBroken_AreThoseThatMayUseTheirFiles()
    {
        using TestCgroup mine = new(), running = new();
        Write("mine", mine, mine.Contain());
        Write("running", running, running.Contain());
        Write("stopped", running, int.MaxValue);
        Write("broken", running, 1);
        File.WriteAllText($"{_root}/state/broken/state.json", "{");

        IReadOnlyList<(string Name, IReadOnlyList<TreeDescription> Trees)> others = await _runtime.TreesOfOthersAsync("mine", default);

        Assert.Equal([("running", $"{_root}/running")], others.Select(other => (other.Name, Assert.Single(other.Trees).Path)));
    }

    [RootFact]
    public async Task Describe_NotThere_SaysSo()
    {
        ContainerException refused = await Assert.ThrowsAsync<ContainerException>(() => _runtime.DescribeAsync("nobody", default));

        Assert.Equal(BlockerCode.NotRunning, refused.Blocker.Code);
        Assert.False(await _runtime.ExistsAsync("nobody", default));
        Assert.Empty(await _runtime.ListAsync(default));
    }

    [RootFact]
    public async Task Report_FilesThatCriuCannotCarry_AreNamedWithProcessAndDescriptor()
    {
        using TestCgroup cgroup = new();
        string ghost = $"{_root}/ghost", log = $"{_root}/host.log";
        File.WriteAllBytes(ghost, new byte[Preflight.GhostLimit + 1]);
        int pid = cgroup.Contain($"exec 5<>{ghost}; rm {ghost}; sleep 600 & wait", $"6>>{log}");
        Write("c1", cgroup, pid);

        ContainerReport report = await _runtime.ReportAsync("c1", default);

        Assert.Contains(report.Blockers, b => b.Code == BlockerCode.FeatureMissing && b.Text.Contains($"process {pid} (sh) has file descriptor 5 open on {ghost} (deleted)"));
        Assert.Contains(report.Blockers, b => b.Code == BlockerCode.UnsupportedMount && b.Text.Contains($"file descriptor 6 open on {log}"));
    }

    [RootFact]
    public async Task Delete_FrozenContainer_LeavesNothing()
    {
        using TestCgroup cgroup = new();
        Write("c1", cgroup, cgroup.Contain());
        await new CgroupFreezer(TimeProvider.System).FreezeAsync(cgroup.Path, TimeSpan.FromSeconds(10), default);
        Assert.True(await _runtime.ExistsAsync("c1", default));

        await _runtime.KillAndDeleteAsync("c1", null, default);
        await _runtime.KillAndDeleteAsync("c1", cgroup.Path, default);

        Assert.False(await _runtime.ExistsAsync("c1", default));
        Assert.False(Directory.Exists(cgroup.FullPath));
    }

    /// <summary>The kernel empties a cgroup before its last process shows as ended.</summary>
    [RootFact]
    public async Task Delete_FirstProcessIsStillOnItsWayOut_WaitsForIt()
    {
        using TestCgroup cgroup = new();
        ManualTime time = new();
        string proc = Directory.CreateDirectory($"{_root}/proc/4194305").FullName;
        string stat = File.ReadAllText("/proc/self/stat");
        string rest = stat[(stat.LastIndexOf(')') + 3)..];
        File.WriteAllText($"{proc}/stat", $"4194305 (sh) R{rest}");
        Write("c1", cgroup, 4194305);
        string state = $"{_root}/state/c1/state.json";
        File.WriteAllText(state, File.ReadAllText(state).Replace("\"init_process_start\":0", $"\"init_process_start\":{new ProcFiles($"{_root}/proc").Stat(4194305)!.Value.StartTime}"));
        RuncRuntime runtime = new($"{_root}/state", _network, time, NullLogger<RuncRuntime>.Instance, new KernelPaths { Proc = $"{_root}/proc" });

        Task deleting = runtime.KillAndDeleteAsync("c1", null, default);
        while (time.NextDue is null && !deleting.IsCompleted)
            await Task.Yield();
        Assert.False(deleting.IsCompleted, $"did not wait: {deleting.Exception}");
        Assert.True(await runtime.ExistsAsync("c1", default));
        File.WriteAllText($"{proc}/stat", $"4194305 (sh) Z{rest}");
        await using (time.PassWaits(TimeSpan.FromSeconds(1)))
            await deleting;

        Assert.False(await runtime.ExistsAsync("c1", default));
        Assert.False(Directory.Exists(cgroup.FullPath));
    }

    [RootFact]
    public async Task Delete_CgroupWithProcessesOfTheHost_IsRefusedAndKillsNothing()
    {
        using TestCgroup cgroup = new();
        Process process = cgroup.Start("sleep 600");

        ContainerException refused = await Assert.ThrowsAsync<ContainerException>(() => _runtime.KillAndDeleteAsync("c1", cgroup.Path, default));

        Assert.Contains("host's pid namespace", refused.Message);
        Assert.False(process.HasExited);
    }

    [RootTheory]
    [InlineData("/system.slice/ssh.service")]
    [InlineData("/")]
    [InlineData("/a/../b")]
    public async Task Delete_CgroupOfTheHost_IsRefused(string cgroup)
    {
        string mount = Directory.CreateDirectory($"{_root}/cgroup{cgroup.Replace("..", "x")}").FullName;
        RuncRuntime runtime = new($"{_root}/state", _network, TimeProvider.System, NullLogger<RuncRuntime>.Instance, new KernelPaths { Cgroup = $"{_root}/cgroup" });
        Directory.CreateDirectory($"{_root}/cgroup/a");
        Directory.CreateDirectory($"{_root}/cgroup/b");

        await Assert.ThrowsAsync<ContainerException>(() => runtime.KillAndDeleteAsync("c1", cgroup, default));

        Assert.True(Directory.Exists(mount));
    }

    private void Write(string name, TestCgroup cgroup, int pid, string annotations = "{}")
    {
        string bundle = $"{_root}/{name}";
        Directory.CreateDirectory($"{bundle}/rootfs");
        Directory.CreateDirectory($"{_root}/state/{name}");
        File.WriteAllText(
            $"{bundle}/config.json",
            $$$"""{"root":{"path":"rootfs"},"annotations":{{{annotations}}},"linux":{"namespaces":[{"type":"pid"},{"type":"network"},{"type":"mount"}]}}""");
        ulong start = new ProcFiles("/proc").Stat(pid)?.StartTime ?? 0;
        File.WriteAllText(
            $"{_root}/state/{name}/state.json",
            $$$"""{"id":"{{{name}}}","init_process_pid":{{{pid}}},"init_process_start":{{{start}}},"config":{"rootfs":"{{{bundle}}}/rootfs","labels":["bundle={{{bundle}}}"],"cgroups":{"Systemd":false}},"cgroup_paths":{"":"{{{cgroup.FullPath}}}"}}""");
    }
}
