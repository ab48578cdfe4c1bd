using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>A destination that cannot restore what was released to it: thawed at the source, the connection whole, the reason in the report.</summary>
[Collection(RackCollection.Name)]
public sealed class RestoreFailureTests(ProductRack rack)
{
    [LabFact]
    public Task Restore_FileThatTheProcessMapsIsMissing_ThawedAtTheSourceAndMovesLater() =>
        FailAsync("rm \"/srv/containers/$1/rootfs/bin/counter\"", "bin/counter");

    [LabFact]
    public Task Restore_InterfaceIsGone_ThawedAtTheSourceAndMovesLater() =>
        FailAsync("ip link set \"ve-$1\" name \"gone-$1\"", "network could not be connected");

    private Task FailAsync(string breakIt, string reason) => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        await scene.Node1.ArmAsync("pause", "source.copied");
        Evacuation evacuation = await scene.Node1.EvacuateAsync();
        await scene.Node1.ReachedAsync();
        Node destination = scene.Find((await evacuation.LookAsync())!.Of(guest.Name).To);
        await destination.ArmAsync("pause", "destination.resuming");
        await scene.Node1.LetGoAsync();
        await destination.ReachedAsync();
        await destination.ShAsync(breakIt, guest.Name);
        await destination.LetGoAsync();

        Report report = await evacuation.EndAsync();
        Assert.Equal("failed", report.State);
        ContainerReport stayed = report.Of(guest.Name);
        Assert.Equal("stayed", stayed.State);
        Assert.Contains($"{destination} could not resume it", stayed.Detail, StringComparison.Ordinal);
        Assert.Contains(reason, stayed.Detail, StringComparison.Ordinal);
        // For nothing, and so all the more to be told.
        Assert.True(stayed.FreezeMs > 0, $"it stood still: {report}");
        await scene.AssertOnlyOnAsync(guest, scene.Node1);
        // Under the name that it was given here nobody removes it, and a TCP connection that was restored keeps its network, and so the link, for minutes.
        await destination.ShAsync("ip link delete \"gone-$1\" 2>/dev/null || :", guest.Name);

        Report next = await (await scene.Node1.EvacuateAsync()).EndAsync();
        Assert.True(next.State == "done", $"the next evacuation is not done: {next}");
        await scene.AssertOnlyOnAsync(guest, scene.Find(next.Of(guest.Name).To));
    });
}
