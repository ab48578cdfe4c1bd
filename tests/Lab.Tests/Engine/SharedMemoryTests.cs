using System.Text.Json;
using System.Text.Json.Nodes;
using Evacuator.Lab.Tests.Evacuations;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Engine;

/// <summary>Memory that belongs to no process alone, of every kind and written in every way, moved to and fro while it is written; every page has to be what its model says.</summary>
[Collection(RackCollection.Name)]
public sealed class SharedMemoryTests(ProductRack rack)
{
    private const int MiB = 72;

    [LabFact]
    public Task Memory_SharedOfEveryKind_IsSentAheadAndWholeAfterEveryMove() => rack.RunAsync(async scene =>
    {
        (string name, string address) = await scene.RunWorkloadAsync(scene.Node1, "shared", "--arg", $"{MiB}", "--arg", "20");
        using AgentSocket one = new(scene.Node1, rack.Lab.Rack), two = new(scene.Node2, rack.Lab.Rack);
        for (int move = 1; move <= 4; move++)
        {
            (AgentSocket from, AgentSocket to) = move % 2 == 1 ? (one, two) : (two, one);
            Node there = move % 2 == 1 ? scene.Node2 : scene.Node1;
            JsonObject report = await from.MoveAsync(name, to, freezeBudgetMs: 120_000);
            JsonElement seen = JsonDocument.Parse((await rack.Lab.RunAsync("client", "memory", $"{address}:7002", "--seconds", "0.3")).Output).RootElement;
            Assert.True(seen.GetProperty("bytes_bad").GetInt64() == 0 && seen.GetProperty("round_trips").GetInt64() > 0, $"move {move}: {seen}; {report}");
            // Compared beside the dump, so it was not in it; and it went ahead, so it was sent.
            Assert.True(report["freezeParts"]!["shared"] is not null && (long)report["bytesSent"]! > MiB / 2 << 20, $"not sent ahead: {report}");
            // Given back once it runs there.
            Assert.Equal("0", (await there.ShAsync("find /run/evacuator-agent/moves -name 'pages-*' -size +1M | wc -l")).Trim());
        }
    });
}
