using System.Text.Json;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>A host that lacks what a move needs says so, with the package to install, and gets no container.</summary>
[Collection(RackCollection.Name)]
public sealed class RequirementTests(ProductRack rack)
{
    [LabTheory]
    [InlineData("criu")]
    [InlineData("runc")]
    public Task Host_WithoutProgram_NamesThePackageAndIsNotUsed(string program) => rack.RunAsync(async scene =>
    {
        await scene.Node3.PutAsideAsync($"/usr/sbin/{program}");
        await scene.Node3.RestartAsync();
        JsonElement status = await scene.Node3.StatusUntilAsync(
            status => status.GetProperty("missing").EnumerateArray().Any(missing => missing.GetProperty("name").GetString() == program), $"does not say that {program} is missing");
        JsonElement missing = status.GetProperty("missing").EnumerateArray().Single(missing => missing.GetProperty("name").GetString() == program);
        Assert.Contains($"install the package {program}", missing.GetProperty("remedy").GetString(), StringComparison.Ordinal);
        Assert.Contains($"MISSING {program}", (await scene.Node3.EvacuatorAsync("status")).Output, StringComparison.Ordinal);

        // Two, since the planner would put one on each peer.
        Guest one = await scene.RunAsync(scene.Node1);
        Guest two = await scene.RunAsync(scene.Node1);
        Report report = await (await scene.Node1.EvacuateAsync()).EndAsync();
        Assert.True(report.State == "done", $"not done: {report}");
        Assert.Equal("node2", report.Of(one.Name).To);
        Assert.Equal("node2", report.Of(two.Name).To);
        JsonElement excluded = Assert.Single(report.Json.GetProperty("excludedPeers").EnumerateArray());
        Assert.Equal("node3", excluded.GetProperty("name").GetString());
        Assert.Contains(program, excluded.GetProperty("reason").GetString(), StringComparison.Ordinal);
        await one.Client.AssertAliveAsync();
        await two.Client.AssertAliveAsync();
    });
}
