using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;
using Evacuator.Lab.BmcSimulator.Power;
using Evacuator.Testing;

namespace Evacuator.Lab.BmcSimulator.Tests;

public sealed class PowerTests
{
    [Theory]
    [InlineData("GracefulShutdown", true, false)]
    [InlineData("ForceOff", true, false)]
    [InlineData("PushPowerButton", true, false)]
    [InlineData("ForceRestart", true, true)]
    [InlineData("GracefulRestart", true, true)]
    [InlineData("PowerCycle", true, true)]
    [InlineData("On", false, true)]
    [InlineData("ForceOn", false, true)]
    [InlineData("PushPowerButton", false, true)]
    public async Task Reset_Possible_AcceptedAndCarriedOut(string type, bool before, bool after)
    {
        var machine = new SimulatedMachine(before);
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Machine = machine.Hooks });
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        Assert.Equal(204, (await client.ResetAsync(type)).Status);
        await bmc.WhenPowerSettledAsync();
        Assert.Equal(after, machine.Running);
        Assert.Equal(after ? "On" : "Off", await client.PowerStateAsync());
        Assert.Equal(after ? "On" : "Off", (await client.GetAsync(BmcClient.Chassis)).Body.Get("PowerState").Text());
    }

    [Theory]
    [InlineData("On", true, 409, "ActionParameterValueConflict")]
    [InlineData("GracefulShutdown", false, 409, "ActionParameterValueConflict")]
    [InlineData("ForceOff", false, 409, "ActionParameterValueConflict")]
    [InlineData("ForceRestart", false, 409, "ActionParameterValueConflict")]
    [InlineData("Nmi", true, 400, "ActionParameterValueNotInList")]
    [InlineData("Explode", true, 400, "ActionParameterValueNotInList")]
    public async Task Reset_NotPossible_RefusedAndMachineUntouched(string type, bool running, int status, string messageId)
    {
        var machine = new SimulatedMachine(running);
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Machine = machine.Hooks });
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        Answer answer = await client.ResetAsync(type);
        Assert.Equal((status, messageId), (answer.Status, answer.MessageId));
        await bmc.WhenPowerSettledAsync();
        Assert.Equal(running, machine.Running);
    }

    [Fact]
    public async Task Reset_WhileCommandRuns_SaysSoAndForceOffStillWorks()
    {
        var hold = new TaskCompletionSource();
        var machine = new SimulatedMachine(false) { Delay = _ => hold.Task };
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Machine = machine.Hooks });
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        await client.ResetAsync("On");
        Assert.Equal("PoweringOn", await client.PowerStateAsync());
        Assert.Equal((409, "ResourceInUse"), await Refusal("On"));
        hold.SetResult();
        await bmc.WhenPowerSettledAsync();

        hold = new TaskCompletionSource();
        await client.ResetAsync("GracefulShutdown");
        Assert.Equal("PoweringOff", await client.PowerStateAsync());
        Assert.Equal((409, "ResourceInUse"), await Refusal("GracefulShutdown"));
        Assert.Equal((409, "ResourceInUse"), await Refusal("On"));
        Assert.Equal(204, (await client.ResetAsync("ForceOff")).Status);
        hold.SetResult();
        await bmc.WhenPowerSettledAsync();
        Assert.Equal("Off", await client.PowerStateAsync());

        async Task<(int Status, string? MessageId)> Refusal(string type)
        {
            Answer answer = await client.ResetAsync(type);
            return (answer.Status, answer.MessageId);
        }
    }

    [Fact]
    public async Task Graceful_IgnoredByTheMachine_StaysOn()
    {
        var machine = new SimulatedMachine(true) { ObeysGraceful = false };
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Machine = machine.Hooks });
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        Assert.Equal(204, (await client.ResetAsync("GracefulShutdown")).Status);
        await bmc.WhenPowerSettledAsync();
        Assert.Equal("On", await client.PowerStateAsync());
    }

    [Fact]
    public async Task Machine_ChangesByItself_StateAndEventFollow()
    {
        var machine = new SimulatedMachine(true);
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Machine = machine.Hooks });
        machine.Running = false;
        bmc.CheckPower();
        machine.Running = true;
        bmc.CheckPower();
        bmc.CheckPower();
        JsonArray entries = (JsonArray)bmc.Read(BmcClient.Entries)!["Members"]!;
        Assert.Equal(["ResourcePoweredOff", "ResourcePoweredOn"], entries.Select(entry => entry.Get("MessageId").Text()!.Split('.')[^1]));
        Assert.NotNull(bmc.Read(BmcClient.System).Get("LastResetTime").Text());
    }

    [Fact]
    public async Task ProcessMachine_FollowsTheProcessInThePidFile()
    {
        using TemporaryFolder folder = new();
        string pidFile = Path.Combine(folder.Path, "pid");
        string quoted = $"'{pidFile}'";
        PowerHooks machine = ProcessMachine.Create(pidFile,
            on: $"sleep 300 >/dev/null 2>&1 & echo $! > {quoted}", graceful: $"kill $(cat {quoted})", forceOff: $"kill -9 $(cat {quoted})");
        Assert.False(machine.IsRunning());
        await machine.On(CancellationToken.None);
        Assert.True(machine.IsRunning());
        using Process process = Process.GetProcessById(int.Parse(await File.ReadAllTextAsync(pidFile), CultureInfo.InvariantCulture));

        await machine.ForceOff(CancellationToken.None);
        await process.WaitForExitAsync();
        Assert.False(machine.IsRunning());
        InvalidOperationException error = await Assert.ThrowsAsync<InvalidOperationException>(() => machine.Graceful(CancellationToken.None));
        Assert.Contains("kill", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("not a number")]
    [InlineData("-1")]
    [InlineData("0")]
    public void ProcessMachine_PidFileWithoutPid_IsOff(string content)
    {
        using TemporaryFolder folder = new();
        string pidFile = Path.Combine(folder.Path, "pid");
        File.WriteAllText(pidFile, content);
        Assert.False(ProcessMachine.IsAlive(pidFile));
    }

    [Fact]
    public void ProcessMachine_Zombie_IsOff()
    {
        // A program that never waits for its child leaves it a zombie until it ends itself; the shell that it was would have waited.
        using Process shell = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "sleep 0.5 & echo $!; exec sleep 300"]) { RedirectStandardOutput = true })!;
        try
        {
            string pid = shell.StandardOutput.ReadLine()!;
            using TemporaryFolder folder = new();
            string pidFile = Path.Combine(folder.Path, "pid");
            File.WriteAllText(pidFile, pid);
            SpinWait.SpinUntil(() => File.ReadAllText($"/proc/{pid}/stat").Contains(") Z ", StringComparison.Ordinal));
            Assert.False(ProcessMachine.IsAlive(pidFile));
        }
        finally
        {
            shell.Kill();
        }
    }
}
