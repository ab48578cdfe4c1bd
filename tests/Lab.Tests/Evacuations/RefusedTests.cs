using System.Text.Json;
using System.Text.Json.Nodes;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>
/// A peer that cannot take a container says so before anything is frozen, the report has its reason, and a peer that can take it gets it.
/// </summary>
[Collection(RackCollection.Name)]
public sealed class RefusedTests(ProductRack rack)
{
    [LabFact]
    public Task Peers_LackMemory_RefusedWithThatReasonAndTheOneWithRoomIsUsed() => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        await scene.Node2.ShrinkAsync(200);
        await scene.Node3.ShrinkAsync(200);
        await AssertRefusedAsync(scene, guest, "not-enough-memory", "node2", "node3");
        await scene.Node3.GrowAsync();
        await AssertGoesToNode3Async(scene, guest);
    });

    [LabFact]
    public Task Peers_HaveThatName_RefusedWithThatReasonAndTheOtherIsUsed() => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        // A stranger of the same name, in a network of its own so that it disturbs nobody on the wire.
        foreach (Node peer in new[] { scene.Node2, scene.Node3 })
            await peer.RunChangedAsync(scene.Node1.Path($"/srv/containers/{guest}"), guest.Name, WithoutNetworkOfTheHost);
        await AssertRefusedAsync(scene, guest, "name-taken", "node2", "node3");
        Assert.Equal("running", await StateAsync(scene.Node2, guest));
        await scene.Node3.ShAsync("runc delete --force \"$1\"", guest.Name);
        await AssertGoesToNode3Async(scene, guest);
        Assert.Equal("running", await StateAsync(scene.Node2, guest));
    });

    [LabFact]
    public Task Peers_HaveThatAddress_RefusedWithThatReasonAndTheOtherIsUsed() => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        foreach (Node peer in new[] { scene.Node2, scene.Node3 })
            await peer.ShAsync("ip netns delete stranger 2>/dev/null || true; ip netns add stranger; ip -n stranger address add \"$1/32\" dev lo", guest.Address);
        try
        {
            await AssertRefusedAsync(scene, guest, "address-taken", guest.Address);
            await scene.Node3.ShAsync("ip netns delete stranger");
            await AssertGoesToNode3Async(scene, guest);
        }
        finally
        {
            foreach (Node peer in new[] { scene.Node2, scene.Node3 })
                await peer.ShAsync("ip netns delete stranger 2>/dev/null || true");
        }
    });

    /// <summary>One has no room where images go, the other none where files go, on a file system of its own that its host's report says nothing of.</summary>
    [LabFact]
    public Task Peers_LackRoomForImagesOrFiles_RefusedWithThatReasonAndTheOtherIsUsed() => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        string size = await scene.Node2.ShAsync("findmnt -no OPTIONS /run | grep -o 'size=[^,]*'");
        try
        {
            await scene.Node2.ShAsync("mount -o \"remount,size=$(($(df --output=used -k /run | tail -n 1) + 4096))k\" /run");
            await scene.Node3.ShAsync("mkdir -p /srv/containers; mount -t tmpfs -o size=64k tmpfs /srv/containers");
            // The agent would die if it came to freeze anything.
            await scene.Node1.ArmAsync("kill", "source.freezing");
            Report report = await (await scene.Node1.EvacuateAsync()).EndAsync();
            await scene.Node1.ShAsync("rm /run/evacuator-agent/fault-point");

            Assert.True(report.State == "failed" && report.Of(guest.Name).State is "blocked" or "stayed", $"not refused: {report}");
            Assert.Contains(report.Of(guest.Name).Reasons, reason => reason.StartsWith("not-enough-disk: node3 ", StringComparison.Ordinal));
            JsonElement full = report.Json.GetProperty("excludedPeers").EnumerateArray().Single(peer => peer.GetProperty("name").GetString() == "node2");
            Assert.Equal("not-enough-disk", full.GetProperty("code").GetString());
            Assert.Contains("/run/evacuator-agent", full.GetProperty("reason").GetString(), StringComparison.Ordinal);
            Assert.Contains("runs", await scene.Node1.TracesAsync(guest.Name));
            await scene.Node3.ShAsync("umount /srv/containers");
            await AssertGoesToNode3Async(scene, guest);
        }
        finally
        {
            await scene.Node2.ShAsync("mount -o \"remount,$1\" /run", size);
            await scene.Node3.ShAsync("! mountpoint -q /srv/containers || umount /srv/containers");
        }
    });

    [LabFact]
    public Task Budget_SmallerThanAnyFreeze_IsNotEvenFrozen() => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1, "c", "--annotation", "evacuator.freeze-budget=20ms");
        // The agent would die if it came to freeze anything.
        await scene.Node1.ArmAsync("kill", "source.freezing");
        Report report = await (await scene.Node1.EvacuateAsync()).EndAsync();
        await scene.Node1.ShAsync("rm /run/evacuator-agent/fault-point");

        ContainerReport stayed = report.Of(guest.Name);
        Assert.True(report.State == "failed" && stayed.State is "stayed" or "blocked", $"not refused: {report}");
        Assert.Null(stayed.FreezeMs);
        Assert.Contains("is not frozen, because it would stand still for too long", stayed.Detail + string.Join(' ', stayed.Reasons), StringComparison.Ordinal);
        // What was prepared for it at the peers is gone.
        foreach (Node peer in new[] { scene.Node2, scene.Node3 })
            Assert.Empty(await peer.TracesAsync(guest.Name));
        Assert.Contains("runs", await scene.Node1.TracesAsync(guest.Name));
        await guest.Client.AssertAliveAsync();
    });

    /// <summary>Shared memory is compared and restored inside the freeze: what does not fit is not frozen.</summary>
    [LabFact]
    public Task Budget_SmallerThanItsSharedMemoryTakes_IsNotEvenFrozen() => rack.RunAsync(async scene =>
    {
        (string name, string address) = await scene.RunWorkloadAsync(
            scene.Node1, "memory", "--annotation", "evacuator.freeze-budget=200ms", "--arg", "512", "--arg", "0", "--arg", "shared");
        // It listens once all of its memory is there; until then it grows beyond what is reserved for it.
        await scene.Node1.UntilAsync($"ip netns exec {name} ss -Hltn 'sport = :7002' | grep -q .", "it never listened");
        // The agent would die if it came to freeze anything.
        await scene.Node1.ArmAsync("kill", "source.freezing");
        Report report = await (await scene.Node1.EvacuateAsync()).EndAsync();
        await scene.Node1.ShAsync("rm /run/evacuator-agent/fault-point");

        ContainerReport stayed = report.Of(name);
        Assert.True(report.State == "failed" && stayed.State is "stayed" or "blocked", $"not refused: {report}");
        Assert.Null(stayed.FreezeMs);
        string why = stayed.Detail + string.Join(' ', stayed.Reasons);
        Assert.Matches("and 51[2-9] MiB of shared memory take", why);
        Assert.Contains("runs", await scene.Node1.TracesAsync(name));
        Assert.Contains("\"bytes_bad\":0", (await rack.Lab.RunAsync("client", "memory", $"{address}:7002", "--seconds", "0.2")).Output, StringComparison.Ordinal);
    });

    private static async Task AssertRefusedAsync(Scene scene, Guest guest, string code, params string[] named)
    {
        // The agent would die if it came to freeze anything.
        await scene.Node1.ArmAsync("kill", "source.freezing");
        Report report = await (await scene.Node1.EvacuateAsync()).EndAsync();
        await scene.Node1.ShAsync("rm /run/evacuator-agent/fault-point");

        ContainerReport refused = report.Of(guest.Name);
        Assert.True(report.State == "failed" && refused.State == "blocked", $"not refused: {report}");
        Assert.Null(refused.FreezeMs);
        Assert.Contains(refused.Reasons, reason => reason.StartsWith(code + ": ", StringComparison.Ordinal));
        foreach (string word in named)
            Assert.Contains(refused.Reasons, reason => reason.StartsWith(code + ": ", StringComparison.Ordinal) && reason.Contains(word, StringComparison.Ordinal));
        Assert.Contains(guest.Name, report.Problem, StringComparison.Ordinal);
        Assert.Contains("runs", await scene.Node1.TracesAsync(guest.Name));
        await guest.Client.AssertAliveAsync();
    }

    private static async Task AssertGoesToNode3Async(Scene scene, Guest guest)
    {
        Report report = await (await scene.Node1.EvacuateAsync()).EndAsync();
        Assert.True(report.State == "done", $"not done: {report}");
        Assert.Equal("node3", report.Of(guest.Name).To);
        Assert.Contains("runs", await scene.Node3.TracesAsync(guest.Name));
        Assert.Empty(await scene.Node1.TracesAsync(guest.Name));
        await guest.Client.AssertAliveAsync();
    }

    private static Task<string> StateAsync(Node node, Guest guest) => node.ShAsync("runc state \"$1\" | sed -n 's/.*\"status\": \"\\(.*\\)\".*/\\1/p'", guest.Name);

    private static void WithoutNetworkOfTheHost(JsonObject configuration)
    {
        foreach (JsonNode? space in configuration["linux"]!["namespaces"]!.AsArray())
        {
            if ((string?)space!["type"] == "network")
                space.AsObject().Remove("path");
        }
    }
}
