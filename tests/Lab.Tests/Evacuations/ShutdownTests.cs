using System.Diagnostics;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>A host that somebody reboots or powers off without a word to Evacuator, with evacuator-on-shutdown.service enabled.</summary>
[Collection(RackCollection.Name)]
public sealed class ShutdownTests(ProductRack rack)
{
    [LongLabTheory]
    [InlineData("poweroff")]
    [InlineData("reboot")]
    public Task Host_GoesDown_ContainersMoveFirstOverTheSameConnections(string how) => rack.RunAsync(async scene =>
    {
        List<Guest> guests = [await scene.RunAsync(scene.Node1), await scene.RunAsync(scene.Node1), await scene.RunAsync(scene.Node1)];
        await WithUnitAsync(scene.Node1, async () =>
        {
            await GoDownAsync(scene.Node1, how);

            Evacuation evacuation = await LastAsync(scene.Node1);
            Report report = await evacuation.EndAsync();
            Assert.True(report.State == "done", $"{report}");
            Assert.Equal("shutdown", report.Json.GetProperty("trigger").GetString());
            foreach (Guest guest in guests)
                await scene.AssertOnlyOnAsync(guest, scene.Find(report.Of(guest.Name).To));
            Assert.Contains("the shutdown waits for it", await JournalAsync(scene.Node1), StringComparison.Ordinal);
            // It knows that it was emptied, and waits for a person or for the soak time.
            Assert.NotEqual("", await scene.Node1.ShAsync("evacuator status | grep -i 'closed' || true"));
        });
    });

    /// <summary>Nobody takes what runs here: the host goes down all the same, soon, and its journal says who was left.</summary>
    [LongLabFact]
    public Task Host_GoesDownAndNobodyHasRoom_IsNotHeldUpAndSaysWhoWasLeft() => rack.RunAsync(async scene =>
    {
        Guest guest = await scene.RunAsync(scene.Node1);
        await scene.Node2.ShrinkAsync(200);
        await scene.Node3.ShrinkAsync(200);
        await WithUnitAsync(scene.Node1, async () =>
        {
            long start = Stopwatch.GetTimestamp();
            await GoDownAsync(scene.Node1, "poweroff");
            TimeSpan down = Stopwatch.GetElapsedTime(start);
            Assert.True(down < TimeSpan.FromMinutes(2), $"it took {down.TotalSeconds:0} s");
            string journal = await JournalAsync(scene.Node1);
            Assert.Contains(guest.Name, journal, StringComparison.Ordinal);
            Assert.Contains("of memory left for it", journal, StringComparison.Ordinal);
            Assert.Equal("failed", (await (await LastAsync(scene.Node1)).EndAsync()).State);
        });
    });

    private static async Task WithUnitAsync(Node node, Func<Task> test)
    {
        await node.ShAsync("systemctl enable --now evacuator-on-shutdown 2>/dev/null");
        try
        {
            await test();
        }
        finally
        {
            await node.ShAsync("systemctl disable --now evacuator-on-shutdown 2>/dev/null");
        }
    }

    /// <summary>By its own root, as any administrator would; and up again.</summary>
    private static async Task GoDownAsync(Node node, string how)
    {
        string before = await BootAsync(node);
        await node.TryAsync("systemctl", "--no-block", how);
        long start = Stopwatch.GetTimestamp();
        while (how == "poweroff" ? await node.PowerAsync() != "Off" : await BootAsync(node) is var now && (now.Length == 0 || now == before))
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromMinutes(4), $"{node} does not go down");
            await Task.Delay(500);
        }

        if (how == "poweroff")
            await node.SwitchAsync("on");
        await node.UpAsync();
    }

    /// <summary>The nodes share this machine's kernel: when its first process was started tells one boot from the next. Empty while the node is off.</summary>
    private static async Task<string> BootAsync(Node node) => (await node.TryAsync("sh", "-c", "stat -c %.Y /proc/1")).Output.Trim();

    private static async Task<Evacuation> LastAsync(Node node) =>
        new(node, Node.Parse(await node.ShAsync("evacuator report --json")).GetProperty("id").GetGuid());

    private static Task<string> JournalAsync(Node node) => node.ShAsync("journalctl --no-pager -o cat -n 60 -u evacuator-on-shutdown");
}
