using System.Diagnostics;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Evacuator.Lab.Tests.Rack;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>Three hosts whose fleet is kept in a real etcd, with certificates of the fleet's own authority, on the lab's outside host.</summary>
[Collection(RackCollection.Name)]
public sealed class EtcdTests(ProductRack rack)
{
    private static readonly IPAddress OutsideHost = IPAddress.Parse("10.77.0.254");

    [LabFact]
    public Task TwoAskAtOnce_LimitIsOne_OneWaitsAndSaysSo_AlsoWhileEtcdIsKilledAndStarted() => rack.RunAsync(scene => WithEtcdAsync(async etcd =>
    {
        Guest[] guests = [await scene.RunAsync(scene.Node1), await scene.RunAsync(scene.Node2)];
        await Task.WhenAll(scene.Node1.ArmAsync("pause", "source.copied"), scene.Node2.ArmAsync("pause", "source.copied"));
        Evacuation[] both = await Task.WhenAll(scene.Node1.EvacuateAsync(), scene.Node2.EvacuateAsync());
        // 1. One has the place, the other waits for it and says for whom.
        int first = 0;
        await both[0].UntilAsync(report => report.State == "moving" || IsWaiting(report), "neither began nor waited");
        first = (await both[0].LookAsync())!.State == "moving" ? 0 : 1;
        (Node out1, Node waits) = first == 0 ? (scene.Node1, scene.Node2) : (scene.Node2, scene.Node1);
        Evacuation begun = both[first], queued = both[1 - first];
        await begun.UntilAsync(report => report.State == "moving", "did not begin");
        await queued.UntilAsync(report => report.State == "closing" && Waits(report).Contains($"{out1} is being emptied, and at most 1 may be at once", StringComparison.Ordinal), "does not say what it waits for");
        JsonElement view = await FleetAsync(scene.Node3);
        Assert.Equal([out1.Name], Names(view, "slots"));
        Assert.Equal([waits.Name], Names(view, "asks"));
        Assert.Equal("1", view.GetProperty("limits").GetProperty("maxEmptied").GetRawText());

        // 2. Without etcd what is under way goes on, what waits goes on waiting, and both are said.
        await etcd.KillAsync();
        await Task.WhenAll(scene.Node1.LetGoAsync(), scene.Node2.LetGoAsync());
        Report done = await begun.EndAsync();
        Assert.True(done.State == "done", $"{done}");
        Report held = await queued.UntilAsync(report => Waits(report).Contains("etcd has not answered since", StringComparison.Ordinal), "does not say that etcd is gone");
        Assert.Equal("closing", held.State);
        view = await FleetUntilAsync(scene.Node3, fleet => fleet.GetProperty("lock").GetProperty("unknownSince").ValueKind == JsonValueKind.String, "never said that it does not know");
        Assert.Equal([out1.Name], Names(view, "slots"));
        Assert.Contains("UNKNOWN since", (await scene.Node3.EvacuatorAsync("fleet", "status")).Output, StringComparison.Ordinal);

        // 3. It is back with its data: the place is still taken, and is free when its node is opened.
        await etcd.StartAsync();
        await queued.UntilAsync(report => Waits(report).Contains($"{out1} is being emptied", StringComparison.Ordinal), "does not say that the place is taken still");
        await out1.ShAsync("evacuator reopen");
        Report second = await queued.EndAsync();
        Assert.True(second.State == "done", $"{second}");
        view = await FleetUntilAsync(scene.Node3, fleet => Names(fleet, "asks").Length == 0 && fleet.GetProperty("lock").GetProperty("unknownSince").ValueKind == JsonValueKind.Null, "goes on showing who waited");
        Assert.Equal([waits.Name], Names(view, "slots"));
        foreach (Guest guest in guests)
            await guest.Client.AssertAliveAsync();
    }));

    /// <summary>What hangs on the lease of a host that is gone ends after 30 s: so much longer it takes.</summary>
    [LongLabFact]
    public Task HolderLosesPower_KeepsItsPlaceUntilItIsUnlocked() => rack.RunAsync(scene => WithEtcdAsync(async etcd =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        Report done = await (await scene.Node1.EvacuateAsync()).EndAsync();
        Assert.True(done.State == "done", $"{done}");
        Evacuation queued = await scene.Node2.EvacuateAsync();
        await queued.UntilAsync(report => Waits(report).Contains("node1 is being emptied", StringComparison.Ordinal), "does not say what it waits for");

        // While it is up it can say itself that it is out.
        LabResult refused = await scene.Node3.EvacuatorAsync("fleet", "unlock", "node1", "--yes");
        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains("evacuator reopen", refused.Error, StringComparison.Ordinal);

        await scene.Node1.SwitchAsync("off");
        long start = Stopwatch.GetTimestamp();
        JsonElement view = await FleetUntilAsync(scene.Node3, fleet => Condition(fleet, "node1") == "silent", "never noticed that node1 is gone");
        Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(60), "it took longer than its lease");
        Assert.Equal(["node1"], Names(view, "slots"));
        Assert.Contains("nothing is heard of it", (await scene.Node3.EvacuatorAsync("fleet", "status")).Output, StringComparison.Ordinal);
        Assert.Equal("closing", (await queued.LookAsync())!.State);

        LabResult unlocked = await scene.Node3.EvacuatorAsync("fleet", "unlock", "node1", "--yes");
        Assert.True(unlocked.ExitCode == 0, unlocked.Output + unlocked.Error);
        Report second = await queued.EndAsync();
        Assert.True(second.State == "done", $"{second}");
        await guest.Client.AssertAliveAsync();

        // It comes back, is closed still, and says so: over the limit, which is the truth.
        await scene.Node1.SwitchAsync("on");
        await scene.Node1.UpAsync();
        await FleetUntilAsync(scene.Node3, fleet => Names(fleet, "slots") is ["node1", "node2"], "does not show that both are out");
    }));

    /// <summary>Brings etcd up, has all nodes use it with one place, and brings them back when the test is over.</summary>
    private async Task WithEtcdAsync(Func<EtcdServer, Task> test)
    {
        Assert.True(EtcdServer.WhyNone is null, EtcdServer.WhyNone);
        string folder = Directory.CreateTempSubdirectory("evacuator-etcd-").FullName;
        try
        {
            Node first = rack["node1"];
            using X509Certificate2 authority = X509Certificate2.CreateFromPemFile(first.Path("/root/fleet/ca.crt"), first.Path("/root/fleet/ca.key"));
            await using EtcdServer etcd = await EtcdServer.StartAsync(Path.Combine(folder, "etcd"), authority, networkNamespace: $"/run/netns/{rack.Lab.Rack}-client", address: OutsideHost);
            await Task.WhenAll(rack.Nodes.Select(async node =>
            {
                await node.ConfigureAsync($"[fleet]\nstore = etcd\netcd-endpoints = {etcd.Endpoint}\nmax-emptied = 1\n");
                await node.RestartAsync();
                await FleetUntilAsync(node, fleet => rack.Nodes.All(each => Condition(fleet, each.Name) == "open"), "never saw all nodes in etcd");
            }));
            await test(etcd);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static bool IsWaiting(Report report) => Waits(report).Length > 0;

    private static string Waits(Report report) => report.Json.GetProperty("waiting") is { ValueKind: JsonValueKind.Object } waiting ? waiting.GetProperty("for").GetString()! : "";

    private static string[] Names(JsonElement fleet, string of) =>
        [.. fleet.GetProperty("lock").GetProperty("picture").GetProperty(of).EnumerateArray().Select(entry => entry.GetProperty("node").GetString()!).Order()];

    private static string? Condition(JsonElement fleet, string node) => fleet.GetProperty("lock").GetProperty("picture").GetProperty("nodes").EnumerateArray()
        .Where(entry => entry.GetProperty("name").GetString() == node).Select(entry => entry.GetProperty("condition").GetString()).FirstOrDefault();

    /// <summary>Its exit code tells only whether all peers answer.</summary>
    private static async Task<JsonElement> FleetAsync(Node node)
    {
        LabResult result = await node.EvacuatorAsync("fleet", "status", "--json");
        Assert.True(result.ExitCode is 0 or 1, $"{node}: evacuator fleet status ended with {result.ExitCode}: {result.Error}");
        return Node.Parse(result.Output);
    }

    private static async Task<JsonElement> FleetUntilAsync(Node node, Func<JsonElement, bool> wanted, string failure)
    {
        long start = Stopwatch.GetTimestamp();
        LabResult last;
        do
        {
            last = await node.EvacuatorAsync("fleet", "status", "--json");
            if (last.ExitCode is 0 or 1 && last.Output.StartsWith('{') && Node.Parse(last.Output) is var fleet && wanted(fleet))
                return fleet;
            await Task.Delay(200);
        }
        while (Stopwatch.GetElapsedTime(start) < Node.Patience);
        Assert.Fail($"{node}: {failure}: {last.Output}{last.Error}");
        return default;
    }
}
