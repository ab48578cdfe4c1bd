using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;
using Evacuator.Lab.BmcSimulator.Power;
using Evacuator.Testing;

namespace Evacuator.Lab.BmcSimulator.Tests;

/// <summary>The simulator over trees of real services, whatever ids they use.</summary>
public sealed class CapturedTreeTests
{
    public static TheoryData<string> Trees => Prerequisites.SharedRedfish is { } shared
        ? [.. Directory.GetDirectories(Path.Combine(shared, "mockups")).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal)]
        : ["none"];

    [SharedDataTheory]
    [MemberData(nameof(Trees))]
    public async Task Tree_EveryResourceIsServed_UntouchedOnesByteForByte(string name)
    {
        string directory = TreeOf(name);
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Tree = directory });
        using var client = new BmcClient(bmc, "evacuator:evacuator");
        ResourceTree tree = ResourceTree.FromDirectory(directory);
        int same = 0;
        foreach (string uri in tree.Uris)
        {
            Answer answer = await client.GetAsync(uri);
            Assert.Equal((uri, 200), (uri, answer.Status));
            same += answer.Text.TrimStart('\uFEFF') == System.Text.Encoding.UTF8.GetString(tree.Find(uri)!).TrimStart('\uFEFF') ? 1 : 0;
        }

        // System, chassis, managers, sessions, subscriptions and one log are alive; all else is as it was captured.
        Assert.InRange(same, tree.Uris.Count - 20, tree.Uris.Count - 1);
    }

    [SharedDataTheory]
    [MemberData(nameof(Trees))]
    public async Task Tree_SessionsPowerAndLed_WorkAsFarAsTheTreeOffersThem(string name)
    {
        var machine = new SimulatedMachine(true);
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Tree = TreeOf(name), Machine = machine.Hooks });
        ServiceLayout layout = ServiceLayout.Discover(ResourceTree.FromDirectory(TreeOf(name)));
        using BmcClient client = layout.Sessions is { } sessions ? await BmcClient.LogInToAsync(bmc, sessions) : new BmcClient(bmc, "evacuator:evacuator");

        JsonObject system = (await client.GetAsync(layout.System!)).Body;
        Assert.Equal("On", system.Get("PowerState").Text());
        Assert.Equal(204, (await client.PostAsync(layout.ResetTarget!, """{"ResetType":"ForceOff"}""")).Status);
        await bmc.WhenPowerSettledAsync();
        Assert.Equal("Off", (await client.GetAsync(layout.System!)).Body.Get("PowerState").Text());
        Assert.All(layout.Chassis, chassis => Assert.Contains(bmc.Read(chassis).Get("PowerState").Text(), new[] { null, "Off" }));

        foreach ((string property, string on) in new[] { ("LocationIndicatorActive", "true"), ("IndicatorLED", "\"Blinking\"") })
        {
            int expected = system.Get(property) is not null ? 200 : 400;
            Assert.Equal((property, expected), (property, (await client.PatchAsync(layout.System!, $$"""{"{{property}}":{{on}}}""")).Status));
            if (expected == 200)
            {
                Assert.Equal(on, (await client.GetAsync(layout.System!)).Body[property]!.ToJsonString());
            }
        }

        if (client.Session is { } session)
        {
            Assert.Equal(204, (await client.DeleteAsync(session)).Status);
        }
    }

    [SharedDataTheory]
    [MemberData(nameof(Trees))]
    public async Task Tree_PostedEvent_IsLoggedAndStreamedWhereTheTreeHasThem(string name)
    {
        ServiceLayout layout = ServiceLayout.Discover(ResourceTree.FromDirectory(TreeOf(name)));
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Tree = TreeOf(name) });
        using var client = new BmcClient(bmc, "evacuator:evacuator");
        using StreamReader? stream = layout.ServerSentEvents is { } uri ? await client.OpenStreamAsync(uri) : null;
        await bmc.WhenStreamsAreAsync(stream is null ? 0 : 1, CancellationToken.None);
        double before = layout.LogEntries is null ? 0 : bmc.Read(layout.LogEntries).Get("Members@odata.count").Number() ?? 0;
        bmc.PostEvent("""{"MessageId":"Lab.1.0.Mine","Severity":"Warning"}""");

        if (layout.LogEntries is { } entries)
        {
            JsonObject log = (await client.GetAsync(entries)).Body;
            Assert.Equal(before + 1, log.Get("Members@odata.count").Number());
            var own = new List<JsonNode>();
            for (string? next = entries; next is not null && own.Count == 0;)
            {
                JsonObject page = (await client.GetAsync(next)).Body;
                own.AddRange(((JsonArray)page["Members"]!).OfType<JsonNode>().Where(entry => entry.Get("MessageId").Text() == "Lab.1.0.Mine"));
                next = page.Get("Members@odata.nextLink").Text();
            }

            Assert.Equal("Warning", (await client.GetAsync(Assert.Single(own).Link()!)).Body.Get("Severity").Text());
        }

        if (stream is not null)
        {
            Assert.Equal("Lab.1.0.Mine", ((JsonArray)(await BmcClient.NextEventAsync(stream))!.Value.Event["Events"]!)[0].Get("MessageId").Text());
        }
    }

    [Fact]
    public void Tree_WithoutServiceRoot_Refused()
    {
        using TemporaryFolder empty = new();
        Assert.Contains("redfish/v1/index.json", Assert.Throws<InvalidDataException>(() => ResourceTree.FromDirectory(empty.Path)).Message, StringComparison.Ordinal);
    }

    private static string TreeOf(string name) => Path.Combine(Prerequisites.SharedRedfish!, "mockups", name, "tree");
}
