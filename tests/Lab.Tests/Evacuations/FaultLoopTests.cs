using Evacuator.Testing;
using Xunit.Abstractions;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>
/// Kill -9 at every journaled step, one after the other with the same container and the same connection: after each it runs exactly once, the evacuation has ended under the
/// right name, and the service is back within five seconds. By default at one point, since other tests kill at the rest one by one; all of them with EVACUATOR_ALL_FAULTS=1.
/// </summary>
[Collection(RackCollection.Name)]
public sealed class FaultLoopTests(ProductRack rack, ITestOutputHelper output)
{
    private static readonly string[] s_source =
    [
        "source.copying", "source.copied", "source.freezing", "source.frozen", "source.dumping", "source.dumped", "source.ready", "source.released", "source.running", "source.answered",
    ];

    private static readonly string[] s_destination = ["destination.complete", "destination.released", "destination.resuming", "destination.connecting", "destination.restored", "destination.running", "destination.ready"];

    private readonly PointLoop _loop = new(rack, output);

    [LabFact]
    public Task SourceAgent_KilledAtPointAfterPoint_RunsOnceAndEndsUnderTheRightName() => LoopAsync(s_source, atSource: true);

    [LabFact]
    public Task DestinationAgent_KilledAtPointAfterPoint_RunsOnceAndEndsUnderTheRightName() => LoopAsync(s_destination, atSource: false);

    /// <summary>The brains decide nothing that the agents do not know: killed while the agent is held at a point, the evacuation ends as if they had not been.</summary>
    [LabFact]
    public Task Brains_KilledAtPointAfterPoint_TheEvacuationIsDone() => _loop.RunAsync(Chosen(s_source), scene =>
    {
        Guest? guest = null;
        Node home = scene.Node1;
        return async point =>
        {
            guest ??= await scene.RunAsync(home);
            await home.ArmAsync("pause", point);
            Evacuation evacuation = await home.EvacuateAsync();
            await home.ReachedAsync();
            Node destination = scene.Find((await evacuation.LookAsync())!.Of(guest.Name).To);
            Node[] both = [home, destination];
            string[] before = await Task.WhenAll(both.Select(node => node.ProcessOfAsync("evacuator")));
            await Task.WhenAll(both.Select(node => node.KillAsync("evacuator")));
            await Task.WhenAll(both.Zip(before, (node, process) => _loop.BackAsync(node, "evacuator", process, point)));
            await home.LetGoAsync();
            Report report = await evacuation.EndAsync();
            // A container frozen by then outlives its budget while the agent is held, and stays; all else is done.
            Assert.True(report.State is "done" or "failed", $"{point}: {report}");
            home = await AssertOnceAsync(scene, guest, home, report, point);
        };
    });

    private Task LoopAsync(string[] points, bool atSource) => _loop.RunAsync(Chosen(points), scene =>
    {
        Guest? guest = null;
        Node home = scene.Node1;
        return async point =>
        {
            guest ??= await scene.RunAsync(home);
            Node dies = home;
            Evacuation evacuation;
            string process;
            if (atSource)
            {
                process = await dies.ProcessOfAsync("evacuator-agent");
                await home.ArmAsync("kill", point);
                evacuation = await home.EvacuateAsync();
            }
            else
            {
                await home.ArmAsync("pause", "source.copied");
                evacuation = await home.EvacuateAsync();
                await home.ReachedAsync();
                dies = scene.Find((await evacuation.LookAsync())!.Of(guest.Name).To);
                process = await dies.ProcessOfAsync("evacuator-agent");
                await dies.ArmAsync("kill", point);
                await home.LetGoAsync();
            }

            await dies.DiedAsync();
            await _loop.BackAsync(dies, "evacuator-agent", process, point);
            home = await AssertOnceAsync(scene, guest, home, await evacuation.EndAsync(), point);
        };
    });

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

    private static IEnumerable<string> Chosen(string[] points) => PointLoop.All ? points : points.Skip(4).Take(1);
}
