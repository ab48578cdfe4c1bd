using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>
/// Kill -9 at every journaled step, one after the other with the same container and the same connection: after each it runs exactly once, the evacuation has ended under the
/// right name, and the service is back within five seconds. By default at one point, since other tests kill at the rest one by one; all of them with EVACUATOR_ALL_FAULTS=1.
/// </summary>
[Collection(RackCollection.Name)]
public sealed class FaultLoopTests(ProductRack rack)
{
    private static readonly string[] s_source =
    [
        "source.copying", "source.copied", "source.freezing", "source.frozen", "source.dumping", "source.dumped", "source.ready", "source.released", "source.running", "source.answered",
    ];

    private static readonly string[] s_destination = ["destination.complete", "destination.released", "destination.resuming", "destination.restored", "destination.running", "destination.ready"];

    private static bool All => Environment.GetEnvironmentVariable("EVACUATOR_ALL_FAULTS") == "1";

    [LabFact]
    public Task SourceAgent_KilledAtPointAfterPoint_RunsOnceAndEndsUnderTheRightName() => LoopAsync(s_source, atSource: true);

    [LabFact]
    public Task DestinationAgent_KilledAtPointAfterPoint_RunsOnceAndEndsUnderTheRightName() => LoopAsync(s_destination, atSource: false);

    /// <summary>The brains decide nothing that the agents do not know: killed while the agent is held at a point, the evacuation ends as if they had not been.</summary>
    [LabFact]
    public Task Brains_KilledAtPointAfterPoint_TheEvacuationIsDone() => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        Node home = scene.Node1;
        foreach (string point in Chosen(s_source))
        {
            await home.ArmAsync("pause", point);
            Evacuation evacuation = await home.EvacuateAsync();
            await home.ReachedAsync();
            Node destination = scene.Find((await evacuation.LookAsync())!.Of(guest.Name).To);
            await Task.WhenAll(home.KillAsync("evacuator"), destination.KillAsync("evacuator"));
            long died = TimeProvider.System.GetTimestamp();
            await Task.WhenAll(BackAsync(home, "evacuator status --json >/dev/null 2>&1", died, point), BackAsync(destination, "evacuator status --json >/dev/null 2>&1", died, point));
            await home.LetGoAsync();
            Report report = await evacuation.EndAsync();
            // A container frozen by then outlives its budget while the agent is held, and stays; all else is done.
            Assert.True(report.State is "done" or "failed", $"{point}: {report}");
            home = await AssertOnceAsync(scene, guest, home, report, point);
        }
    });

    private Task LoopAsync(string[] points, bool atSource) => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        Node home = scene.Node1;
        foreach (string point in Chosen(points))
        {
            Node dies = home;
            Evacuation evacuation;
            if (atSource)
            {
                await home.ArmAsync("kill", point);
                evacuation = await home.EvacuateAsync();
            }
            else
            {
                await home.ArmAsync("pause", "source.copied");
                evacuation = await home.EvacuateAsync();
                await home.ReachedAsync();
                dies = scene.Find((await evacuation.LookAsync())!.Of(guest.Name).To);
                await dies.ArmAsync("kill", point);
                await home.LetGoAsync();
            }

            await dies.DiedAsync();
            long died = TimeProvider.System.GetTimestamp();
            await BackAsync(dies, "systemctl is-active --quiet evacuator-agent && [ -S /run/evacuator-agent/agent.sock ]", died, point);
            home = await AssertOnceAsync(scene, guest, home, await evacuation.EndAsync(), point);
        }
    });

    private static async Task BackAsync(Node node, string sign, long died, string point)
    {
        await node.UntilAsync(sign, $"{point}: what was killed does not come back");
        TimeSpan away = TimeProvider.System.GetElapsedTime(died);
        Assert.True(away < Node.LongestRestart, $"{point}: what was killed on {node} was away for {away.TotalSeconds:0.0} s");
    }

    /// <returns>where it runs now</returns>
    private static async Task<Node> AssertOnceAsync(Scene scene, Guest guest, Node before, Report report, string point)
    {
        ContainerReport move = report.Of(guest.Name);
        Assert.True((report.State, move.State) is ("done", "moved") or ("failed", "stayed"), $"{point}: {report}");
        Node now = move.State == "moved" ? scene.Find(move.To) : before;
        await scene.AssertOnlyOnAsync(guest, now);
        await scene.AssertNothingOfMovesLeftAsync();
        // An evacuated node is closed until somebody says otherwise, and the next round may want to go there.
        await before.ShAsync("evacuator reopen");
        return now;
    }

    private static IEnumerable<string> Chosen(string[] points) => All ? points : points.Skip(4).Take(1);
}
