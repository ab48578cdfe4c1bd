using System.CommandLine;
using System.Text.Json;
using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Cli.Membership;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Common.Fleet;
using Evacuator.Testing;
using Evacuator.Tests.Fakes;
using Evacuator.Windows;

namespace Evacuator.Tests.Cli;

/// <summary>The verbs as a person uses them, against whole brains.</summary>
public sealed class VerbTests
{
    [Fact]
    public async Task AnyVerb_ServiceNotRunning_SaysHowToStartIt()
    {
        (int code, _, string error) = await RunAsync("/nonexistent/evacuator.sock", "status");
        Assert.Equal(CliExit.Unavailable, code);
        Assert.Contains("has not joined a fleet", error, StringComparison.Ordinal);
        Assert.Contains("evacuator fleet join", error, StringComparison.Ordinal);

        using TemporaryFolder etc = new();
        Directory.CreateDirectory(Path.Combine(etc.Path, "tls"));
        await File.WriteAllTextAsync(Path.Combine(etc.Path, "tls", "agent.crt"), "");
        (code, _, error) = await RunAsync("/nonexistent/evacuator.sock", "status", "--config", Path.Combine(etc.Path, "evacuator.conf"));
        Assert.Equal(CliExit.Unavailable, code);
        Assert.Contains("systemctl start evacuator", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task StatusPlanAndStart_SomethingThatNoMoveTakesAway_IsSaidBeforeAnythingMoves()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        TestNode node = fleet["node1"];
        node.Agent.Containers["web"] = FakeRack.Container("web");
        node.Agent.Residue = "veth eth0 is on this host; if it is an uplink of the host itself, name it in [node] uplinks";

        (int code, string output, _) = await RunAsync(node.SocketPath, "plan");
        Assert.Equal(CliExit.Failed, code);
        Assert.Contains("all 1 containers would move; node1 WOULD NOT BE FOUND EMPTY", output, StringComparison.Ordinal);
        Assert.Contains("WOULD NOT BE EMPTY: veths: veth eth0 is on this host", output, StringComparison.Ordinal);

        (code, output, _) = await RunAsync(node.SocketPath, "status");
        Assert.Equal(CliExit.Ok, code);
        Assert.Contains("WOULD NOT BE EMPTY: veths: veth eth0 is on this host", output, StringComparison.Ordinal);

        // Nothing is released before the warning has been seen.
        SignallingWriter seen = new("this host will not be found empty: veths: veth eth0");
        node.Agent.Hold = move => move.Phase == SourcePhase.Copying && !seen.Seen.IsCompleted;
        (code, output, _) = await RunAsync(node.SocketPath, default, seen, "start", "--reason", "x", "--wait");
        Assert.Equal(CliExit.Failed, code);
        Assert.Contains("next: the host is on and closed", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task FleetStatus_AsJson_HoldsAllThatTheTextShows()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 3, options: same => same with { Fleet = same.Fleet with { MaxEmptied = new NodeCount(40, IsPercent: true) } });
        StartReply started = await fleet["node2"].EvacuateAsync();
        await fleet["node2"].WaitForEndAsync(started.Id);
        (int code, string output, string error) = (0, "", "");
        using CancellationTokenSource hang = new(TestLimits.Hang);
        do
        {
            await Task.Delay(20, hang.Token);
            (code, output, error) = await RunAsync(fleet["node1"].SocketPath, "fleet", "status", "--json");
            Assert.True(code is CliExit.Ok or CliExit.Failed, error);
        }
        while (JsonDocument.Parse(output).RootElement.GetProperty("lock").GetProperty("picture").GetProperty("slots").GetArrayLength() == 0);

        JsonElement report = JsonDocument.Parse(output).RootElement;
        Assert.Equal("node1", report.GetProperty("node").GetString());
        Assert.Equal(["node2", "node3"], report.GetProperty("peers").EnumerateArray().Select(peer => peer.GetProperty("name").GetString()));
        Assert.Equal("node2", report.GetProperty("lock").GetProperty("picture").GetProperty("slots")[0].GetProperty("node").GetString());
        Assert.Equal(1, report.GetProperty("limits").GetProperty("maxEmptied").GetInt32());
        Assert.Equal(0, report.GetProperty("reservations").GetArrayLength());
        Assert.True(report.GetProperty("fleet").GetProperty("certificateUntil").GetDateTimeOffset() > DateTimeOffset.UnixEpoch);
        Assert.True(report.GetProperty("memoryAvailable").GetInt64() > 0);

        (_, output, _) = await RunAsync(fleet["node1"].SocketPath, "fleet", "status");
        Assert.Contains("at most 1 out at once ([fleet] max-emptied = 40% of 3 nodes)", output, StringComparison.Ordinal);
        Assert.Contains("out: node2 since", output, StringComparison.Ordinal);
    }

    /// <summary>Without limits nobody takes a place in the lock, and a node that is off answers nobody: it is out all the same.</summary>
    [Fact]
    public async Task FleetStatus_NodeWasEmptiedAndSwitchedOff_IsOut()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        Assert.Contains("out: none", (await CliRun.RunAsync(fleet["node2"].SocketPath, "fleet", "status")).Output, StringComparison.Ordinal);
        StartReply started = await fleet["node1"].EvacuateAsync(powerOff: true);
        await fleet["node2"].WaitAsync(started.Id, report => report.Power.SafeToPull);
        await fleet["node1"].StopAsync();

        string output = (await CliRun.RunAsync(fleet["node2"].SocketPath, "fleet", "status")).Output;
        Assert.DoesNotContain("out: none", output, StringComparison.Ordinal);
        Assert.Contains($"out, without a place in the lock: node1: it was emptied and switched off, as this node saw on its BMC (\"evacuator report {started.Id:D}\")", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task FleetUnlock_OfANodeThatHoldsNoPlace_IsRefusedBeforeAnythingIsAsked()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        (int code, _, string error) = await CliRun.RunAsync(fleet["node1"].SocketPath, "fleet", "unlock", "nod2");
        Assert.Equal(CliExit.Refused, code);
        Assert.Contains("nod2 holds no place of the fleet's lock; nobody does", error, StringComparison.Ordinal);
        Assert.DoesNotContain("Type nod2", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--count abc: write a number from 1 to 1000", "windows", "next", "--count", "abc")]
    [InlineData("--count 0: write a number from 1 to 1000", "windows", "next", "--count", "0")]
    [InlineData("a token is missing: \"evacuator fleet token\" there makes one", "fleet", "join", "node1.example.org:7363")]
    public async Task AnyVerb_WrongUse_SaysWhatToWrite(string says, params string[] arguments)
    {
        (int code, string output, string error) = await CliRun.RunAsync("/nonexistent", arguments);
        // What the parser itself refuses becomes 64 in Program.
        Assert.NotEqual(CliExit.Ok, code);
        Assert.Contains(says, output + error, StringComparison.Ordinal);
        Assert.DoesNotContain("System.", output + error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Report_FromAFileThatIsNone_SaysSoWithoutTheProgramsOwnTerms()
    {
        using TemporaryFolder folder = new();
        string file = Path.Combine(folder.Path, "report.json");
        await File.WriteAllTextAsync(file, "{\n\"id\": 3\n}");
        (int code, _, string error) = await CliRun.RunAsync("/nonexistent", "report", "--from", file);
        Assert.Equal(CliExit.Failed, code);
        Assert.Contains("is not the report of an evacuation as \"evacuator report --json\" writes it", error, StringComparison.Ordinal);
        Assert.DoesNotContain("System.", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Windows_ListAndAdd_SayWhatIsOverAndWhatIsTooShort()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 1);
        string socket = fleet["node1"].SocketPath;
        Assert.Contains("windows: none", (await CliRun.RunAsync(socket, "windows", "list")).Output, StringComparison.Ordinal);
        Assert.Contains("no window opens", (await CliRun.RunAsync(socket, "windows", "next")).Output, StringComparison.Ordinal);
        (int code, _, string error) = await CliRun.RunAsync(socket, "windows", "add", "w", "--at", "2099-01-01T00:00", "--duration", "1s");
        Assert.Equal(CliExit.Usage, code);
        Assert.Contains("the duration must be from one minute", error, StringComparison.Ordinal);
        fleet["node1"].Journal!.Write(new MaintenanceWindow
        {
            Name = "past", At = new DateTimeOffset(2024, 1, 1, 0, 0, 0, TimeSpan.Zero), TimeZone = "UTC", Duration = TimeSpan.FromHours(1), Reason = "x", AddedBy = "root", Added = DateTimeOffset.UnixEpoch,
        });
        Assert.Contains("2024-01-01 00:00:00Z (over)", (await CliRun.RunAsync(socket, "windows", "list")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Exit_FilesThatMayNotBeRead_AreNoMistakes()
    {
        ConfigurationMistake hidden = new("/etc/credstore", 0, "only root can look") { NotAllowed = true }, wrong = new("/etc/evacuator/evacuator.conf", 3, "unknown key");
        Assert.Equal(CliExit.Ok, CliExit.Of([]));
        Assert.Equal(CliExit.NoPermission, CliExit.Of([hidden]));
        Assert.Equal(CliExit.Configuration, CliExit.Of([hidden, wrong]));
    }

    [Fact]
    public async Task Exit_OfAFleetVerbThatNeedsRoot_IsNoPermission()
    {
        CliException refused = await Assert.ThrowsAsync<CliException>(() => FleetVerbs.ReportMistakesAsync(() => throw new FleetSetupException("run it as root") { NotAllowed = true }));
        Assert.Equal(CliExit.NoPermission, refused.ExitCode);
        CliException failed = await Assert.ThrowsAsync<CliException>(() => FleetVerbs.ReportMistakesAsync(() => throw new FleetSetupException("the authority does not answer")));
        Assert.Equal(CliExit.Failed, failed.ExitCode);
    }

    /// <summary>Reasons are long; each is told once.</summary>
    [Fact]
    public async Task Report_AfterARetryThatFailedAgain_TellsTheReasonOnce()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        TestNode node = fleet["node1"];
        node.Agent.Containers["web"] = FakeRack.Container("web");
        const string Reason = "the freeze budget of 300 ms would have been overrun: node2 did not have everything";
        node.Agent.Fails = _ => (null, Reason);
        await CliRun.RunAsync(node.SocketPath, "start", "--reason", "x", "--wait");
        (int code, string output, _) = await CliRun.RunAsync(node.SocketPath, "retry", "web", "--wait");
        Assert.Equal(CliExit.Failed, code);
        string report = (await CliRun.RunAsync(node.SocketPath, "report")).Output;

        Assert.Equal(1, report.Split(Reason).Length - 1);
        Assert.Contains("1 left on node1: web (why: below)", report, StringComparison.Ordinal);
        Assert.Contains("retries web; it had stayed (why: above)", report, StringComparison.Ordinal);
        // Once when it happens, once in the report that follows.
        Assert.InRange(output.Split(Reason).Length - 1, 1, 3);
    }

    [Fact]
    public async Task Start_WaitIsEndedByTheHostsOwnShutdown_ExitsAsGoingDownAndOffersNoCancel()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        TestNode node = fleet["node1"];
        using CancellationTokenSource terminate = new();
        node.Agent.OnPowerOff = terminate.Cancel;

        (int code, _, string error) = await RunAsync(node.SocketPath, terminate.Token, "start", "--reason", "x", "--power-off", "--wait");

        Assert.Equal(CliExit.GoingDown, code);
        Assert.Contains("node1 is proven empty and goes down; it cannot be cancelled any more. node2 watches its BMC", error, StringComparison.Ordinal);
        Assert.DoesNotContain("evacuator cancel", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Start_WaitAndTheServiceGoesDownWithTheHost_ExitsAsGoingDown()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        TestNode node = fleet["node1"];
        SignallingWriter output = new("going down, node2 watches");
        Task<(int Code, string, string Error)> waiting = RunAsync(node.SocketPath, default, output, "start", "--reason", "x", "--power-off", "--wait");
        await output.Seen.WaitAsync(TestLimits.Hang);
        await node.StopAsync();

        (int code, _, string error) = await waiting;
        Assert.Equal(CliExit.GoingDown, code);
        Assert.Contains("goes down", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Start_WaitIsInterruptedWhileItMoves_SaysThatItGoesOn()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        TestNode node = fleet["node1"];
        node.Agent.Containers["web"] = FakeRack.Container("web");
        node.Agent.Hold = _ => true;
        using CancellationTokenSource interrupt = new();
        SignallingWriter output = new("web: accepted");
        Task<(int Code, string, string Error)> waiting = RunAsync(node.SocketPath, interrupt.Token, output, "start", "--reason", "x", "--wait");
        await output.Seen.WaitAsync(TestLimits.Hang);
        await interrupt.CancelAsync();

        (int code, _, string error) = await waiting;
        Assert.Equal(CliExit.Interrupted, code);
        Assert.Contains("The evacuation goes on", error, StringComparison.Ordinal);
        Assert.Contains("evacuator cancel", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("http://10.0.0.101")]
    [InlineData("10.0.0.101")]
    public async Task BmcTrust_NoHttpsUrl_IsWrongUse(string url)
    {
        (int code, _, string error) = await RunAsync("/nonexistent", "bmc", "trust", "--url", url);
        Assert.Equal(CliExit.Usage, code);
        Assert.Contains("https", error, StringComparison.Ordinal);
    }

    [Fact]
    public void FleetJoin_BundleOfAnotherHost_HasToBeMeant()
    {
        using TemporaryFolder folder = new();
        string bundle = new FleetSetup(TimeProvider.System).Init(folder.Path, [new Peer("srv1", "10.0.0.1")]).Bundles[0];

        JoinVerb.RefuseOtherHost(bundle, meant: null, "srv1");
        JoinVerb.RefuseOtherHost(bundle, meant: null, "SRV1.example.org");
        JoinVerb.RefuseOtherHost(bundle, meant: "srv1", "other");
        CliException other = Assert.Throws<CliException>(() => JoinVerb.RefuseOtherHost(bundle, meant: null, "srv2"));
        Assert.Contains("is for srv1 and this host is called srv2", other.Message, StringComparison.Ordinal);
        Assert.Contains("--node srv1", other.Message, StringComparison.Ordinal);
        Assert.Contains("is for srv1, not for srv2", Assert.Throws<CliException>(() => JoinVerb.RefuseOtherHost(bundle, meant: "srv2", "srv2")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Reopen_LedWasLitFromHere_SwitchesItOff()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        TestNode node = fleet["node1"];
        Assert.Equal(CliExit.Ok, (await RunAsync(node.SocketPath, "bmc", "led", "on")).Code);
        await node.RebootAsync();
        Assert.Contains("locator LED: lit since", (await RunAsync(node.SocketPath, "status")).Output, StringComparison.Ordinal);

        (int code, string output, _) = await RunAsync(node.SocketPath, "reopen");

        Assert.Equal(CliExit.Ok, code);
        Assert.Contains("locator LED: off", output, StringComparison.Ordinal);
        Assert.False(fleet.Bmc("node1").Lit);
        Assert.DoesNotContain("locator LED", (await RunAsync(node.SocketPath, "status")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ConfigCheck_BmcDoesNotAnswer_NamesTheDropInThatHasItsAddress()
    {
        using TemporaryFolder folder = new();
        string file = Path.Combine(folder.Path, "evacuator.conf"), dropIn = Path.Combine(folder.Path, "evacuator.conf.d", "bmc.conf"), password = Path.Combine(folder.Path, "password");
        Directory.CreateDirectory(Path.GetDirectoryName(dropIn)!);
        await File.WriteAllTextAsync(password, "secret\n");
        File.SetUnixFileMode(password, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await File.WriteAllTextAsync(file, "[node]\nname = node1\n");
        // Nothing listens on the discard port of the loopback.
        await File.WriteAllTextAsync(dropIn, $"[bmc]\nuser = admin\nurl = https://127.0.0.1:9\nfingerprint = {new string('a', 64)}\npassword-file = {password}\n");

        (int code, _, string error) = await RunAsync("/nonexistent", "config", "check", "--config", file);

        Assert.Equal(CliExit.Configuration, code);
        Assert.Contains($"{dropIn}:3: url: ", error, StringComparison.Ordinal);
        Assert.Contains("warning: not checked whether this host could be found empty", error, StringComparison.Ordinal);
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

    /// <summary>A second start on an emptied host does not hide what the first did.</summary>
    [Fact]
    public async Task Report_AfterASecondStart_NamesTheOneBeforeAndListsAll()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        TestNode node = fleet["node1"];
        node.Agent.Containers["web"] = FakeRack.Container("web");
        EvacuationReport first = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);
        EvacuationReport second = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);
        Assert.Equal(CliExit.Ok, (await RunAsync(node.SocketPath, "reopen")).Code);
        Guid home = Guid.NewGuid();
        (int code, string output, string error) = await RunAsync(node.SocketPath, "return", "--wait", "--operation-id", home.ToString("D"));
        Assert.True(code == CliExit.Ok, output + error);

        (_, output, _) = await RunAsync(node.SocketPath, "report");
        Assert.Contains($"the one before: {first.Id:D}", output, StringComparison.Ordinal);
        (_, output, _) = await RunAsync(node.SocketPath, "report", "--list", "--json");
        Assert.Equal([(home, "homecoming", "done", 1), (second.Id, "evacuation", "done", 0), (first.Id, "evacuation", "done", 1)],
            JsonDocument.Parse(output).RootElement.EnumerateArray().Select(run => (run.GetProperty("id").GetGuid(), run.GetProperty("kind").GetString()!, run.GetProperty("state").GetString()!, run.GetProperty("moved").GetInt32())));
        (_, output, _) = await RunAsync(node.SocketPath, "report", "--list");
        Assert.Matches($"evacuation +node1 +done +1 of 1 +{first.Id:D} +DIMM A1", output);
        (code, output, _) = await RunAsync(node.SocketPath, "report", home.ToString("D"));
        Assert.Equal(CliExit.Ok, code);
        Assert.StartsWith($"homecoming {home:D} to node1", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(CliExit.Failed, "/nonexist: there is no such file", "report", "--from", "/nonexist")]
    [InlineData(CliExit.Failed, "/: is a directory", "report", "--from", "/")]
    [InlineData(CliExit.Usage, "--ca goes with --verify only", "report", "--ca", "/ca.crt")]
    [InlineData(CliExit.Usage, "--list goes with --json only", "report", "--list", "--homecoming")]
    [InlineData(CliExit.Usage, "web: in --only and in --skip as well", "return", "--only", "web", "--skip", "web")]
    public async Task Verb_WrongUse_IsSaidClearlyWithoutTheService(int expected, string says, params string[] arguments)
    {
        (int code, _, string error) = await RunAsync("/nonexistent/evacuator.sock", default, new StringWriter(), arguments);
        Assert.Equal(expected, code);
        Assert.Contains(says, error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Help_ArgumentsThatMayBeLeftOut_HaveBrackets()
    {
        (_, string output, _) = await RunAsync("/nonexistent", "--help");
        Assert.Contains("\n  rehearse [NAME] ", output, StringComparison.Ordinal);
        Assert.Contains("\n  report [ID] ", output, StringComparison.Ordinal);
        Assert.Contains("\n  retry <NAME> ", output, StringComparison.Ordinal);
        (_, output, _) = await RunAsync("/nonexistent", "bmc", "--help");
        Assert.Contains("\n  power [off|on|state] ", output, StringComparison.Ordinal);
        Assert.Contains("\n  led <off|on> ", output, StringComparison.Ordinal);
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

    private static Task<(int Code, string Output, string Error)> RunAsync(string socket, params string[] arguments) => RunAsync(socket, default, arguments);

    private static Task<(int Code, string Output, string Error)> RunAsync(string socket, CancellationToken token, params string[] arguments) =>
        RunAsync(socket, token, new StringWriter(), arguments);

    private static async Task<(int Code, string Output, string Error)> RunAsync(string socket, CancellationToken token, StringWriter output, params string[] arguments)
    {
        StringWriter error = new();
        int code = await EvacuatorCommand.Create().Parse([.. arguments, "--socket", socket]).InvokeAsync(new InvocationConfiguration { Output = output, Error = error }, token);
        return (code, output.ToString(), error.ToString());
    }

    /// <summary>Tells when a line with a certain text has been written.</summary>
    private sealed class SignallingWriter(string text) : StringWriter
    {
        private readonly TaskCompletionSource _seen = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Seen => _seen.Task;

        public override void WriteLine(string? value)
        {
            base.WriteLine(value);
            if (value?.Contains(text, StringComparison.Ordinal) == true)
                _seen.TrySetResult();
        }
    }
}
