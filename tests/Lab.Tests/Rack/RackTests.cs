using System.Diagnostics;
using System.Text.Json;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Rack;

/// <summary>What the other lab tests rely on: nodes with real power, a client that sees damage, and that CRIU works between the nodes.</summary>
public sealed class RackTests(BareRack rack) : IClassFixture<BareRack>
{
    private readonly LabCommand _lab = rack.Lab;

    [LabFact]
    public async Task Exec_Command_PassesInputOutputAndExitCode()
    {
        LabResult result = await _lab.RunWithInputAsync("hello", "exec", "node1", "--", "sh", "-c", "cat; hostname >&2; exit 7");
        Assert.Equal(7, result.ExitCode);
        Assert.Equal("hello", result.Output);
        Assert.Equal("node1\n", result.Error);
    }

    [LabFact]
    public async Task Exec_NoSuchNode_ExitCodeIsTheLabsOwn()
    {
        LabResult result = await _lab.RunAsync("exec", "node9", "--", "true");
        Assert.Equal(125, result.ExitCode);
        Assert.Contains("no node9", result.Error, StringComparison.Ordinal);
    }

    [LabFact]
    public async Task Copy_FileAndFolder_ArriveWithContentAndMode()
    {
        string folder = Directory.CreateTempSubdirectory("lab-copy-").FullName;
        string file = Path.Combine(folder, "script");
        await File.WriteAllTextAsync(file, "echo copied");
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        _ = (await _lab.RunAsync("copy", file, "node2:/tmp")).Text;
        _ = (await _lab.RunAsync("copy", folder, "node2:/tmp/folder")).Text;
        Directory.Delete(folder, recursive: true);
        Assert.Equal("500 500", (await _lab.RunAsync("exec", "node2", "--", "sh", "-c", "echo $(stat -c %a /tmp/script /tmp/folder/script)")).Text);
        Assert.Equal("copied", (await _lab.RunAsync("exec", "node2", "--", "sh", "/tmp/folder/script")).Text);
    }

    [LabFact]
    public async Task Node_PowersItselfOff_BmcReadsOffNobodyAnswersAndDiskIsKept()
    {
        _ = (await _lab.RunAsync("exec", "node2", "--", "sh", "-c", "echo kept > /root/before; sync")).Text;
        _ = await _lab.RunAsync("exec", "node2", "--", "systemctl", "poweroff");
        await _lab.UntilAsync("Off", "bmc", "node2", "power", "state");
        Assert.NotEqual(0, (await _lab.RunAsync("exec", "node1", "--", "ping", "-c", "1", "-W", "1", "node2")).ExitCode);

        _ = (await _lab.RunAsync("bmc", "node2", "power", "on")).Text;
        await _lab.UntilAsync("On", "bmc", "node2", "power", "state");
        await _lab.UntilAsync("kept", "exec", "node2", "--", "cat", "/root/before");
        await _lab.UntilAsync("running", "exec", "node2", "--", "systemctl", "is-system-running");
        _ = (await _lab.RunAsync("exec", "node1", "--", "ping", "-c", "1", "-W", "5", "node2")).Text;
    }

    [LabFact]
    public async Task Bmc_ForceOffWithFrozenContainer_NodeIsOffAtOnce()
    {
        _ = (await _lab.RunAsync("run", "node2", "frozen", "idle")).Text;
        _ = (await _lab.RunAsync("exec", "node2", "--", "sh", "-c", "echo 1 >/sys/fs/cgroup/containers/frozen/cgroup.freeze")).Text;
        _ = (await _lab.RunAsync("bmc", "node2", "power", "off")).Text;
        Assert.Equal("Off", (await _lab.RunAsync("bmc", "node2", "power", "state")).Text);

        _ = (await _lab.RunAsync("bmc", "node2", "power", "on")).Text;
        await _lab.UntilAsync("running", "exec", "node2", "--", "systemctl", "is-system-running");
        _ = (await _lab.RunAsync("stop", "node2", "frozen")).Text;
    }

    [LabFact]
    public async Task Link_PulledAndPlugged_NodeIsUnreachableMeanwhile()
    {
        string[] ping = ["exec", "node1", "--", "ping", "-c", "1", "-W", "1", "10.77.0.12"];
        _ = (await _lab.RunAsync("link", "node2", "down")).Text;
        Assert.NotEqual(0, (await _lab.RunAsync(ping)).ExitCode);
        _ = (await _lab.RunAsync("link", "node2", "up")).Text;
        _ = (await _lab.RunAsync("exec", "node1", "--", "ping", "-c", "1", "-W", "5", "10.77.0.12")).Text;
    }

    [LabTheory]
    [InlineData("counter", "counter")]
    [InlineData("idle", "echo")]
    [InlineData("family", "family")]
    [InlineData("memory", "memory", "--arg", "32", "--arg", "20")]
    [InlineData("nginx", "http")]
    [InlineData("redis", "redis")]
    public async Task Workload_Running_ClientFindsNothingWrong(string workload, string mode, params string[] options)
    {
        string name = "w-" + workload;
        string ip = (await _lab.RunAsync(["run", "node1", name, workload, .. options])).Text;
        JsonElement seen = await HoldAsync(0, mode, ip, "--seconds", "1");
        Assert.True(seen.GetProperty("connection_kept").GetBoolean());
        Assert.Equal(0, seen.GetProperty("errors").GetInt32());
        Assert.True(seen.GetProperty("round_trips").GetInt32() > 10);
        _ = (await _lab.RunAsync("stop", "node1", name)).Text;
    }

    [LabFact]
    public async Task Client_WorkloadBeginsAnew_ReportsTheLossAndTheBrokenConnection()
    {
        string ip = (await _lab.RunAsync("run", "node1", "lossy", "redis")).Text;
        await ForgetProbeAsync("node1", "lossy");
        Process client = _lab.Start("client", "redis", ip, "--seconds", "0", "--name", "lossy");
        // The client has begun when redis counts its keys.
        await UntilKeysAsync("node1", "lossy");
        _ = (await _lab.RunAsync("stop", "node1", "lossy")).Text;
        _ = (await _lab.RunAsync("run", "node1", "lossy", "redis", "--ip", ip)).Text;
        await ForgetProbeAsync("node1", "lossy");
        await UntilKeysAsync("node1", "lossy");
        Terminate(client);
        LabResult result = await LabCommand.RunAsync(client, null);
        Assert.Equal(1, result.ExitCode);
        JsonElement seen = JsonDocument.Parse(result.Output).RootElement;
        Assert.False(seen.GetProperty("connection_kept").GetBoolean());
        Assert.True(seen.GetProperty("lost").GetInt32() > 0);
        _ = (await _lab.RunAsync("stop", "node1", "lossy")).Text;
    }

    [LabFact]
    public async Task Client_NobodyListens_Fails()
    {
        JsonElement seen = await HoldAsync(1, "echo", "10.77.0.11:1");
        Assert.False(seen.GetProperty("connection_kept").GetBoolean());
        Assert.Equal(0, seen.GetProperty("round_trips").GetInt32());
    }

    [LabFact]
    public async Task Container_CheckpointedHereRestoredThere_ConnectionAndCountGoOn()
    {
        string ip = (await _lab.RunAsync("run", "node1", "traveller", "counter")).Text;
        Process client = _lab.Start("client", "counter", ip, "--seconds", "0");
        await _lab.UntilAsync("1", "exec", "node1", "--", "sh", "-c", "ip netns exec traveller ss -Htn state established | wc -l");
        string mac = (await _lab.RunAsync("exec", "node1", "--", "ip", "netns", "exec", "traveller", "cat", "/sys/class/net/eth0/address")).Text;

        await OnAsync("node1", "mkdir -p /root/ck; echo 1 >/sys/fs/cgroup/containers/traveller/cgroup.freeze; ip link set ve-traveller down; "
            + "runc checkpoint --leave-running --tcp-established --image-path /root/ck traveller; tar -C / -cf /root/all.tar root/ck srv/containers/traveller");
        string archive = $"/var/lib/evacuator-lab/{_lab.Rack}/node1/root/root/all.tar";
        _ = (await _lab.RunAsync("copy", archive, "node2:/root/all.tar")).Text;
        await OnAsync("node2", "tar -C / -xf /root/all.tar; ip netns add traveller; "
            + $"ip link add ve-traveller type veth peer name eth0 address {mac} netns traveller; ip link set ve-traveller master br0; "
            + $"ip -n traveller address add {ip}/16 dev eth0; ip -n traveller link set lo up; ip -n traveller link set eth0 up; "
            + "runc restore --detach --tcp-established --bundle /srv/containers/traveller --image-path /root/ck traveller </dev/null >/root/restore.log 2>&1; "
            + $"ip link set ve-traveller up; ip netns exec traveller arping -q -U -c 1 -I eth0 {ip}");
        _ = (await _lab.RunAsync("stop", "node1", "traveller")).Text;

        Terminate(client);
        JsonElement seen = JsonDocument.Parse((await LabCommand.RunAsync(client, null)).Text).RootElement;
        Assert.True(seen.GetProperty("connection_kept").GetBoolean());
        Assert.Equal(0, seen.GetProperty("lost").GetInt32());
        Assert.True(seen.GetProperty("longest_pause_ms").GetDouble() > 20, "the client did not notice the move: was there one?");
        _ = (await _lab.RunAsync("stop", "node2", "traveller")).Text;
    }

    private async Task OnAsync(string node, string script) => _ = (await _lab.RunAsync("exec", node, "--", "sh", "-euc", script)).Text;

    private async Task<JsonElement> HoldAsync(int exitCode, params string[] client)
    {
        LabResult result = await _lab.RunAsync(["client", .. client]);
        Assert.True(result.ExitCode == exitCode, $"client came to {result.ExitCode}: {result.Output}{result.Error}");
        return JsonDocument.Parse(result.Output).RootElement;
    }

    // The probe of `lab run` writes keys of the same names as the client does.
    private async Task ForgetProbeAsync(string node, string container) =>
        _ = (await _lab.RunAsync("exec", node, "--", "runc", "exec", container, "/usr/bin/redis-cli", "flushall")).Text;

    private Task UntilKeysAsync(string node, string container) =>
        _lab.UntilAsync("some", "exec", node, "--", "sh", "-c", $"runc exec {container} /usr/bin/redis-cli dbsize | grep -qx '[1-9][0-9]*' && echo some");

    private static void Terminate(Process process) => Process.Start("kill", ["-TERM", $"{process.Id}"])!.WaitForExit();
}
