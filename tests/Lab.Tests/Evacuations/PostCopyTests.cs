using System.Diagnostics;
using System.Text.Json;
using Evacuator.Lab.Tests.Rack;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>
/// A container that writes faster than the link takes: with its owner's permission it is resumed before all of its memory is there, and fetches the rest from its frozen
/// copy, whatever happens to the link and to both agents meanwhile. Without, it stays and says what would help.
/// </summary>
[Collection(RackCollection.Name)]
public sealed class PostCopyTests(ProductRack rack)
{
    private const int BudgetMs = 2000;

    /// <summary>All pages have a version, so one that was not fetched, or fetched twice, is found out.</summary>
    [LabFact]
    public Task Writer_FasterThanTheLink_FetchesTheRestOverKilledAgentsAndACutLink() => RunAsync(["--annotation", "evacuator.post-copy=yes"], async (scene, guest, evacuation) =>
    {
        Node destination = await ServesAsync(scene, guest, evacuation, slowly: "5mbit");

        await scene.Node1.KillAsync("evacuator-agent");
        await scene.Node1.UntilAsync("systemctl is-active --quiet evacuator-agent", "its agent does not come back");
        await destination.KillAsync("evacuator-agent");
        await destination.UntilAsync("systemctl is-active --quiet evacuator-agent", "its agent does not come back");
        await AssertServesAsync(guest, evacuation);
        await destination.LinkAsync("down");
        await Task.Delay(TimeSpan.FromSeconds(5));
        await destination.LinkAsync("up");
        await AssertServesAsync(guest, evacuation);
        await RateAsync(scene.Node1, "off");

        Report report = await evacuation.EndAsync();
        ContainerReport moved = report.Of(guest.Name);
        Assert.True(report.State == "done" && moved.State == "moved", $"not done: {report}");
        Assert.Equal("post-copy", moved.Json.GetProperty("rung").GetString());
        Assert.Contains("are written while as much is sent", moved.Json.GetProperty("rungReason").GetString(), StringComparison.Ordinal);
        Assert.InRange(moved.FreezeMs!.Value, 1, BudgetMs);
        JsonElement fetch = moved.Json.GetProperty("fetch");
        Assert.True(fetch.GetProperty("bytes").GetInt64() > 8 << 20 && fetch.GetProperty("bytesLeft").GetInt64() == 0, $"{fetch}");
        // It stood still where it needed memory, for about as long as the link was cut, and no longer than it takes to notice that it is back.
        Assert.InRange(fetch.GetProperty("longestWaitMs").GetDouble(), 4000, 15000);
        await AssertWholeOnAsync(scene, guest, destination);
    });

    [LabFact]
    public Task Writer_FasterThanTheLinkAndNoPermission_StaysUnfrozenAndSaysWhatWouldHelp() => RunAsync([], async (scene, guest, evacuation) =>
    {
        // The agent would die if it came to freeze anything.
        await scene.Node1.ArmAsync("kill", "source.freezing");
        Report report = await evacuation.EndAsync();
        await scene.Node1.ShAsync("rm /run/evacuator-agent/fault-point");
        await RateAsync(scene.Node1, "off");

        ContainerReport stayed = report.Of(guest.Name);
        Assert.True(stayed.State == "stayed", $"not stayed: {report}");
        Assert.Contains("are written while as much is sent", stayed.Detail, StringComparison.Ordinal);
        Assert.Contains("evacuator.post-copy=yes permits", stayed.Detail, StringComparison.Ordinal);
        await AssertWholeOnAsync(scene, guest, scene.Node1);
    });

    /// <summary>What runs there could only wait for ever: it is removed, and both sides say that it is lost. Its owner has permitted that.</summary>
    [LongLabFact]
    public Task Source_LosesPowerWhileItServes_IsLostAndNothingWaitsForEver() => RunAsync(["--annotation", "evacuator.post-copy=yes"], async (scene, guest, evacuation) =>
    {
        Node destination = await ServesAsync(scene, guest, evacuation, slowly: "1mbit");
        await PowerAsync(scene.Node1, "off", "Off");
        await PowerAsync(scene.Node1, "on", "On");

        Report report = await evacuation.EndAsync();
        Assert.True(report.Of(guest.Name).State == "gone", $"not gone: {report}");
        Assert.Empty(await destination.TracesAsync(guest.Name));
        Assert.Contains("is lost", await destination.ShAsync("journalctl --no-pager -b -u evacuator-agent"), StringComparison.Ordinal);
        await destination.ShAsync("[ -e /srv/containers/\"$1\".evacuated/rootfs ]", guest.Name);
    });

    [LongLabFact]
    public Task Destination_LosesPowerWhileItFetches_GoesOnAtTheSourceFromTheFreeze() => RunAsync(["--annotation", "evacuator.post-copy=yes"], async (scene, guest, evacuation) =>
    {
        Node destination = await ServesAsync(scene, guest, evacuation, slowly: "1mbit");
        await PowerAsync(destination, "off", "Off");
        await PowerAsync(destination, "on", "On");

        Report report = await evacuation.EndAsync();
        Assert.True(report.Of(guest.Name).State == "stayed", $"not stayed: {report}");
        Assert.Contains("it goes on here from where it was frozen", report.Of(guest.Name).Detail, StringComparison.Ordinal);
        await AssertWholeOnAsync(scene, guest, scene.Node1);
    });

    private async Task PowerAsync(Node node, string order, string state)
    {
        _ = (await rack.Lab.RunAsync("bmc", node.Name, "power", order)).Text;
        await rack.Lab.UntilAsync(state, "bmc", node.Name, "state");
        // Nothing can be run there before it has booted.
        long start = Stopwatch.GetTimestamp();
        while (order == "on" && (await node.TryAsync("systemctl", "is-active", "--quiet", "evacuator", "evacuator-agent")).ExitCode != 0)
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Node.Patience, $"{node} did not come up again");
            await Task.Delay(500);
        }
    }

    private Task RunAsync(string[] options, Func<Scene, Guest, Evacuation, Task> test) => rack.RunAsync(async scene =>
    {
        string name = Scene.NewName("p");
        string address = (await rack.Lab.RunAsync(["run", scene.Node1.Name, name, "memory", "--annotation", $"evacuator.freeze-budget={BudgetMs}ms",
            "--annotation", "evacuator.least-speed=100", .. options, "--arg", "24", "--arg", "40"])).Text;
        Guest guest = scene.Adopt(name, address);
        try
        {
            await RateAsync(scene.Node1, "100mbit");
            await test(scene, guest, await scene.Node1.EvacuateAsync());
        }
        finally
        {
            await RateAsync(scene.Node1, "off");
        }
    });

    private async Task RateAsync(Node node, string rate) => _ = (await rack.Lab.RunAsync("link", node.Name, "rate", rate)).Text;

    /// <returns>where it runs now, without all of its memory</returns>
    private async Task<Node> ServesAsync(Scene scene, Guest guest, Evacuation evacuation, string slowly)
    {
        await scene.Node1.ArmAsync("pause", "source.serving");
        await scene.Node1.ReachedAsync();
        await RateAsync(scene.Node1, slowly);
        await scene.Node1.LetGoAsync();
        Report report = await evacuation.UntilAsync(report => StepOf(report, guest) == "serving", "does not serve");
        return scene.Find(report.Of(guest.Name).To);
    }

    /// <summary>Not all is fetched, so what follows happens in the middle of it; and the host is not empty as long as it is needed.</summary>
    private static async Task AssertServesAsync(Guest guest, Evacuation evacuation)
    {
        Report report = await evacuation.UntilAsync(report => report.Of(guest.Name).State == "moving", "does not move any more");
        Assert.True(StepOf(report, guest) == "serving" && report.State == "moving", $"does not serve: {report}");
    }

    private static string? StepOf(Report report, Guest guest) =>
        report.Of(guest.Name).Json.TryGetProperty("step", out JsonElement step) && step.ValueKind == JsonValueKind.String ? step.GetString() : null;

    private async Task AssertWholeOnAsync(Scene scene, Guest guest, Node home)
    {
        foreach (Node node in rack.Nodes)
            Assert.Equal(node == home, (await node.TracesAsync(guest.Name)).Contains("runs"));
        // Reads all of it.
        LabResult client = await rack.Lab.RunAsync("client", "memory", guest.Address, "--seconds", "2", "--patience", "30");
        Assert.True(client.ExitCode == 0, $"{guest} on {home}: {client.Output}{client.Error}");
        Assert.Equal(0, JsonDocument.Parse(client.Output).RootElement.GetProperty("bytes_bad").GetInt64());
    }
}
