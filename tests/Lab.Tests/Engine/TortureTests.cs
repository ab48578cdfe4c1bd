using System.Globalization;
using System.Text.Json;
using Evacuator.Lab.Tests.Evacuations;
using Evacuator.Lab.Tests.Rack;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Engine;

/// <summary>A program that does to its memory all that a program may do, moved to and fro; every page has to be what its model says.</summary>
[Collection(RackCollection.Name)]
public sealed class TortureTests(ProductRack rack)
{
    /// <summary>EVACUATOR_TORTURE_MOVES: how many; 200 take a quarter of an hour.</summary>
    private static readonly int s_moves = int.TryParse(Environment.GetEnvironmentVariable("EVACUATOR_TORTURE_MOVES"), CultureInfo.InvariantCulture, out int moves) ? moves : 8;

    [LabFact]
    public Task Memory_OfAProgramThatTorturesIt_IsWholeAfterEveryMove() => rack.RunAsync(async scene =>
    {
        (string name, string address) = await scene.RunWorkloadAsync(scene.Node1, "torture", "--arg", $"{Environment.TickCount64 % 100_000}");
        using AgentSocket one = new(scene.Node1, rack.Lab.Rack), two = new(scene.Node2, rack.Lab.Rack);
        for (int move = 1; move <= s_moves; move++)
        {
            (AgentSocket from, AgentSocket to) = move % 2 == 1 ? (one, two) : (two, one);
            // Whether the memory is whole is asked here; how long that takes on a crowded machine is not.
            await from.MoveAsync(name, to, freezeBudgetMs: 120_000);
            // Some moves follow upon each other while memory is still being filled in, others find a program that has changed everything since.
            JsonElement seen = JsonDocument.Parse((await rack.Lab.RunAsync("client", "memory", $"{address}:7002", "--seconds", move % 3 == 0 ? "1" : "0.05")).Output).RootElement;
            if (seen.GetProperty("bytes_bad").GetInt64() != 0 || seen.GetProperty("round_trips").GetInt64() == 0)
                Assert.Fail($"move {move}: {seen}; {await FaultAsync(address)}");
        }
    });

    private async Task<string> FaultAsync(string address) =>
        (await rack.Lab.RunAsync("probe", "client", "bash", "-c", "exec 3<>\"/dev/tcp/$1/7002\" && echo fault >&3 && head -1 <&3", "-", address)).Output;
}
