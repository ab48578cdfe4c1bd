using System.Security.Cryptography;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.Memory.Convergence;

namespace Evacuator.NodeAgent.Migration;

/// <summary>A move without the engine: all memory is written, sent and restored while the container stands still, and that is predicted, too.</summary>
internal sealed partial class SourceMove
{
    /// <summary>Enough to tell what the wire takes, and a fraction of a second on a slow one.</summary>
    private const int ProbeBytes = 8 << 20;

    /// <summary>What the images' way takes, measured; 0 with the engine, which measures its own.</summary>
    private double _imageBytesPerSecond;

    /// <summary>Sends something as images are sent, while the container runs. The next sending replaces it.</summary>
    private async Task ProbeAsync(CancellationToken cancel)
    {
        string probe = Path.Combine(_tools.Paths.Images(Id), "probe");
        await _tools.Bandwidth.TakeAsync(ProbeBytes, cancel);
        await File.WriteAllBytesAsync(probe, RandomNumberGenerator.GetBytes(ProbeBytes), cancel);
        try
        {
            long start = _tools.Time.GetTimestamp();
            await _peer.SendImagesAsync(_tools.Paths.Images(Id), cancel);
            _imageBytesPerSecond = ProbeBytes / Math.Max(_tools.Time.GetElapsedTime(start).TotalSeconds, 1e-6);
        }
        finally
        {
            File.Delete(probe);
        }
    }

    /// <exception cref="ContainerException">it would stand still for too long</exception>
    private async Task PredictPlainAsync(CancellationToken cancel)
    {
        // As it is now: it may have grown since the offer.
        ContainerDescription container = await _tools.Runtime.DescribeAsync(Name, cancel);
        FreezeShape shape = PlainShape(ProcessesOf(container), container.MemoryBytes, Math.Max(_imageBytesPerSecond, _tools.Wire.BytesPerSecond));
        TimeSpan budget = TimeSpan.FromMilliseconds(Record.Request.FreezeBudgetMs);
        _shape = shape;
        if (WhyNotPlain(_tools.Experience.WholeModel, shape, budget) is not { } why)
            return;
        _tools.Experience.Doubt(whole: true);
        _shape = null;
        throw new ContainerException(BlockerCode.None,
            $"{Name} is not frozen, because it would stand still for too long ({why}; the memory engine is not used: {Record.DumpReason}); it runs on. "
            + "A larger budget is given by the annotation evacuator.freeze-budget");
    }

    /// <returns>null if the freeze will fit its budget</returns>
    internal static string? WhyNotPlain(FreezeModel model, FreezeShape shape, TimeSpan budget)
    {
        TimeSpan predicted = model.Predict(shape);
        return predicted <= budget ? null : FormattableString.Invariant(
            $"predicted freeze {predicted.TotalMilliseconds:0} ms of {budget.TotalMilliseconds:0} ms: all of its {shape.UntrackedBytes >> 20} MiB of memory travel meanwhile, at {shape.BytesPerSecond / 1e6:0} MB/s");
    }

    private static FreezeShape PlainShape(IReadOnlyCollection<int> processes, long memory, double bytesPerSecond)
    {
        List<MemoryMapping> mappings = [];
        int threads = 0, lines = 0;
        foreach (int pid in processes)
        {
            threads += ProcessStatus.Read(pid)?.Threads ?? 0;
            MemoryMapping.ParseAll(Memory.ProcFiles.Read($"/proc/{pid}/maps"), mappings);
            lines += mappings.Count;
        }
        return new FreezeShape(processes.Count, threads, lines, TrackedBytes: 0, ResidualBytes: 0, UntrackedBytes: (ulong)memory, bytesPerSecond, Whole: true);
    }
}
