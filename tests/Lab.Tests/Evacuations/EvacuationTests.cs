using System.Text.Json.Nodes;
using Evacuator.Lab.Tests.Rack;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>What an evacuation leaves, what it does when a person changes their mind, and that it is one however often it is asked for.</summary>
[Collection(RackCollection.Name)]
public sealed class EvacuationTests(ProductRack rack)
{
    [LabFact]
    public Task Containers_ThatMayOrCanNotMove_AreNamedAndTheHostStaysOn() => rack.RunAsync(async scene =>
    {
        Guest mover = await scene.RunAsync(scene.Node1);
        string name = Scene.NewName("host");
        await scene.Node1.RunChangedAsync(scene.Node1.Path($"/srv/containers/{mover}"), name, WithNetworkOfTheHost);
        Guest bound = scene.Adopt(name, scene.Node1.Address);
        await scene.Node1.ArmAsync("pause", "source.copied");
        Evacuation evacuation = await scene.Node1.EvacuateAsync("--power-off");
        await scene.Node1.ReachedAsync();
        // By hand, by somebody who does not know that the node is being emptied.
        Guest late = await scene.RunAsync(scene.Node1, "late");
        Guest stays = await scene.RunAsync(scene.Node1, "stay", "--annotation", "evacuator.policy=stay");
        await scene.Node1.LetGoAsync();

        Report report = await evacuation.EndAsync();
        Assert.Equal("failed", report.State);
        Assert.Equal("blocked", report.Of(bound.Name).State);
        Assert.Contains(report.Of(bound.Name).Reasons, reason => reason.StartsWith("host-network: ", StringComparison.Ordinal));
        Assert.Equal("blocked", report.Of(stays.Name).State);
        Assert.Contains(report.Of(stays.Name).Reasons, reason => reason.StartsWith("policy-stay: ", StringComparison.Ordinal));
        Assert.Contains(bound.Name, report.Problem, StringComparison.Ordinal);
        Assert.Contains(stays.Name, report.Problem, StringComparison.Ordinal);
        Assert.False(report.Json.GetProperty("emptiness").GetProperty("passed").GetBoolean());
        Assert.Equal("On", await scene.Node1.PowerAsync());

        await scene.AssertOnlyOnAsync(mover, scene.Find(report.Of(mover.Name).To));
        await scene.AssertOnlyOnAsync(late, scene.Find(report.Of(late.Name).To));
        Assert.Contains("runs", await scene.Node1.TracesAsync(bound.Name));
        await bound.Client.AssertAliveAsync();
        await scene.AssertOnlyOnAsync(stays, scene.Node1);
    });

    [LabTheory]
    [InlineData("source.copied", "cancelled")]
    [InlineData("source.dumped", "cancelled")]
    [InlineData("source.released", "moved")]
    public Task Cancel_InTheMiddle_NeverDoneAndEverythingRuns(string point, string end) => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        await scene.Node1.ArmAsync("pause", point);
        Evacuation evacuation = await scene.Node1.EvacuateAsync("--power-off");
        await scene.Node1.ReachedAsync();
        LabResult cancel = await scene.Node1.EvacuatorAsync("cancel");
        Assert.True(cancel.ExitCode == 0, $"cancel ended with {cancel.ExitCode}: {cancel.Error}");
        await scene.Node1.LetGoAsync();

        Report report = await evacuation.EndAsync();
        Assert.Equal("cancelled", report.State);
        Assert.Equal(end, report.Of(guest.Name).State);
        await scene.AssertOnlyOnAsync(guest, end == "moved" ? scene.Find(report.Of(guest.Name).To) : scene.Node1);
        Assert.Equal("On", await scene.Node1.PowerAsync());
        Assert.False((await scene.Node1.StatusAsync()).TryGetProperty("closed", out var closed) && closed.ValueKind == System.Text.Json.JsonValueKind.Object,
            "the node is still closed after the cancellation");
        // Nobody who waited for it hears that it is done.
        Assert.Equal(4, (await scene.Node1.EvacuatorAsync("cancel")).ExitCode);
    });

    [LabFact]
    public Task Start_Twice_IsOneEvacuation() => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        string operation = $"{Guid.NewGuid()}";
        await scene.Node1.ArmAsync("pause", "source.copied");
        Evacuation first = await scene.Node1.EvacuateAsync("--operation-id", operation);
        await scene.Node1.ReachedAsync();
        Evacuation again = await scene.Node1.EvacuateAsync("--operation-id", operation);
        // Somebody else with the same wish, who waits for the end.
        Task<LabResult> other = scene.Node1.EvacuatorAsync("start", "--reason", "another", "--wait", "--json");
        Assert.Equal(first.Id, again.Id);
        // The tougher wish is not dropped in silence.
        LabResult tougher = await scene.Node1.EvacuatorAsync("start", "--reason", "another", "--power-off");
        Assert.Equal(4, tougher.ExitCode);
        Assert.Contains($"{first.Id}", tougher.Error, StringComparison.Ordinal);
        await scene.Node1.LetGoAsync();

        Report report = await first.EndAsync();
        Assert.True(report.State == "done", $"not done: {report}");
        LabResult waited = await other;
        Assert.Equal(0, waited.ExitCode);
        Assert.Equal(first.Id, Node.Parse(waited.Output).GetProperty("id").GetGuid());
        // After its end too.
        Assert.Equal(first.Id, (await scene.Node1.EvacuateAsync("--operation-id", operation)).Id);
        Assert.Equal("done", (await first.LookAsync())!.State);
        await scene.AssertOnlyOnAsync(guest, scene.Find(report.Of(guest.Name).To));
    });

    private static void WithNetworkOfTheHost(JsonObject configuration)
    {
        JsonArray spaces = configuration["linux"]!["namespaces"]!.AsArray();
        spaces.Remove(spaces.Single(space => (string?)space!["type"] == "network"));
        // Without a network namespace of its own it may not mount a sysfs; that of the host is what such containers get.
        JsonArray mounts = configuration["mounts"]!.AsArray();
        mounts.Remove(mounts.Single(mount => (string?)mount!["destination"] == "/sys"));
    }
}
