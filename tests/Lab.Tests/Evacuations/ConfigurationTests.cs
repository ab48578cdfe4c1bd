using Evacuator.Lab.Tests.Rack;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>What is configured wrongly, or missing, is said once and clearly, and the node does not half work.</summary>
[Collection(RackCollection.Name)]
public sealed class ConfigurationTests(ProductRack rack)
{
    private const string DropIn = "/etc/evacuator/evacuator.conf.d/90-test.conf";

    [LabFact]
    public Task Services_BadLineAndUnknownKey_OneReportWithFileAndLineExit78AndNoRestart() => rack.RunAsync(async scene =>
    {
        await scene.Node3.ConfigureAsync("[move]\nthis is no setting\nparalel = 3\n");
        await AssertRefusesToStartAsync(scene.Node3, $"{DropIn}:2: ", $"{DropIn}:3: ");
    });

    [LabFact]
    public Task Services_MissingCertificate_OneReportWithTheFileExit78AndNoRestart() => rack.RunAsync(async scene =>
    {
        await scene.Node3.PutAsideAsync("/etc/evacuator/tls/ca.crt");
        await AssertRefusesToStartAsync(scene.Node3, "/etc/evacuator/tls/ca.crt");
    });

    [LabTheory]
    [InlineData("fingerprint = 0000000000000000000000000000000000000000000000000000000000000000", "not the pinned one")]
    [InlineData("url = https://10.77.0.103:1", "10.77.0.103:1")]
    public Task Bmc_WrongFingerprintOrUnreachable_SaidEverywhereAndNotPoweredOff(string setting, string word) => rack.RunAsync(async scene =>
    {
        await scene.Node3.ConfigureAsync($"[bmc]\n{setting}\n");
        LabResult check = await scene.Node3.EvacuatorAsync("config", "check");
        Assert.Equal(78, check.ExitCode);
        Assert.Contains(word, check.Error, StringComparison.OrdinalIgnoreCase);

        await scene.Node3.RestartAsync();
        await scene.Node3.StatusUntilAsync(
            status => status.GetProperty("bmc").GetProperty("state").GetString() == "cannot-tell"
                && status.GetProperty("bmc").GetProperty("detail").GetString()!.Contains(word, StringComparison.OrdinalIgnoreCase),
            $"its status does not say that the BMC cannot be asked, with '{word}'");

        // The node is empty, so nothing but the BMC is in the way.
        LabResult start = await scene.Node3.EvacuatorAsync("start", "--reason", "a test", "--power-off", "--wait", "--json");
        Assert.NotEqual(0, start.ExitCode);
        Assert.Contains(word, start.Output + start.Error, StringComparison.OrdinalIgnoreCase);
        Assert.Equal("On", await scene.Node3.PowerAsync());
        Assert.Equal("active", await scene.Node3.ShAsync("systemctl is-active evacuator-agent"));
    });

    private static async Task AssertRefusesToStartAsync(Node node, params string[] places)
    {
        LabResult check = await node.EvacuatorAsync("config", "check");
        Assert.Equal(78, check.ExitCode);
        foreach (string place in places)
            Assert.Contains(place, check.Error, StringComparison.Ordinal);

        foreach (string unit in new[] { "evacuator-agent", "evacuator" })
        {
            await node.ShAsync("systemctl stop \"$1\"", unit);
            string cursor = await node.ShAsync("journalctl -n 0 --show-cursor | sed -n 's/^-- cursor: //p'");
            LabResult started = await node.TryAsync("systemctl", "start", unit);
            Assert.NotEqual(0, started.ExitCode);
            // Longer than the first pauses between restarts.
            await Task.Delay(TimeSpan.FromSeconds(1));
            Assert.Equal("ActiveState=failed\nExecMainStatus=78\nNRestarts=0",
                await node.ShAsync("systemctl show -p NRestarts -p ExecMainStatus -p ActiveState \"$1\" | sort", unit));
            string[] journal = (await node.ShAsync("journalctl --after-cursor \"$2\" -o cat -u \"$1\"", unit, cursor)).Split('\n');
            foreach (string place in places)
                Assert.Single(journal, line => line.Contains(place, StringComparison.Ordinal));
            Assert.Single(journal, line => line.StartsWith($"{unit} cannot start", StringComparison.Ordinal));
        }
    }
}
