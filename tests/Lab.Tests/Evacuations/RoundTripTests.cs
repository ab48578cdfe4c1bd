using System.Diagnostics;
using System.Globalization;
using Evacuator.Lab.Tests.Rack;
using Evacuator.Testing;
using Xunit.Abstractions;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>
/// Away and home again and away again, over the same connections: nobody is lost, nobody is there twice, all are back at their first home, and no node has anything that it had not before.
/// With EVACUATOR_ALL_FAULTS=1 once, with three containers; EVACUATOR_ROUND_TRIPS=10 beside it does it ten times with twenty (or as many
/// as EVACUATOR_ROUND_TRIP_CONTAINERS says).
/// </summary>
[Collection(RackCollection.Name)]
public sealed class RoundTripTests(ProductRack rack, ITestOutputHelper output)
{
    /// <summary>Connections that are kept for the next question come and go; what leaks grows with each move.</summary>
    private const int DescriptorsThatComeAndGo = 8;

    private static readonly int s_rounds = Setting("EVACUATOR_ROUND_TRIPS", 1);

    private static readonly int s_containers = Setting("EVACUATOR_ROUND_TRIP_CONTAINERS", s_rounds > 1 ? 20 : 3);

    [LongLabFact]
    public Task Evacuated_Returned_EvacuatedAgain_NobodyIsLostAndNothingIsLeft() => rack.RunAsync(async scene =>
    {
        List<Guest> guests = [];
        for (int i = 0; i < s_containers; i++)
            guests.Add(await scene.RunAsync(scene.Node1, TimeSpan.FromMilliseconds(s_containers > 4 ? 200 : 10), "rt", "--annotation", "evacuator.freeze-budget=60s"));
        TimeLeft told = new();
        SortedDictionary<string, string>[]? before = null;
        int[]? sessions = null;
        for (int round = 1; round <= s_rounds; round++)
        {
            long start = Stopwatch.GetTimestamp();
            Report report = await told.FollowAsync(await scene.Node1.EvacuateAsync());
            await AssertPlacesAsync(scene, guests, guest => scene.Find(report.Of(guest.Name).To), $"round {round}, away");
            TimeSpan away = Stopwatch.GetElapsedTime(start);

            await scene.Node1.ShAsync("evacuator reopen");
            LabResult back = await scene.Node1.EvacuatorAsync("return", "--wait", "--json");
            Assert.True(back.ExitCode == 0, $"round {round}: return ended with {back.ExitCode}: {back.Output}{back.Error}");
            await AssertPlacesAsync(scene, guests, _ => scene.Node1, $"round {round}, home");
            output.WriteLine($"round {round}: {guests.Count} away in {away.TotalSeconds:0.0} s, home after {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s, longest pause {guests.Max(guest => guest.Client.LongestPauseMs):0} ms");

            foreach (Node node in rack.Nodes)
                output.WriteLine($"round {round}: {node}: {await node.DescriptorsAsync()}");
            // The first round brings what stays: set-aside trees at the peers, warm connections.
            if (before is null)
                (before, sessions) = (await BelongingsAsync(), await SessionsAsync());
        }

        // Away once more, and what is left of them at home is exactly nothing but the trees that were set aside.
        SortedDictionary<string, string>[] after = await BelongingsAsync();
        for (int i = 0; i < rack.Nodes.Count; i++)
        {
            foreach ((string kind, string had) in before!.ElementAt(i))
            {
                string has = after[i].GetValueOrDefault(kind, "");
                if (kind.StartsWith("descriptors-", StringComparison.Ordinal))
                {
                    output.WriteLine($"{rack.Nodes[i]}: {kind} {had} after the first round, {has} after the last");
                    Assert.True(Number(has) <= Number(had) + DescriptorsThatComeAndGo, $"{rack.Nodes[i]}: {kind} were {had} and are {has}");
                }
                else if (kind == "trees")
                {
                    // Where one was set aside depends on where it went; they are kept on purpose.
                    Assert.Equal(WithoutAside(had), WithoutAside(has));
                }
                else
                {
                    Assert.True(had == has, $"{rack.Nodes[i]}: {kind} were '{had}' and are '{has}'");
                }
            }
        }

        Assert.Equal(sessions, await SessionsAsync());
        Report last = await told.FollowAsync(await scene.Node1.EvacuateAsync());
        await AssertPlacesAsync(scene, guests, guest => scene.Find(last.Of(guest.Name).To), "the last time away");
        SortedDictionary<string, string> empty = await scene.Node1.BelongingsAsync();
        Assert.Equal("", empty["containers"]);
        Assert.DoesNotContain(guests, guest => empty["netns"].Split(' ').Contains(guest.Name) || empty["interfaces"].Contains($"ve-{guest.Name}", StringComparison.Ordinal));
        foreach (Guest guest in guests)
            Assert.Contains($"/srv/containers/{guest.Name}.evacuated", empty["trees"].Split(' '));

        // A few moves say little; of many, half of the figures have to be good.
        output.WriteLine($"{told}");
        if (s_rounds > 1)
            Assert.True(told.Median <= 0.5, $"{told}");
    });

    private async Task AssertPlacesAsync(Scene scene, List<Guest> guests, Func<Guest, Node> where, string when)
    {
        Dictionary<string, List<string>> found = [];
        foreach (Node node in rack.Nodes)
            foreach (string name in (await node.ShAsync("for n in $(runc list -q); do echo \"$n $(runc state $n | sed -n 's/.*\"status\": \"\\(.*\\)\".*/\\1/p') $(cat /sys/fs/cgroup/containers/$n/cgroup.freeze)\"; done"))
                .Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => line.EndsWith(" running 0", StringComparison.Ordinal)).Select(line => line.Split(' ')[0]))
                (found.TryGetValue(name, out List<string>? places) ? places : found[name] = []).Add(node.Name);
        foreach (Guest guest in guests)
        {
            Assert.True(found.TryGetValue(guest.Name, out List<string>? places), $"{when}: {guest} is lost");
            Assert.True(places!.Count == 1 && places[0] == where(guest).Name, $"{when}: {guest} is on {string.Join(" and ", places)}, not on {where(guest)}");
        }

        await Task.WhenAll(guests.Select(guest => guest.Client.AssertAliveAsync()));
    }

    private async Task<SortedDictionary<string, string>[]> BelongingsAsync()
    {
        // What a move has still to clear away gets the time for it.
        foreach (Node node in rack.Nodes)
            await node.UntilAsync("[ -z \"$(ls /run/evacuator-agent/moves 2>/dev/null)\" ]", "what moves left in /run/evacuator-agent/moves does not go away");
        return await Task.WhenAll(rack.Nodes.Select(node => node.BelongingsAsync()));
    }

    private Task<int[]> SessionsAsync() => Task.WhenAll(rack.Nodes.Select(node => node.SessionsAsync()));

    private static IEnumerable<string> WithoutAside(string trees) => trees.Split(' ').Where(tree => !tree.EndsWith(".evacuated", StringComparison.Ordinal));

    private static int Setting(string variable, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value > 0 ? value : otherwise;

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
