using System.CommandLine;
using System.Text.Json;
using Evacuator.Cli;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Cli;

/// <summary>The verbs as a person uses them, against whole brains.</summary>
public sealed class VerbTests
{
    [Fact]
    public async Task AnyVerb_ServiceNotRunning_SaysHowToStartIt()
    {
        (int code, _, string error) = await RunAsync("/nonexistent/evacuator.sock", "status");
        Assert.Equal(CliExit.Unavailable, code);
        Assert.Contains("systemctl start evacuator", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Start_Wait_ShowsEachContainerAndEndsWithTheReport()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        fleet["node1"].Agent.Containers["web"] = FakeRack.Container("web");
        (int code, string output, _) = await RunAsync(fleet["node1"].SocketPath, "start", "--reason", "DIMM A1", "--ticket", "T-1", "--wait");

        Assert.Equal(CliExit.Ok, code);
        Assert.Contains("DONE: 1 of 1 containers moved", output, StringComparison.Ordinal);
        Assert.Contains("why: DIMM A1 [T-1]", output, StringComparison.Ordinal);
        Assert.Matches("web +node2 +moved", output);

        (_, string report, _) = await RunAsync(fleet["node1"].SocketPath, "report", "--json");
        Assert.Equal("done", JsonDocument.Parse(report).RootElement.GetProperty("state").GetString());
    }

    [Fact]
    public async Task Start_WaitAndSomethingIsLeft_ExitsWithFailureAndNamesIt()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        fleet["node1"].Agent.Containers["db"] = FakeRack.Container("db", annotations: ("evacuator.policy", "stay"));
        (int code, string output, _) = await RunAsync(fleet["node1"].SocketPath, "start", "--reason", "x", "--wait");
        Assert.Equal(CliExit.Failed, code);
        Assert.Contains("FAILED", output, StringComparison.Ordinal);
        Assert.Contains("evacuator.policy=stay", output, StringComparison.Ordinal);
        Assert.Contains("NOT EMPTY", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task StatusAndPlan_MissingRequirement_IsShownWithThePackageToInstall()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        fleet["node1"].Agent.Containers["web"] = FakeRack.Container("web");
        fleet["node1"].Agent.Requirements = [new("criu", false, "not installed", "apt install criu", Evacuator.Common.AgentApi.BlockerCode.CriuMissing)];
        (int code, string output, _) = await RunAsync(fleet["node1"].SocketPath, "status");
        Assert.Equal(CliExit.Ok, code);
        Assert.Contains("MISSING criu: found not installed. apt install criu", output, StringComparison.Ordinal);

        (code, output, _) = await RunAsync(fleet["node1"].SocketPath, "plan");
        Assert.Equal(CliExit.Ok, code);
        Assert.Contains("all 1 containers would move", output, StringComparison.Ordinal);
        Assert.Empty(fleet["node1"].Journal!.Evacuations());
    }

    [Fact]
    public async Task Cancel_NothingRuns_IsRefused()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 1);
        (int code, _, string error) = await RunAsync(fleet["node1"].SocketPath, "cancel");
        Assert.Equal(CliExit.Refused, code);
        Assert.Contains("no evacuation is under way", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ConfigCheck_SeveralMistakes_AllAtOnceWithFileAndLine()
    {
        string folder = Directory.CreateTempSubdirectory("evacuator-config-").FullName;
        string file = Path.Combine(folder, "evacuator.conf");
        await File.WriteAllTextAsync(file, $"[node]\nname = node1\n[move]\nparalel = 3\nfreeze-budget = soon\n[fleet]\ntls-directory = {folder}\n");
        (int code, _, string error) = await RunAsync("/nonexistent", "config", "check", "--config", file);
        Directory.Delete(folder, recursive: true);

        Assert.Equal(CliExit.Configuration, code);
        Assert.Contains($"{file}:4: ", error, StringComparison.Ordinal);
        Assert.Contains($"{file}:5: ", error, StringComparison.Ordinal);
    }

    private static async Task<(int Code, string Output, string Error)> RunAsync(string socket, params string[] arguments)
    {
        StringWriter output = new();
        StringWriter error = new();
        int code = await EvacuatorCommand.Create().Parse([.. arguments, "--socket", socket]).InvokeAsync(new InvocationConfiguration { Output = output, Error = error });
        return (code, output.ToString(), error.ToString());
    }
}
