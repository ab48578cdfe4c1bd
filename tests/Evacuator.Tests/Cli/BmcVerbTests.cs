using System.Collections.Concurrent;
using System.CommandLine;
using Evacuator.Cli;
using Evacuator.Cli.Bmc;
using Evacuator.Lab.BmcSimulator;
using Evacuator.Lab.BmcSimulator.Power;
using Evacuator.Redfish.Health;
using Evacuator.Redfish.Session;
using Evacuator.Testing;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Cli;

/// <summary>"bmc watch" and "bmc power" against the lab's BMC.</summary>
public sealed class BmcVerbTests : IAsyncLifetime
{
    private const string Dimm = "/redfish/v1/Systems/1/Memory/DIMM_A1";

    private readonly SimulatedMachine _machine = new(running: true);
    private readonly TemporaryFolder _folder = new();
    private BmcSimulatorHost _bmc = null!;

    public async Task InitializeAsync()
    {
        _bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Machine = _machine.Hooks });
        await File.WriteAllTextAsync(PasswordFile, "evacuator");
    }

    public async Task DisposeAsync()
    {
        await _bmc.DisposeAsync();
        _folder.Dispose();
    }

    private string PasswordFile => Path.Combine(_folder.Path, "password");

    [Fact]
    public async Task Watch_EventAboutADimm_IsShownWithWhatTheReadingThenShows()
    {
        ConcurrentQueue<WatchLine> lines = [];
        using CancellationTokenSource stop = new(TestLimits.Hang);
        await using (BmcClient client = new(new BmcOptions { Url = _bmc.BaseAddress, User = "evacuator", Password = _ => ValueTask.FromResult("evacuator"), Fingerprint = _bmc.Fingerprint },
            TimeProvider.System, new Random(1)))
        {
            BmcWatch watch = new(client, new HealthScope("/redfish/v1/Systems/1"), TimeSpan.FromHours(1), TimeProvider.System, new Random(1), lines.Enqueue);
            Task running = watch.RunAsync(stop.Token);
            await UntilAsync(lines, line => line is { Kind: "verdict", What: "ok" });
            await UntilAsync(lines, line => line is { Kind: "listening", What: "sse" });

            _bmc.PostEvent($$$$"""{"MessageId":"Platform.1.0.MemoryUncorrectableError","OriginOfCondition":"{{{{Dimm}}}}","Severity":"Critical","Patch":[{"uri":"{{{{Dimm}}}}","body":{"Status":{"State":"Enabled","Health":"Critical"}}}]}""");
            await UntilAsync(lines, line => line is { Kind: "event", What: "critical", Uri: Dimm });
            await UntilAsync(lines, line => line is { Kind: "signal", What: "appeared" } && line.Text.Contains("failed of memory", StringComparison.Ordinal));

            await stop.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running.WaitAsync(TestLimits.Hang));
        }

        Assert.Empty(_bmc.Sessions);
    }

    [Fact]
    public async Task Power_StateOfAnotherMachine_IsShownWithItsEvidence()
    {
        (int code, string output, string error) = await RunAsync("state");
        Assert.True(code == CliExit.Ok, error);
        Assert.Contains("power     on", output, StringComparison.Ordinal);
        Assert.Contains("/redfish/v1/Systems/1 says On", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Power_OffAnotherMachine_IsOrderlyAndSeenOffTwice()
    {
        (int code, string output, string error) = await RunAsync("off", "--uuid", _bmc.Identity.Uuid.ToString());
        Assert.True(code == CliExit.Ok, output + error);
        Assert.Contains("Off in 2 reads", output, StringComparison.Ordinal);
        Assert.False(_machine.Running);
        Assert.Empty(_bmc.Sessions);
    }

    [Fact]
    public async Task Power_UuidOfAnother_DoesNothing()
    {
        (int code, _, string error) = await RunAsync("off", "--uuid", Guid.NewGuid().ToString());
        Assert.Equal(CliExit.Failed, code);
        Assert.Contains("cannot be told", error, StringComparison.Ordinal);
        Assert.True(_machine.Running);
        Assert.DoesNotContain(_bmc.Requests.Requests, request => request.Method == "POST" && !request.Uri.EndsWith("/Sessions", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Power_OffWithoutUrl_PointsToTheEvacuation()
    {
        StringWriter error = new();
        Assert.Equal(CliExit.Usage, await EvacuatorCommand.Create().Parse(["bmc", "power", "off"]).InvokeAsync(new InvocationConfiguration { Error = error }));
        Assert.Contains("start --power-off", error.ToString(), StringComparison.Ordinal);
    }

    private static async Task UntilAsync(ConcurrentQueue<WatchLine> lines, Func<WatchLine, bool> there)
    {
        using CancellationTokenSource hang = new(TestLimits.Hang);
        while (!lines.Any(there))
        {
            Assert.False(hang.IsCancellationRequested, string.Join('\n', lines));
            await Task.Delay(5, CancellationToken.None);
        }
    }

    private async Task<(int Code, string Output, string Error)> RunAsync(string order, params string[] more)
    {
        StringWriter output = new(), error = new();
        string[] arguments = ["bmc", "power", order, "--url", _bmc.BaseAddress.ToString(), "--user", "evacuator", "--password-file", PasswordFile, "--fingerprint", _bmc.Fingerprint, .. more];
        int code = await EvacuatorCommand.Create().Parse(arguments).InvokeAsync(new InvocationConfiguration { Output = output, Error = error });
        return (code, output.ToString(), error.ToString());
    }
}
