using System.Diagnostics;
using System.Text.Json;
using Evacuator.Lab.Tests.Rack;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>The fleet's authority is replaced on hosts that run, by the commands of operations.md.</summary>
[Collection(RackCollection.Name)]
public sealed class AuthorityTests(ProductRack rack)
{
    private const string Authority = "/var/lib/evacuator-authority";

    [LabFact]
    public Task Authority_ReplacedDuringAMoveAndWithoutANode_TheMoveGoesOn_TheNodeIsToldAndComesBack() => rack.RunAsync(scene => ServedAsync(async () =>
    {
        (Node first, Node second, Node third) = (scene.Node1, scene.Node2, scene.Node3);
        Guest guest = await scene.RunAsync(first);
        await third.ShAsync("systemctl stop evacuator evacuator-agent");
        await first.ArmAsync("pause", "source.copied");
        Evacuation moving = await first.EvacuateAsync();
        await first.ReachedAsync();

        // 1. Not before all trust it, unless it is forced.
        LabResult held = await first.EvacuatorAsync("fleet", "authority", "new");
        Assert.True(held.ExitCode == 1 && held.Error.Contains("node3 (unreachable)", StringComparison.Ordinal), $"{held.ExitCode}: {held.Output}{held.Error}");
        Assert.DoesNotContain("node2 (", held.Error, StringComparison.Ordinal);
        string made = await first.ShAsync("evacuator fleet authority new --force");
        Assert.Contains("Certificates are of the new authority since", made, StringComparison.Ordinal);

        // 2. Two nodes renew; their services take it while the move stands on its connection of before.
        foreach (Node node in new[] { first, second })
            Assert.Equal(2, (await node.ShAsync("evacuator fleet renew")).Split('\n').Count(line => line.Contains("by the new authority", StringComparison.Ordinal)));
        LabResult refused = await RetireUntilAsync(first, error => !error.Contains("old-certificate", StringComparison.Ordinal));
        Assert.Contains("(move-under-way)", refused.Error, StringComparison.Ordinal);
        await first.LetGoAsync();
        Report done = await moving.EndAsync();
        Assert.True(done.State == "done" && done.Of(guest.Name).To == "node2", $"{done}");
        await scene.AssertOnlyOnAsync(guest, second);

        // 3. Retired without the third.
        refused = await RetireUntilAsync(first, error => !error.Contains("(move-under-way)", StringComparison.Ordinal));
        Assert.Contains("node3 (unreachable)", refused.Error, StringComparison.Ordinal);
        Assert.Contains("node3 has to join again", await first.ShAsync("evacuator fleet authority retire --force"), StringComparison.Ordinal);
        Assert.Equal("ca.crt ca.key fleet.json peers.conf", await first.ShAsync($"cd {Authority}; ls | tr '\\n' ' ' | sed 's/ tokens.json//; s/ $//'"));

        // 4. It comes up and says what to do; that brings it back.
        await third.ShAsync("systemctl start evacuator-agent evacuator");
        await third.StatusUntilAsync(status => status.GetProperty("notices").EnumerateArray().Any(notice => notice.GetString()!.Contains("it has to join again: \"evacuator fleet token --for node3\"", StringComparison.Ordinal)),
            "does not say that it has to join again");
        string join = (await first.TryAsync("evacuator", "fleet", "token", "--for", "node3")).Error.Split('\n').Single(line => line.Contains("fleet join", StringComparison.Ordinal)).Trim();
        await third.ShAsync($"{join} --replace; systemctl restart evacuator-agent evacuator");
        Assert.Contains("nothing to retire", await first.ShAsync("evacuator fleet authority retire"), StringComparison.Ordinal);

        // 5. It takes a container over connections of the new one.
        done = await (await second.EvacuateAsync()).EndAsync();
        Assert.True(done.State == "done" && done.Of(guest.Name).To == "node3", $"{done}");
        await scene.AssertOnlyOnAsync(guest, third);
    }));

    private static async Task<LabResult> RetireUntilAsync(Node node, Func<string, bool> wanted)
    {
        long start = Stopwatch.GetTimestamp();
        LabResult refused;
        do
        {
            refused = await node.EvacuatorAsync("fleet", "authority", "retire");
            Assert.True(refused.ExitCode == 4, $"{refused.ExitCode}: {refused.Output}{refused.Error}");
            if (wanted(refused.Error))
                return refused;
            await Task.Delay(200);
        }
        while (Stopwatch.GetElapsedTime(start) < Node.Patience);
        Assert.Fail($"still held up: {refused.Error}");
        return refused;
    }

    /// <summary>The rack's authority is offline, in a directory of node1. It is served from there during the test, and all is as before afterwards.</summary>
    private async Task ServedAsync(Func<Task> test)
    {
        Node first = rack["node1"];
        try
        {
            await first.ShAsync($"rm -rf {Authority}; cp -r /root/fleet {Authority}; rm -f {Authority}/*.join; evacuator fleet init --address {first.Address} >/dev/null; systemctl start evacuator-authority; evacuator fleet accept {Authority}/fleet.json");
            await test();
        }
        finally
        {
            await first.ShAsync($"systemctl stop evacuator-authority; rm -rf {Authority}; evacuator fleet init --output /root/fleet {string.Join(' ', rack.Nodes.Select(node => $"{node}={node.Address}"))} >/dev/null");
            await Task.WhenAll(rack.Nodes.Select(async node =>
            {
                string bundle = $"/root/fleet/{node}.join";
                if (node != first)
                    _ = (await rack.Lab.RunAsync("copy", first.Path(bundle), $"{node}:{bundle}")).Text;
                await node.ShAsync($"evacuator fleet join --replace {bundle} >/dev/null; rm {bundle}");
                await node.RestartAsync();
            }));
        }
    }
}
