using Evacuator.Lab.Tests.Rack;
using Evacuator.Testing;
using Xunit.Abstractions;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>
/// The same loop as <see cref="FaultLoopTests"/> with cables and power instead of processes: the link cut in both directions or in one, the power of either host cut, and the witness killed. After each the
/// container runs once or, where it went with its host, is named; never twice. By default the power of the
/// source and the witness, since KilledBeforeReleaseTests and KilledAfterReleaseTests cut links one by one; all with EVACUATOR_ALL_FAULTS=1.
/// </summary>
[Collection(RackCollection.Name)]
public sealed class CutLoopTests(ProductRack rack, ITestOutputHelper output)
{
    private static readonly string[] s_source =
    [
        "source.dumped", "source.copying", "source.copied", "source.freezing", "source.frozen", "source.ready", "source.released", "source.answered", "source.running", "source.dumping",
    ];

    private static readonly string[] s_destination = ["destination.restored", "destination.complete", "destination.ready", "destination.released", "destination.resuming", "destination.running"];

    private static readonly string[] s_directions = ["both", "to the destination", "to the source"];

    private readonly PointLoop _loop = new(rack, output);

    [LongLabFact]
    public Task Link_CutAtPointAfterPointOfTheSource_RunsOnceAndEndsUnderTheRightName() => LinkLoopAsync(s_source, atSource: true);

    [LongLabFact]
    public Task Link_CutAtPointAfterPointOfTheDestination_RunsOnceAndEndsUnderTheRightName() => LinkLoopAsync(s_destination, atSource: false);

    [LongLabFact]
    public Task Power_OfTheDestinationCutAtPointAfterPoint_RunsOnceAndEndsUnderTheRightName() => _loop.RunAsync(
        // Not once it has been seen to run there: until the source has the word that this is known it goes on here from where it was frozen; afterwards it goes with its host, as in any power cut.
        s_destination.Concat(s_source).Where(point => point is not ("source.answered" or "source.running")), scene =>
        {
            Guest? guest = null;
            Node home = scene.Node1;
            return async point =>
            {
                guest ??= await scene.RunAsync(home);
                (Evacuation evacuation, Node destination) = s_source.Contains(point) ? await HoldAtSourceAsync(scene, guest, home, point) : await HoldAtDestinationAsync(scene, guest, home, point);
                await destination.SwitchAsync("off");
                // The source goes on while the destination is off and is heard of again only later.
                await home.LetGoAsync();
                await destination.SwitchAsync("on");
                await destination.UpAsync();
                Report report = await evacuation.EndAsync();
                // What its sockets acknowledged there, connected as they were, is not known here: such a connection does not go on, a new one does.
                if (point is "destination.restored" or "destination.running")
                    guest = await scene.ReconnectAsync(guest);
                home = await AssertOnceAsync(scene, guest, home, report, $"power of the destination cut at {point}");
            };
        });

    /// <summary>
    /// Until the release a container goes with its host, as in any power cut, and the report says so. From the release on it is its destination's: at once if that has heard of it, else when the host
    /// is back and finds in its journal what it had decided (the disks here lose nothing with the power; a host whose disk did lose it asks the destination).
    /// </summary>
    [LabFact]
    public Task Power_OfTheSourceCutAtPointAfterPoint_NeverTwiceAndNamed() => _loop.RunAsync(PointLoop.All ? s_source.Concat(s_destination) : ["source.running"], scene => async point =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        (Evacuation evacuation, Node destination) = s_source.Contains(point) ? await HoldAtSourceAsync(scene, guest, scene.Node1, point) : await HoldAtDestinationAsync(scene, guest, scene.Node1, point);
        await scene.Node1.SwitchAsync("off");
        await destination.LetGoAsync();
        bool released = point is not ("source.copying" or "source.copied" or "source.freezing" or "source.frozen" or "source.dumping" or "source.dumped" or "source.ready" or "destination.complete" or "destination.ready");
        if (released && point != "source.released")
            await destination.UntilAsync($"runc state {guest.Name} 2>/dev/null | grep -q '\"status\": \"running\"' && [ \"$(cat /sys/fs/cgroup/containers/{guest.Name}/cgroup.freeze)\" = 0 ]", $"{point}: {guest} does not run there");
        else
            Assert.DoesNotContain("runs", await destination.TracesAsync(guest.Name));
        await scene.Node1.SwitchAsync("on");
        await scene.Node1.UpAsync();
        Report report = await evacuation.EndAsync();
        string state = report.Of(guest.Name).State;
        if (released)
        {
            Assert.True(state == "moved", $"{point}: {report}");
            Assert.Contains("runs", await destination.TracesAsync(guest.Name));
            await guest.Client.AssertAliveAsync();
        }
        else
        {
            Assert.True(report.State == "failed" && state is "stayed" or "unknown" or "gone", $"{point}: {report}");
            Assert.NotEmpty(report.Of(guest.Name).Detail);
            foreach (Node node in rack.Nodes)
                Assert.DoesNotContain("runs", await node.TracesAsync(guest.Name));
        }

        await scene.Node1.ShAsync("evacuator reopen");
    });

    /// <summary>Both services of the peer that watches the BMC, while the host goes down: it goes on watching, sees it off and says so.</summary>
    [LabFact]
    public Task Witness_KilledWhileTheHostGoesDown_SeesItOffAllTheSame() => rack.RunAsync(async scene =>
    {
        await KillWitnessAsync(scene, _ => Task.CompletedTask);
    });

    /// <summary>The same at the other steps of its watch: when it has read Off for the first time, and again and again.</summary>
    [LongLabTheory]
    [InlineData(false)]
    [InlineData(true)]
    public Task Witness_KilledWhenTheHostIsOffOrAgainAndAgain_SeesItOffAllTheSame(bool again) => rack.RunAsync(async scene =>
    {
        await KillWitnessAsync(scene, async witness =>
        {
            while (await scene.Node1.PowerAsync() != "Off")
            {
                if (!again)
                    continue;
                await Task.WhenAll(witness.KillAsync("evacuator"), witness.KillAsync("evacuator-agent"));
                await witness.UpAsync();
            }
        });
    });

    private async Task KillWitnessAsync(Scene scene, Func<Node, Task> before)
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        Evacuation evacuation = await scene.Node1.EvacuateAsync("--power-off");
        Node witness = await WitnessAsync(evacuation, [scene.Node2, scene.Node3]);
        await before(witness);
        string[] both = ["evacuator", "evacuator-agent"];
        string[] processes = await Task.WhenAll(both.Select(witness.ProcessOfAsync));
        await Task.WhenAll(both.Select(witness.KillAsync));
        await Task.WhenAll(both.Zip(processes, (unit, process) => _loop.BackAsync(witness, unit, process, "the witness killed")));

        Report report = await new Evacuation(witness, evacuation.Id).EndAsync();
        Assert.True(report.State == "done", $"{report}");
        Assert.Equal(witness.Name, report.Json.GetProperty("power").GetProperty("verifiedBy").GetString());
        Assert.Equal("Off", report.Json.GetProperty("power").GetProperty("state").GetString());
        Assert.Equal("Off", await scene.Node1.PowerAsync());
        Node now = scene.Find(report.Of(guest.Name).To);
        Assert.Contains("runs", await now.TracesAsync(guest.Name));
        await guest.Client.AssertAliveAsync();

        await scene.Node1.SwitchAsync("on");
        await scene.Node1.UpAsync();
        Assert.Equal("done", (await evacuation.EndAsync()).State);
    }

    /// <param name="points">at each of which the link is cut in each direction; by default the first, in one</param>
    /// <param name="atSource">whether they are the source's</param>
    private Task LinkLoopAsync(string[] points, bool atSource) => _loop.RunAsync(
        PointLoop.All ? points.SelectMany(point => s_directions.Select(direction => $"{point}, {direction}")) : [$"{points[0]}, {(atSource ? s_directions[1] : s_directions[2])}"], scene =>
        {
            Guest? guest = null;
            Node home = scene.Node1;
            return async cut =>
            {
                // A small budget, so that a freeze under which the link goes gives up soon.
                guest ??= await scene.RunAsync(home, "c", "--annotation", "evacuator.freeze-budget=6s");
                string[] words = cut.Split(", ");
                (Evacuation evacuation, Node destination) = atSource ? await HoldAtSourceAsync(scene, guest, home, words[0]) : await HoldAtDestinationAsync(scene, guest, home, words[0]);
                await (words[1] switch
                {
                    "both" => destination.LinkAsync("down"),
                    "to the destination" => home.CutTowardsAsync(destination),
                    _ => destination.CutTowardsAsync(home),
                });
                await (atSource ? home : destination).LetGoAsync();
                // Long enough for whatever was to be said to be lost.
                await Task.Delay(TimeSpan.FromSeconds(2));
                await Task.WhenAll(destination.LinkAsync("up"), destination.HealAsync(), home.HealAsync());
                home = await AssertOnceAsync(scene, guest, home, await evacuation.EndAsync(), $"link cut at {cut}");
            };
        });

    private static async Task<(Evacuation Evacuation, Node Destination)> HoldAtSourceAsync(Scene scene, Guest guest, Node home, string point)
    {
        await home.ArmAsync("pause", point);
        Evacuation evacuation = await home.EvacuateAsync();
        await home.ReachedAsync();
        return (evacuation, scene.Find((await evacuation.LookAsync())!.Of(guest.Name).To));
    }

    private static async Task<(Evacuation Evacuation, Node Destination)> HoldAtDestinationAsync(Scene scene, Guest guest, Node home, string point)
    {
        (Evacuation evacuation, Node destination) = await HoldAtSourceAsync(scene, guest, home, "source.copied");
        await destination.ArmAsync("pause", point);
        await home.LetGoAsync();
        await destination.ReachedAsync();
        return (evacuation, destination);
    }

    /// <returns>where it runs now</returns>
    private static async Task<Node> AssertOnceAsync(Scene scene, Guest guest, Node before, Report report, string what)
    {
        ContainerReport move = report.Of(guest.Name);
        Assert.True((report.State, move.State) is ("done", "moved") or ("failed", "stayed"), $"{what}: {report}");
        Node now = move.State == "moved" ? scene.Find(move.To) : before;
        await scene.AssertOnlyOnAsync(guest, now);
        await scene.AssertNothingOfMovesLeftAsync();
        await before.ShAsync("evacuator reopen");
        return now;
    }

    /// <summary>The one of these that has been asked to watch.</summary>
    private static async Task<Node> WitnessAsync(Evacuation evacuation, Node[] peers)
    {
        long start = TimeProvider.System.GetTimestamp();
        while (TimeProvider.System.GetElapsedTime(start) < Node.Patience)
        {
            foreach (Node peer in peers)
                if (await new Evacuation(peer, evacuation.Id).LookAsync() is not null)
                    return peer;
        }

        Assert.Fail($"nobody was asked to watch: {await evacuation.LookAsync()}");
        return null!;
    }
}
