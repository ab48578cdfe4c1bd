using System.Globalization;
using Evacuator.NodeAgent.Memory;

namespace Evacuator.Bench;

/// <summary>Follows a running process for some rounds and prints what each found and cost.</summary>
internal static class Rounds
{
    public static async Task<int> RunAsync(int pid, int count)
    {
        using ContainerTracker tracker = await ContainerTracker.AttachAsync(() => [pid], MemoryFeatures.Probe(), TimeProvider.System);
        foreach (ProcessTracking process in tracker.Processes)
            Console.WriteLine($"process {process.HostPid}: {process.WhyUntracked ?? "tracked"}, stopped {process.Stopped.TotalMicroseconds:0} us");
        for (int i = 0; i < count; i++)
        {
            await foreach (PageBatch batch in tracker.RoundAsync(CancellationToken.None))
                batch.Dispose();
            Console.WriteLine(Describe(tracker.LastRound!));
            await Task.Delay(200);
        }
        return 0;
    }

    public static string Describe(RoundStatistics round) => string.Create(CultureInfo.InvariantCulture,
        $"round {round.Number}: dirty {round.DirtyBytes / 1048576.0:0.0} MiB in {round.Regions} regions, data {round.DataBytes / 1048576.0:0.0}, zero {round.ZeroBytes / 1048576.0:0.0}, dropped {round.DroppedBytes / 1048576.0:0.0}, untracked {round.UntrackedBytes / 1048576.0:0.0}; scan {round.ScanTime.TotalMilliseconds:0.00} ms, read {round.ReadTime.TotalMilliseconds:0.00} ms, all {round.Duration.TotalMilliseconds:0.00} ms");
}
