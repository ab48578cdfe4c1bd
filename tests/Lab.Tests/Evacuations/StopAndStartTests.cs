using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>The last rung: a container whose owner permits it is stopped here and started there, and never runs in two places.</summary>
[Collection(RackCollection.Name)]
public sealed class StopAndStartTests(ProductRack rack)
{
    private static readonly string[] s_permitted = ["--annotation", "evacuator.policy=stop", "--annotation", "evacuator.stop-timeout=1s"];

    [LabFact]
    public Task Permitted_IsStoppedHereAndStartedThere() => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1, "stop", s_permitted);
        await scene.Node1.ShAsync("echo kept >/srv/containers/\"$1\"/rootfs/mark", guest.Name);
        Report report = await (await scene.Node1.EvacuateAsync()).EndAsync();
        Assert.True(report.State == "done", $"not done: {report}");
        Node home = scene.Find(report.Of(guest.Name).To);
        Assert.Contains("runs", await home.TracesAsync(guest.Name));
        Assert.Empty(await scene.Node1.TracesAsync(guest.Name));
        Assert.Equal("kept", await home.ShAsync("cat /srv/containers/\"$1\"/rootfs/mark", guest.Name));
        Assert.Equal("stop-and-start", report.Of(guest.Name).Json.GetProperty("mode").GetString());
    });

    /// <summary>Killed anywhere before the release, the source starts it again; after it, the destination does.</summary>
    [LabTheory]
    [InlineData("source.freezing", true)]
    [InlineData("source.frozen", true)]
    [InlineData("source.ready", true)]
    [InlineData("source.released", false)]
    [InlineData("source.running", false)]
    public Task SourceAgent_Killed_RunsInOnePlace(string point, bool stays) => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1, "stop", s_permitted);
        await scene.Node1.ArmAsync("kill", point);
        Evacuation evacuation = await scene.Node1.EvacuateAsync();
        await scene.Node1.DiedAsync();
        Report report = await evacuation.EndAsync();
        Node home = stays ? scene.Node1 : scene.Find(report.Of(guest.Name).To);
        Assert.Equal(stays ? "stayed" : "moved", report.Of(guest.Name).State);
        foreach (Node node in new[] { scene.Node1, scene.Node2, scene.Node3 })
            Assert.Equal(node == home, (await node.TracesAsync(guest.Name)).Contains("runs"));
    });
}
