using System.Text.Json;
using Evacuator.Lab.Tests.Rack;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>Away for service and home again, over the same connections.</summary>
[Collection(RackCollection.Name)]
public sealed class HomecomingTests(ProductRack rack)
{
    [LabFact]
    public Task Return_AfterTwoEvacuations_AllAreHomeOverTheSameConnections() => rack.RunAsync(async scene =>
    {
        List<Guest> guests = [await scene.RunAsync(scene.Node1), await scene.RunAsync(scene.Node1), await scene.RunAsync(scene.Node1)];
        Report report = await (await scene.Node1.EvacuateAsync()).EndAsync();
        Assert.True(report.State == "done", $"{report}");
        // Those at node2 go on to node3: they still belong to node1.
        report = await (await scene.Node2.EvacuateAsync()).EndAsync();
        Assert.True(report.State == "done", $"{report}");
        foreach (Guest guest in guests)
            await scene.AssertOnlyOnAsync(guest, scene.Node3);

        LabResult closed = await scene.Node1.EvacuatorAsync("return");
        Assert.Equal(4, closed.ExitCode);
        Assert.Contains("evacuator reopen", closed.Error, StringComparison.Ordinal);
        await scene.Node1.ShAsync("evacuator reopen");
        LabResult plan = await scene.Node1.EvacuatorAsync("return", "--dry-run", "--json");
        Assert.Equal(guests.Select(guest => guest.Name).Order(), Node.Parse(plan.Output).GetProperty("steps").EnumerateArray()
            .Select(step => step.GetProperty("container").GetProperty("name").GetString()!).Order());

        // One first, then the others.
        LabResult one = await scene.Node1.EvacuatorAsync("return", "--only", guests[0].Name, "--wait", "--json");
        Assert.True(one.ExitCode == 0, $"return ended with {one.ExitCode}: {one.Output}{one.Error}");
        await scene.AssertOnlyOnAsync(guests[0], scene.Node1);
        await scene.AssertOnlyOnAsync(guests[1], scene.Node3);
        LabResult all = await scene.Node1.EvacuatorAsync("return", "--wait", "--json");
        Assert.True(all.ExitCode == 0, $"return ended with {all.ExitCode}: {all.Output}{all.Error}");
        JsonElement state = Node.Parse(all.Output);
        Assert.Equal("done", state.GetProperty("phase").GetString());
        Assert.Equal(2, state.GetProperty("steps").GetArrayLength());
        foreach (Guest guest in guests)
            await scene.AssertOnlyOnAsync(guest, scene.Node1);
    });

    [LabTheory]
    [InlineData("node1", "evacuator", "source.copied")]
    [InlineData("node3", "evacuator", "source.copied")]
    [InlineData("node3", "evacuator", "source.released")]
    public Task Return_ABrainIsKilledOnTheWay_GoesOn(string victim, string unit, string point) => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        // Only node3 takes it.
        await (await scene.Node2.EvacuateAsync()).EndAsync();
        Report report = await (await scene.Node1.EvacuateAsync()).EndAsync();
        Assert.True(report.State == "done", $"{report}");
        await scene.Node1.ShAsync("evacuator reopen");
        await scene.Node3.ArmAsync("pause", point);
        string id = $"{Guid.NewGuid()}";
        LabResult started = await scene.Node1.EvacuatorAsync("return", "--operation-id", id);
        Assert.True(started.ExitCode == 0, started.Error);
        await scene.Node3.ReachedAsync();
        await scene.Find(victim).KillAsync(unit);
        await scene.Node3.LetGoAsync();

        await scene.Node1.UntilAsync($"evacuator return --operation-id {id} --json 2>/dev/null | grep -q '\"phase\": \"done\"'", "the homecoming did not end as done");
        await scene.AssertOnlyOnAsync(guest, scene.Node1);
    });
}
