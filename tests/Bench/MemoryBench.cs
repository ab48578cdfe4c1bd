using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Evacuator.NodeAgent.Memory;

namespace Evacuator.Bench;

/// <summary>
/// Tracks a program that writes at a steady rate and prints one JSON object: what attaching, scanning and reading cost, and what the program lost.
/// Durations are medians; figures per GiB are of the program's own memory.
/// </summary>
internal static class MemoryBench
{
    private const double Gib = 1 << 30;
    private const int Rounds = 10;

    public static async Task<int> RunAsync(int mebibytes, int rate)
    {
        Console.WriteLine(JsonSerializer.Serialize(await MeasureAsync(mebibytes, rate)));
        return 0;
    }

    public static async Task<IReadOnlyDictionary<string, double>> MeasureAsync(int mebibytes, int rate)
    {
        using HelperProgram writer = await HelperProgram.StartAsync("writer", $"{mebibytes}", $"{rate}");
        StreamReader output = writer.Output;
        int pid = writer.Pid;
        double before = Median(await WritesAsync(output, 4));
        using ContainerTracker tracker = await ContainerTracker.AttachAsync(() => [pid], MemoryFeatures.Probe(), TimeProvider.System);
        ProcessTracking tracking = tracker.Processes[0];
        if (tracking.WhyUntracked is not null)
            throw new InvalidOperationException($"not tracked: {tracking.WhyUntracked}");
        RoundStatistics copy = await RoundAsync(tracker);
        Task<List<double>> writes = WritesAsync(output, 6);
        List<RoundStatistics> rounds = [];
        for (int i = 0; i < Rounds; i++)
        {
            await Task.Delay(250);
            rounds.Add(await RoundAsync(tracker));
        }
        double during = Median(await writes);
        double size = copy.TrackedBytes / Gib;
        return new Dictionary<string, double>
        {
            ["memory_mib"] = mebibytes,
            ["rate_mib_s"] = rate,
            ["stop_us"] = Math.Round(tracking.Stopped.TotalMicroseconds),
            ["arm_ms_per_gib"] = Round(copy.ScanTime.TotalMilliseconds / size),
            ["rescan_ms_per_gib"] = Round(Median([.. rounds.Select(round => round.ScanTime.TotalMilliseconds)]) / size),
            ["read_mb_s"] = Round(copy.DataBytes / 1e6 / copy.ReadTime.TotalSeconds),
            ["dirty_mib_per_round"] = Round(Median([.. rounds.Select(round => round.DirtyBytes / 1048576.0)])),
            ["write_ns_before"] = Round(before),
            ["write_ns_during"] = Round(during),
            // The share of one processor that the program loses to faults at its own rate.
            ["overhead_pct"] = Round((during - before) * rate * 256 / 1e9 * 100),
            ["tracker_rss_mib"] = Round(Process.GetCurrentProcess().WorkingSet64 / 1048576.0),
        };
    }

    private static async Task<RoundStatistics> RoundAsync(ContainerTracker tracker)
    {
        await foreach (PageBatch batch in tracker.RoundAsync(CancellationToken.None))
            batch.Dispose();
        return tracker.LastRound!;
    }

    /// <summary>Lines of "write 23.4": nanoseconds.</summary>
    private static async Task<List<double>> WritesAsync(StreamReader output, int count)
    {
        List<double> writes = [];
        while (writes.Count < count && await output.ReadLineAsync() is { } line)
            if (line.StartsWith("write ", StringComparison.Ordinal))
                writes.Add(double.Parse(line.AsSpan(6), CultureInfo.InvariantCulture));
        return writes;
    }

    private static double Median(List<double> values)
    {
        values.Sort();
        return values.Count == 0 ? double.NaN : values[values.Count / 2];
    }

    private static double Round(double value) => double.IsFinite(value) ? Math.Round(value, 2) : -1;
}
