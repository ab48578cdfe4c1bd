using System.Diagnostics;
using System.Text.Json;
using Evacuator.Lab.Tests.Rack;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>
/// The memory of a container on its way, while agents and hosts die: what was READY is whole whoever dies, and until the destination has noted that
/// its answer was heard, the source has everything, too. The workload knows for each of its pages what has to be in it.
/// </summary>
[Collection(RackCollection.Name)]
public sealed class MemoryKeptTests(ProductRack rack)
{
    [LabFact]
    public Task DestinationAgent_KilledAfterReady_RestoresWhatHadArrived() => rack.RunAsync(async scene =>
    {
        Guest guest = await RunAsync(scene);
        (Evacuation evacuation, Node destination) = await HoldAsync(scene, guest, "source.ready");
        await destination.KillAsync("evacuator-agent");
        await destination.UntilAsync("systemctl is-active --quiet evacuator-agent", "its agent does not come back");
        await scene.Node1.LetGoAsync();

        await AssertArrivesAsync(guest, await evacuation.EndAsync());
        Assert.Contains("systemd has kept the memory", await destination.ShAsync("journalctl --no-pager -b -u evacuator-agent"), StringComparison.Ordinal);
    });

    /// <summary>The points between these: FaultLoopTests, with all faults.</summary>
    [LabTheory]
    [InlineData("destination.ready")]
    [InlineData("destination.resuming")]
    [InlineData("destination.running")]
    public Task DestinationAgent_KilledAtAPoint_IsWholeInOnePlace(string point) => rack.RunAsync(async scene =>
    {
        Guest guest = await RunAsync(scene);
        (Evacuation evacuation, Node destination) = await HoldAsync(scene, guest, "source.copied");
        await destination.ArmAsync("kill", point);
        await scene.Node1.LetGoAsync();
        await destination.DiedAsync();

        Report report = await evacuation.EndAsync();
        // Before the release the source undoes it, and the other peer takes it; from the release on it arrives.
        if (point == "destination.ready")
        {
            Assert.NotEqual(destination.Name, report.Of(guest.Name).To);
            await AssertArrivesAsync(guest, report);
        }
        else
            await AssertArrivesAsync(guest, report);
    });

    [LabFact]
    public Task Destination_LosesPowerBeforeTheSourceIsKnownToKnow_RunsOnAtTheSource() => rack.RunAsync(async scene =>
    {
        Guest guest = await RunAsync(scene);
        (Evacuation evacuation, Node destination) = await HoldAsync(scene, guest, "source.answered");
        _ = (await rack.Lab.RunAsync("bmc", destination.Name, "power", "off")).Text;
        await rack.Lab.UntilAsync("Off", "bmc", destination.Name, "state");
        await scene.Node1.LetGoAsync();
        await Task.Delay(TimeSpan.FromSeconds(2));
        Assert.DoesNotContain("runs", await scene.Node1.TracesAsync(guest.Name));

        _ = (await rack.Lab.RunAsync("bmc", destination.Name, "power", "on")).Text;
        Report report = await evacuation.EndAsync();
        Assert.True(report.Of(guest.Name).State == "stayed", $"{report}");
        Assert.Contains("nothing of the container runs here", report.Of(guest.Name).Detail, StringComparison.Ordinal);
        await AssertWholeOnlyOnAsync(guest, scene.Node1);
        await destination.UntilAsync("systemctl is-active --quiet evacuator evacuator-agent", "did not come up again");
    });

    [LabFact]
    public Task Destination_NoRoomForDescriptors_TakesTheMemoryWithTheImagesAndSaysWhy() => rack.RunAsync(async scene =>
    {
        const string DropIn = "/run/systemd/system/evacuator-agent.service.d/90-test.conf";
        Node[] others = [scene.Node2, scene.Node3];
        await Task.WhenAll(others.Select(node => node.ShAsync(
            $"mkdir -p $(dirname {DropIn}); printf '[Service]\\nFileDescriptorStoreMax=20\\n' >{DropIn}; systemctl daemon-reload; systemctl restart evacuator-agent")));
        try
        {
            Guest guest = await RunAsync(scene);
            Report report = await (await scene.Node1.EvacuateAsync()).EndAsync();
            await AssertArrivesAsync(guest, report);
            foreach (Node node in (Node[])[scene.Node1, scene.Find(report.Of(guest.Name).To)])
                Assert.Contains("20 of 20 are free (FileDescriptorStoreMax=", await node.ShAsync("journalctl --no-pager -b -u evacuator-agent"), StringComparison.Ordinal);
        }
        finally
        {
            await Task.WhenAll(others.Select(node => node.ShAsync($"rm {DropIn}; systemctl daemon-reload; systemctl restart evacuator-agent")));
        }
    });

    private async Task<Guest> RunAsync(Scene scene)
    {
        string name = Scene.NewName("m");
        string address = (await rack.Lab.RunAsync(
            "run", scene.Node1.Name, name, "memory", "--annotation", "evacuator.freeze-budget=60s", "--arg", "64", "--arg", "5")).Text;
        return scene.Adopt(name, address);
    }

    private static async Task<(Evacuation Evacuation, Node Destination)> HoldAsync(Scene scene, Guest guest, string point)
    {
        await scene.Node1.ArmAsync("pause", point);
        Evacuation evacuation = await scene.Node1.EvacuateAsync();
        await scene.Node1.ReachedAsync();
        return (evacuation, scene.Find((await evacuation.LookAsync())!.Of(guest.Name).To));
    }

    private async Task AssertArrivesAsync(Guest guest, Report report)
    {
        Assert.True(report.State == "done", $"not done: {report}");
        Assert.Equal("moved", report.Of(guest.Name).State);
        await AssertWholeOnlyOnAsync(guest, rack.Nodes.Single(node => node.Name == report.Of(guest.Name).To));
    }

    private async Task AssertWholeOnlyOnAsync(Guest guest, Node home)
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            IReadOnlyList<string>[] traces = await Task.WhenAll(rack.Nodes.Select(async node => await node.PowerAsync() == "On" ? await node.TracesAsync(guest.Name) : []));
            string found = string.Join("; ", rack.Nodes.Zip(traces, (node, lines) => $"{node}: {string.Join(", ", lines)}"));
            if (rack.Nodes.Zip(traces, (node, lines) => node == home ? lines.Contains("runs") : lines.Count == 0).All(right => right))
                break;
            Assert.True(traces.Count(lines => lines.Contains("runs")) <= 1, $"{guest} runs twice: {found}");
            Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(60), $"{guest} should run on {home} and on no other: {found}");
            await Task.Delay(200);
        }
        // Reads all of it several times over, at the speed of a busy machine.
        LabResult client = await rack.Lab.RunAsync("client", "memory", guest.Address, "--seconds", "4", "--patience", "30");
        Assert.True(client.ExitCode == 0, $"{guest} on {home}: {client.Output}{client.Error}");
        Assert.Equal(0, JsonDocument.Parse(client.Output).RootElement.GetProperty("bytes_bad").GetInt64());
    }
}
