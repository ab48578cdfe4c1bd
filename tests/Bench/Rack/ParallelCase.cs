using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Evacuator.Bench.Rack;

/// <summary>Eight containers of a host that move in one evacuation, against one of them alone.</summary>
internal static class ParallelCase
{
    private const int Count = 8;
    private static readonly string[] Arguments = ["128", "5"];

    public static async Task RunAsync(LabDriver lab, Containers containers, BenchResults results, CancellationToken cancel)
    {
        (double alone, _) = await MoveAsync(lab, containers, ["p0"], cancel);
        (double together, double seconds) = await MoveAsync(lab, containers, [.. Enumerable.Range(1, Count).Select(i => $"p{i}")], cancel);
        results.AddParallel(Count, together, alone, seconds);
        Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"bench: parallel: longest of {Count} stood still {together:0} ms, one alone {alone:0} ms; all moved in {seconds:0.0} s"));
    }

    private static async Task<(double LongestMs, double Seconds)> MoveAsync(LabDriver lab, Containers containers, string[] names, CancellationToken cancel)
    {
        List<OutsideClient> clients = [];
        try
        {
            foreach (string name in names)
                clients.Add(OutsideClient.Start(lab, "memory", await containers.StartAsync(name, "memory", Arguments, cancel)));
            await Task.Delay(TimeSpan.FromSeconds(2), cancel);
            long start = Stopwatch.GetTimestamp();
            JsonElement report = await containers.EvacuateAsync(cancel);
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            if (report.GetProperty("containers").GetArrayLength() != names.Length)
                throw new BenchException($"the report has {report.GetProperty("containers").GetArrayLength()} containers instead of {names.Length}");
            await Task.Delay(TimeSpan.FromSeconds(2), cancel);
            double longest = 0;
            foreach (OutsideClient client in clients)
            {
                ClientReport seen = await client.EndAsync(cancel);
                if (seen.Fault is { } fault)
                    throw new BenchException($"an outside client saw {fault}");
                longest = Math.Max(longest, seen.WorkloadPauseMs);
            }
            return (longest, seconds);
        }
        finally
        {
            foreach (OutsideClient client in clients)
                await client.DisposeAsync();
            await containers.ClearAsync(names);
        }
    }
}
