using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>Whatever dies after the source has released the container: it runs in exactly one place in the end, over the same connection.</summary>
[Collection(RackCollection.Name)]
public sealed class KilledAfterReleaseTests(ProductRack rack)
{
    [LabTheory]
    [InlineData("source.released")]
    [InlineData("source.answered")]
    [InlineData("source.running")]
    public Task SourceAgent_Killed_ArrivesAndNothingIsLeft(string point) => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        await scene.Node1.ArmAsync("kill", point);
        Evacuation evacuation = await scene.Node1.EvacuateAsync();
        await scene.Node1.DiedAsync();
        await AssertArrivesAsync(scene, guest, await evacuation.EndAsync());
    });

    /// <summary>Its journal also says that the container once arrived and runs there, which is no longer true.</summary>
    [LabFact]
    public Task SourceAgent_KilledWhereTheContainerHadArrivedBefore_DoesNotRunItAgain() => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        Report first = await (await scene.Node1.EvacuateAsync()).EndAsync();
        Node halfway = scene.Find(first.Of(guest.Name).To);
        Node other = halfway == scene.Node2 ? scene.Node3 : scene.Node2;

        await halfway.ArmAsync("kill", "source.released");
        // Held at its next destination, so that the agent that comes back finds it released and not yet running there.
        await other.ArmAsync("pause", "destination.resuming");
        Evacuation evacuation = await halfway.EvacuateAsync();
        await halfway.DiedAsync();
        await halfway.UntilAsync("systemctl is-active --quiet evacuator-agent", "its agent does not come back");
        await other.ReachedAsync();
        Assert.DoesNotContain("runs", await halfway.TracesAsync(guest.Name));
        await other.LetGoAsync();
        await AssertArrivesAsync(scene, guest, await evacuation.EndAsync());
    });

    [LabTheory]
    [InlineData("destination.connecting")]
    [InlineData("destination.restored")]
    [InlineData("destination.running")]
    public Task DestinationAgent_KilledWhenRestored_Arrives(string point) => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        await AssertArrivesAsync(scene, guest, await KillDestinationAsync(scene, guest, point));
    });

    [LabTheory]
    [InlineData("destination.released")]
    [InlineData("destination.resuming")]
    public Task DestinationAgent_KilledBeforeTheRestore_Arrives(string point) => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        await AssertArrivesAsync(scene, guest, await KillDestinationAsync(scene, guest, point));
    });

    /// <summary>The release, or the answer to it, is lost on the wire.</summary>
    [LabTheory]
    [InlineData("source.released", "")]
    [InlineData("", "destination.restored")]
    public Task Link_CutForAWhile_RunsInOnePlace(string atSource, string atDestination) => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        (Evacuation evacuation, Node destination) = await HoldAsync(scene, guest, atSource.Length > 0 ? atSource : "source.copied");
        Node held = scene.Node1;
        if (atDestination.Length > 0)
        {
            held = destination;
            await destination.ArmAsync("pause", atDestination);
            await scene.Node1.LetGoAsync();
            await destination.ReachedAsync();
        }

        await destination.LinkAsync("down");
        await held.LetGoAsync();
        // Long enough for the lost message to be sent, and for the source to say that it waits.
        await Task.Delay(TimeSpan.FromSeconds(2));
        Report meanwhile = (await evacuation.LookAsync())!;
        Assert.Equal("moving", meanwhile.Of(guest.Name).State);
        Assert.DoesNotContain("runs", await scene.Node1.TracesAsync(guest.Name));

        await destination.LinkAsync("up");
        await AssertArrivesAsync(scene, guest, await evacuation.EndAsync());
    });

    [LabFact]
    public Task Brains_KilledOnBothSides_ArrivesAndTheReportIsWhole() => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        await scene.Node1.ArmAsync("pause", "source.released");
        Evacuation evacuation = await scene.Node1.EvacuateAsync();
        await scene.Node1.ReachedAsync();
        Node destination = scene.Find((await evacuation.LookAsync())!.Of(guest.Name).To);
        await Task.WhenAll(scene.Node1.KillAsync("evacuator"), destination.KillAsync("evacuator"));
        await scene.Node1.LetGoAsync();
        await AssertArrivesAsync(scene, guest, await evacuation.EndAsync());
    });

    private static async Task<(Evacuation Evacuation, Node Destination)> HoldAsync(Scene scene, Guest guest, string point)
    {
        await scene.Node1.ArmAsync("pause", point);
        Evacuation evacuation = await scene.Node1.EvacuateAsync();
        await scene.Node1.ReachedAsync();
        return (evacuation, scene.Find((await evacuation.LookAsync())!.Of(guest.Name).To));
    }

    private static async Task<Report> KillDestinationAsync(Scene scene, Guest guest, string point)
    {
        (Evacuation evacuation, Node destination) = await HoldAsync(scene, guest, "source.copied");
        await destination.ArmAsync("kill", point);
        await scene.Node1.LetGoAsync();
        await destination.DiedAsync();
        return await evacuation.EndAsync();
    }

    private static async Task AssertArrivesAsync(Scene scene, Guest guest, Report report)
    {
        Assert.True(report.State == "done", $"not done: {report}");
        Assert.Equal("moved", report.Of(guest.Name).State);
        Assert.True(report.Json.GetProperty("emptiness").GetProperty("passed").GetBoolean(), $"done without proof: {report}");
        await scene.AssertOnlyOnAsync(guest, scene.Find(report.Of(guest.Name).To));
    }
}
