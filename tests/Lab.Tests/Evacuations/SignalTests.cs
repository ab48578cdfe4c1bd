using System.Diagnostics;
using System.Text.Json;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>What a BMC reports, as a whole rack of real services takes it: event stream, read, verdict, breaker, evacuation.</summary>
[Collection(RackCollection.Name)]
public sealed class SignalTests(ProductRack rack)
{
    /// <summary>From the event to the verdict, as the issue asks for it; polling alone would take minutes.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(5);

    private static string Event(string name) => Path.Combine(Prerequisites.ProjectRoot, "lab", "events", $"{name}.json");

    [LabFact]
    public Task PredictedMemoryEvent_ByEventStream_IsAVerdictWithinFiveSeconds() => rack.RunAsync(async scene =>
    {
        Node node = scene.Node1;
        await ListenAsync(node, "notify");
        try
        {
            await PostAsync(node, "predicted-memory");
            // The BMC has it when the command returns; what a shell takes to start on a busy machine is no part of it.
            DateTimeOffset posted = DateTimeOffset.UtcNow;
            JsonElement signals = await SignalsUntilAsync(node, report => Verdict(report) == "evacuate", "the verdict never became evacuate");
            TimeSpan took = signals.GetProperty("since").GetDateTimeOffset() - posted;
            Assert.True(took < Limit, $"from the event to the verdict it took {took.TotalSeconds:0.00} s");

            JsonElement signal = signals.GetProperty("signals")[0];
            Assert.Equal("memory", signal.GetProperty("component").GetString());
            Assert.Equal("confirmed", signal.GetProperty("stage").GetString());
            Assert.Contains("A1", (await node.EvacuatorAsync("signals")).Output, StringComparison.Ordinal);
            // It only says so.
            JsonElement status = await node.StatusAsync();
            Assert.Contains("on-critical-signal is notify", status.GetProperty("health").GetProperty("asksPerson").GetString(), StringComparison.Ordinal);
            Assert.Equal(JsonValueKind.Null, status.GetProperty("evacuation").ValueKind);
        }
        finally
        {
            await PostAsync(node, "clear-memory");
        }
    });

    [LabFact]
    public Task AllNodes_PredictFailureAtOnce_OneEmptiesItselfAndTheOthersAskAPerson() => rack.RunAsync(async scene =>
    {
        Dictionary<Node, Guest> guests = [];
        foreach (Node node in rack.Nodes)
            guests[node] = await scene.RunAsync(node);
        await Task.WhenAll(rack.Nodes.Select(node => ListenAsync(node, "evacuate")));
        try
        {
            await Task.WhenAll(rack.Nodes.Select(node => PostAsync(node, "predicted-memory")));
            JsonElement[] statuses = await Task.WhenAll(rack.Nodes.Select(node => node.StatusUntilAsync(
                status => Asks(status) is not null || HasEnded(status), "it neither emptied itself nor asked a person")));

            Node emptied = Assert.Single(rack.Nodes.Zip(statuses), pair => HasEnded(pair.Second)).First;
            foreach ((Node node, JsonElement status) in rack.Nodes.Zip(statuses).Where(pair => pair.First != emptied))
            {
                Assert.Contains("fleet-share", Asks(status), StringComparison.Ordinal);
                Assert.Contains("a person has to decide", (await node.EvacuatorAsync("status")).Output, StringComparison.Ordinal);
                await scene.AssertOnlyOnAsync(guests[node], node);
            }

            // The others are no place for its container either, as long as they predict their own failure: it may have stayed, and runs.
            await guests[emptied].Client.AssertAliveAsync();
        }
        finally
        {
            await Task.WhenAll(rack.Nodes.Select(node => PostAsync(node, "clear-memory")));
        }
    });

    /// <summary>Configures a node and waits until it hears its BMC and finds it well.</summary>
    private static async Task ListenAsync(Node node, string setting)
    {
        await node.ConfigureAsync($"[evacuation]\non-critical-signal = {setting}\n[signals]\ncool-down = 0s\nsettle = 0s\n");
        await node.RestartAsync();
        await SignalsUntilAsync(node, report => Verdict(report) == "ok" && report.GetProperty("listening") is { ValueKind: JsonValueKind.Object } listening
            && listening.GetProperty("hearing").GetBoolean() && listening.GetProperty("mode").GetString() == "sse", "it never heard its BMC");
    }

    private async Task PostAsync(Node node, string name) => _ = (await rack.Lab.RunAsync("bmc", node.Name, "event", Event(name))).Text;

    private static string? Verdict(JsonElement report) => report.GetProperty("verdict").GetString();

    private static string? Asks(JsonElement status) => status.GetProperty("health").GetProperty("asksPerson").GetString();

    private static bool HasEnded(JsonElement status) => status.GetProperty("lastEvacuation") is { ValueKind: JsonValueKind.Object } last
        && last.GetProperty("trigger").GetString() == "signal" && last.GetProperty("state").GetString() is ("done" or "failed") && status.GetProperty("closed").ValueKind == JsonValueKind.Object;

    private static async Task<JsonElement> SignalsUntilAsync(Node node, Func<JsonElement, bool> wanted, string failure)
    {
        long start = Stopwatch.GetTimestamp();
        string last = "";
        do
        {
            Rack.LabResult result = await node.EvacuatorAsync("signals", "--json");
            last = result.Output + result.Error;
            if (result.ExitCode == 0 && Node.Parse(result.Output) is var report && wanted(report))
                return report;
            await Task.Delay(200);
        }
        while (Stopwatch.GetElapsedTime(start) < Node.Patience);
        Assert.Fail($"{node}: {failure}: {last}");
        return default;
    }
}
