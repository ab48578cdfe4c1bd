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
            await GoDownAsync(scene.Node1, "poweroff");
            string journal = await JournalAsync(scene.Node1);
            Assert.Contains(guest.Name, journal, StringComparison.Ordinal);
            Assert.Contains("of memory left for it", journal, StringComparison.Ordinal);
            // The rest of the time a shutdown waits for the container itself, which takes no SIGTERM.
            Report report = await (await LastAsync(scene.Node1)).EndAsync();
            Assert.Equal("failed", report.State);
            Assert.InRange(report.Json.GetProperty("totalSeconds").GetDouble(), 0, 60);
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

    /// <summary>By its own root, as any administrator would; and up again. One that reboots stays off here, too: its nspawn leaves it to others to start it again.</summary>
    private static async Task GoDownAsync(Node node, string how)
    {
        await node.TryAsync("systemctl", "--no-block", how);
        long start = Stopwatch.GetTimestamp();
        while (await node.PowerAsync() != "Off")
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromMinutes(5), $"{node} does not go down");
            await Task.Delay(500);
        }

        await node.SwitchAsync("on");
        await node.UpAsync();
    }

    private static async Task<Evacuation> LastAsync(Node node) =>
        new(node, Node.Parse(await node.ShAsync("evacuator report --json")).GetProperty("id").GetGuid());

    private static Task<string> JournalAsync(Node node) => node.ShAsync("journalctl --no-pager -o cat -n 60 -u evacuator-on-shutdown");
}
