using System.Text.Json;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>
/// Whatever dies before the source has released the container: it runs on at the source over the same connection, nothing of it is left at the
/// peer, the evacuation says what happened, and the next one moves it.
/// </summary>
[Collection(RackCollection.Name)]
public sealed class KilledBeforeReleaseTests(ProductRack rack)
{
    [LabTheory]
    [InlineData("source.copying", "source.copied")]
    [InlineData("source.freezing", "source.dumping")]
    [InlineData("source.dumped", "source.ready")]
    public Task SourceAgent_KilledAtEachPoint_RunsOnAndMovesLater(params string[] points) => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        foreach (string point in points)
        {
            await scene.Node1.ArmAsync("kill", point);
            Evacuation evacuation = await scene.Node1.EvacuateAsync();
            await scene.Node1.DiedAsync();
            Report report = await evacuation.EndAsync();
            await AssertStayedAsync(scene, guest, report, point);
            Assert.Contains("restarted before the container was released", report.Of(guest.Name).Detail, StringComparison.Ordinal);
        }

        await AssertMovesAsync(scene, guest);
    });

    [LabFact]
    public Task DestinationAgent_Killed_RunsOnAndTheOtherPeerTakesIt() => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        await scene.Node1.ArmAsync("pause", "source.copied");
        Evacuation evacuation = await scene.Node1.EvacuateAsync();
        await scene.Node1.ReachedAsync();
        Node destination = scene.Find((await evacuation.LookAsync())!.Of(guest.Name).To);
        await destination.ArmAsync("kill", "destination.complete");
        await scene.Node1.LetGoAsync();
        await destination.DiedAsync();

        await AssertTakenByTheOtherAsync(scene, guest, await evacuation.EndAsync(), destination);
        await scene.AssertOnlyOnAsync(guest, scene.Find((await evacuation.LookAsync())!.Of(guest.Name).To));
    });

    /// <summary>At every other point: CutLoopTests, with all faults.</summary>
    [LabFact]
    public Task Link_CutWhileTheContainerStandsStill_RunsOnAndTheOtherPeerTakesIt() => rack.RunAsync(async scene =>
    {
        // A small budget, so that the freeze gives up soon.
        Guest guest = await scene.RunAsync(scene.Node1, "c", "--annotation", "evacuator.freeze-budget=4s");
        await scene.Node1.ArmAsync("pause", "source.dumped");
        Evacuation evacuation = await scene.Node1.EvacuateAsync();
        await scene.Node1.ReachedAsync();
        Node destination = scene.Find((await evacuation.LookAsync())!.Of(guest.Name).To);
        await destination.LinkAsync("down");
        await scene.Node1.LetGoAsync();

        await AssertTakenByTheOtherAsync(scene, guest, await evacuation.EndAsync(), destination);
        await guest.Client.AssertAliveAsync();
        await destination.LinkAsync("up");
        // The destination forgets what it had when its lease ends, or when it hears that nobody wants it: it never runs it.
        Assert.DoesNotContain("runs", await destination.TracesAsync(guest.Name));
    });

    [LabFact]
    public Task Brains_KilledOnBothSides_TheEvacuationGoesOnAndSaysSo() => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        await scene.Node1.ArmAsync("pause", "source.copied");
        Evacuation evacuation = await scene.Node1.EvacuateAsync();
        await scene.Node1.ReachedAsync();
        Node destination = scene.Find((await evacuation.LookAsync())!.Of(guest.Name).To);
        await Task.WhenAll(scene.Node1.KillAsync("evacuator"), destination.KillAsync("evacuator"));
        await guest.Client.AssertAliveAsync();
        await scene.Node1.LetGoAsync();

        Report report = await evacuation.EndAsync();
        Assert.True(report.State == "done", $"not done: {report}");
        Assert.Contains(report.Notes, note => note.Contains("restarted in phase moving", StringComparison.Ordinal));
        await scene.AssertOnlyOnAsync(guest, destination);
    });

    /// <summary>It stood still for the one that was lost, and the report says for how long, and moved to the other in the same evacuation.</summary>
    private static async Task AssertTakenByTheOtherAsync(Scene scene, Guest guest, Report report, Node lost)
    {
        Assert.True(report.State == "done", $"not done: {report}");
        ContainerReport moved = report.Of(guest.Name);
        Assert.Equal(scene.Node2 == lost ? scene.Node3.Name : scene.Node2.Name, moved.To);
        JsonElement rung = Assert.Single(moved.Json.GetProperty("rungs").EnumerateArray());
        Assert.Equal(lost.Name, rung.GetProperty("peer").GetString());
        Assert.True(rung.GetProperty("freezeMs").GetDouble() > 0, $"it stood still: {report}");
        Assert.Contains("runs", await scene.Find(moved.To).TracesAsync(guest.Name));
        Assert.Empty(await scene.Node1.TracesAsync(guest.Name));
    }

    private static async Task AssertStayedAsync(Scene scene, Guest guest, Report report, string point)
    {
        Assert.True(report.State == "failed", $"{point}: the evacuation is {report.State}: {report}");
        Assert.True(report.Of(guest.Name).State == "stayed", $"{point}: {report.Of(guest.Name)}");
        Assert.NotEmpty(report.Of(guest.Name).Detail);
        Assert.Contains(guest.Name, report.Problem, StringComparison.Ordinal);
        await scene.AssertOnlyOnAsync(guest, scene.Node1);
    }

    private static async Task AssertMovesAsync(Scene scene, Guest guest)
    {
        Report report = await (await scene.Node1.EvacuateAsync()).EndAsync();
        Assert.True(report.State == "done", $"the next evacuation is not done: {report}");
        Node destination = scene.Find(report.Of(guest.Name).To);
        Assert.Contains("runs", await destination.TracesAsync(guest.Name));
        Assert.Empty(await scene.Node1.TracesAsync(guest.Name));
        await guest.Client.AssertAliveAsync();
    }
}
