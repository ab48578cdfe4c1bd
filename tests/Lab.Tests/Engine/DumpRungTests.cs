using System.Text.Json;
using Evacuator.Lab.Tests.Evacuations;
using Evacuator.Lab.Tests.Rack;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Engine;

/// <summary>How CRIU is kept from memory that was sent ahead: tried at the start, chosen by itself, and said; memory is whole on every rung.</summary>
[Collection(RackCollection.Name)]
public sealed class DumpRungTests(ProductRack rack)
{
    private const string Shim = "/usr/lib/evacuator/criu-shim.so";

    [LabFact]
    public Task Status_OfAWholeInstallation_SaysThatTheShimWasTried() => rack.RunAsync(async scene =>
    {
        JsonElement dump = await DumpAsync(scene.Node3, "shim");
        Assert.Equal("", dump.GetProperty("reason").GetString());
        Assert.Matches("^4\\.[0-9.]+$", dump.GetProperty("criu").GetString());
        Assert.Equal(await scene.Node3.ShAsync($"sha256sum {Shim} | cut -c 1-32"), dump.GetProperty("shim").GetString());
        Assert.True(dump.GetProperty("at").GetDateTimeOffset() <= DateTimeOffset.UtcNow);
        Assert.Contains("dump: shim", (await scene.Node3.EvacuatorAsync("status")).Output, StringComparison.Ordinal);
    });

    /// <summary>A library that is loaded and does nothing, and one that is not there: both are found out without a restart, and the next rung is taken.</summary>
    [LabFact]
    public Task Move_TheShimDoesNothing_GoesWithLazyPagesAndSaysSo() => rack.RunAsync(async scene =>
    {
        await scene.Node1.PutAsideAsync(Shim);
        await scene.Node1.ShAsync($"cp /usr/lib/evacuator/criu-gate.so {Shim}");
        await DumpAsync(scene.Node1, "lazy-pages", "criu-shim.so does not keep this CRIU");
        await MoveAsync(scene, "lazy-pages", "criu-shim.so does not keep this CRIU");
        await scene.Node1.ShAsync($"rm {Shim}");
        await DumpAsync(scene.Node1, "lazy-pages", "is missing");
    });

    [LongLabTheory]
    [InlineData("lazy-pages")]
    [InlineData("plain")]
    public Task Move_WithAWayThatIsConfigured_GoesThatWayAndIsWhole(string way) => rack.RunAsync(async scene =>
    {
        await scene.Node1.ConfigureAsync($"[move]\ndump = {way}\n");
        await scene.Node1.RestartAsync();
        await DumpAsync(scene.Node1, way, "evacuator.conf");
        await MoveAsync(scene, way, "evacuator.conf");
    });

    /// <summary>All of its memory would travel while it stands still, and is measured against the budget before.</summary>
    [LongLabFact]
    public Task Move_WithAPlainDumpThatTakesTooLong_IsNotEvenFrozen() => rack.RunAsync(async scene =>
    {
        await scene.Node1.ConfigureAsync("[move]\ndump = plain\n");
        await scene.Node1.RestartAsync();
        await DumpAsync(scene.Node1, "plain", "evacuator.conf");
        (string name, string address) = await scene.RunWorkloadAsync(scene.Node1, "memory", "--annotation", "evacuator.freeze-budget=250ms", "--arg", "256", "--arg", "0");
        // The agent would die if it came to freeze anything.
        await scene.Node1.ArmAsync("kill", "source.freezing");
        Report report = await (await scene.Node1.EvacuateAsync()).EndAsync();
        await scene.Node1.ShAsync("rm /run/evacuator-agent/fault-point");
        ContainerReport stayed = report.Of(name);
        Assert.True(report.State == "failed" && stayed.State is "stayed" or "blocked", $"not refused: {report}");
        Assert.Null(stayed.FreezeMs);
        Assert.Matches("all of its 2[5-9][0-9] MiB of memory travel meanwhile.*dump in evacuator.conf", stayed.Detail + string.Join(' ', stayed.Reasons));
        Assert.Contains("\"bytes_bad\":0", (await rack.Lab.RunAsync("client", "memory", $"{address}:7002", "--seconds", "0.2")).Output, StringComparison.Ordinal);
    });

    private static async Task<JsonElement> DumpAsync(Node node, string rung, string reason = "")
    {
        JsonElement status = await node.StatusUntilAsync(
            status => status.GetProperty("host") is { ValueKind: JsonValueKind.Object } host && host.GetProperty("dump") is var dump
                && dump.GetProperty("rung").GetString() == rung && dump.GetProperty("reason").GetString()!.Contains(reason, StringComparison.Ordinal),
            $"its status does not say that dumps are {rung} because of '{reason}'");
        return status.GetProperty("host").GetProperty("dump");
    }

    private async Task MoveAsync(Scene scene, string rung, string reason)
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        (string name, string address) = await scene.RunWorkloadAsync(
            scene.Node1, "torture", "--annotation", "evacuator.freeze-budget=10min", "--arg", $"{Environment.TickCount64 % 100_000}");
        Evacuation evacuation = await scene.Node1.EvacuateAsync();
        Report report = await evacuation.EndAsync();
        Assert.True(report.State == "done", $"not done: {report}");
        foreach (string moved in new[] { guest.Name, name })
        {
            Assert.Equal(rung, report.Of(moved).Json.GetProperty("dump").GetString());
            Assert.Contains(reason, report.Of(moved).Json.GetProperty("dumpReason").GetString(), StringComparison.Ordinal);
        }
        string words = (await scene.Node1.EvacuatorAsync("report", $"{evacuation.Id}")).Output;
        Assert.Contains(rung == "plain" ? "dumped whole while it stood still" : "dumped with --lazy-pages", words, StringComparison.Ordinal);
        await guest.Client.AssertAliveAsync();
        JsonElement seen = JsonDocument.Parse((await rack.Lab.RunAsync("client", "memory", $"{address}:7002", "--seconds", "1")).Output).RootElement;
        Assert.Equal((0, true), (seen.GetProperty("bytes_bad").GetInt64(), seen.GetProperty("round_trips").GetInt64() > 0));
    }
}
