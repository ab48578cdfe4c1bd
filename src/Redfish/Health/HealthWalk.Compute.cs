using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Health;

// Memory and processors.
public sealed partial class HealthWalk
{
    private static readonly (string Name, SignalKind Kind, SignalSeverity Severity, bool Predicted)[] AlarmTrips =
    [
        // A trip means that the threshold was passed, not that one error happened.
        ("CorrectableECCError", SignalKind.CorrectableErrorThreshold, SignalSeverity.Warning, true),
        ("UncorrectableECCError", SignalKind.UncorrectableError, SignalSeverity.Critical, false),
        ("AddressParityError", SignalKind.UncorrectableError, SignalSeverity.Critical, false),
        ("SpareBlock", SignalKind.MediaWear, SignalSeverity.Warning, true),
        ("Temperature", SignalKind.OverTemperature, SignalSeverity.Warning, false),
    ];

    private async Task MemoryAsync(RedfishResource system)
    {
        foreach (RedfishResource memory in await MembersAsync(HealthArea.Memory, system, "Memory"))
            await MemoryModuleAsync(memory);
        if (system.Child("MemorySummary") is { } summary)
            _findings.Rollup(HealthArea.Memory, summary);
    }

    private async Task MemoryModuleAsync(RedfishResource memory)
    {
        Part part = _findings.Observe(HealthArea.Memory, ComponentKind.Memory, memory, out bool isNew);
        if (!isNew)
            return;
        // An empty socket on services that do not say Absent.
        if (memory.Number("CapacityMiB") == 0 && part.Location.SerialNumber is null)
            part.Presence = Presence.NotCounted;
        Status(part, memory);
        HpeMemory(part, memory);
        NvidiaMemory(part, memory);
        if (part.Presence != Presence.NotCounted)
            await MemoryMetricsAsync(part, memory);
    }

    // High-bandwidth memory of a GPU: a row that could not be remapped is lost, one that waits for a reset is the forerunner.
    private static void NvidiaMemory(Part part, RedfishResource memory)
    {
        if (memory.Flag("Oem", "Nvidia", "RowRemappingFailed") == true)
            part.Raise(SignalKind.UncorrectableError, SignalSeverity.Critical, "RowRemappingFailed", isExplicit: true);
        if (memory.Flag("Oem", "Nvidia", "RowRemappingPending") == true)
            part.Raise(SignalKind.CorrectableErrorThreshold, SignalSeverity.Warning, "RowRemappingPending", predicted: true, isExplicit: true);
    }

    private async Task MemoryMetricsAsync(Part part, RedfishResource memory)
    {
        if (await FollowAsync(HealthArea.Memory, memory, "Metrics") is not { } metrics)
            return;
        foreach ((string name, SignalKind kind, SignalSeverity severity, bool predicted) in AlarmTrips)
            if (metrics.Flag("HealthData", "AlarmTrips", name) == true)
                part.Raise(kind, severity, $"alarm trip {name}", predicted, isExplicit: true, metrics.Uri);
        if (metrics.Flag("HealthData", "DataLossDetected") == true)
            part.Raise(SignalKind.DataLoss, SignalSeverity.Critical, "DataLossDetected", isExplicit: true, evidence: metrics.Uri);
        if (metrics.Flag("HealthData", "PerformanceDegraded") == true)
            part.Raise(SignalKind.Degraded, SignalSeverity.Warning, "PerformanceDegraded", isExplicit: true, evidence: metrics.Uri);
        if (IsPersistent(memory))
        {
            Wear(part, "PredictedMediaLifeLeftPercent", metrics.Number("HealthData", "PredictedMediaLifeLeftPercent"), metrics.Uri);
            Wear(part, "RemainingSpareBlockPercentage", metrics.Number("HealthData", "RemainingSpareBlockPercentage"), metrics.Uri);
        }
        // Counts since the last reset come before those of a lifetime, which a used module brings along; either way only growth counts.
        foreach (string period in (string[])["LifeTime", "CurrentPeriod"])
        {
            Count(part, metrics, period, "CorrectableECCErrorCount", uncorrectable: false);
            Count(part, metrics, period, "UncorrectableECCErrorCount", uncorrectable: true);
        }
    }

    private async Task ProcessorsAsync(RedfishResource system)
    {
        foreach (RedfishResource processor in await MembersAsync(HealthArea.Processors, system, "Processors"))
        {
            await ProcessorAsync(processor);
            // Dozens of cores say nothing new unless the sum over them does.
            if (SignalSeverities.Parse(processor.Text("Status", "HealthRollup")) >= SignalSeverity.Warning)
                foreach (RedfishResource core in await MembersAsync(HealthArea.Processors, processor, "SubProcessors"))
                    Leaf(HealthArea.Processors, ComponentKind.Processor, core);
        }
        if (system.Child("ProcessorSummary") is { } summary)
            _findings.Rollup(HealthArea.Processors, summary);
    }

    private async Task ProcessorAsync(RedfishResource processor)
    {
        ComponentKind kind = processor.Text("ProcessorType")?.ToUpperInvariant() is "GPU" or "FPGA" or "ACCELERATOR" or "DSP" or "OEM"
            ? ComponentKind.Accelerator
            : ComponentKind.Processor;
        Part part = _findings.Observe(HealthArea.Processors, kind, processor, out bool isNew);
        if (!isNew)
            return;
        Status(part, processor);
        if (part.Presence == Presence.NotCounted || await FollowAsync(HealthArea.Processors, processor, "Metrics") is not { } metrics)
            return;
        Count(part, metrics, "", "CorrectableCoreErrorCount", uncorrectable: false);
        Count(part, metrics, "", "CorrectableOtherErrorCount", uncorrectable: false);
        Count(part, metrics, "", "UncorrectableCoreErrorCount", uncorrectable: true);
        Count(part, metrics, "", "UncorrectableOtherErrorCount", uncorrectable: true);
        Count(part, metrics, "CacheMetricsTotal.LifeTime", "CorrectableECCErrorCount", uncorrectable: false);
        Count(part, metrics, "CacheMetricsTotal.LifeTime", "UncorrectableECCErrorCount", uncorrectable: true);
    }

    private void Count(Part part, RedfishResource metrics, string period, string name, bool uncorrectable)
    {
        string[] path = [.. period.Split('.', StringSplitOptions.RemoveEmptyEntries), name];
        if (metrics.Number(path) is { } value and >= 0)
            _findings.Counter(part, string.Join('.', path), uncorrectable, value, metrics.Uri);
    }

    private static bool IsPersistent(RedfishResource memory)
    {
        string kind = $"{memory.Text("MemoryType")} {memory.Text("MemoryDeviceType")} {string.Join(' ', memory.Texts("MemoryMedia"))}";
        return kind.Contains("NVDIMM", StringComparison.OrdinalIgnoreCase) || kind.Contains("Optane", StringComparison.OrdinalIgnoreCase)
            || kind.Contains("3DXPoint", StringComparison.OrdinalIgnoreCase) || kind.Contains("NAND", StringComparison.OrdinalIgnoreCase);
    }

    // Zero is what uncertified and spinning disks report, as are 255 and negative numbers: believed only where the part itself is unwell.
    private void Wear(Part part, string property, double? percent, string evidence)
    {
        if (percent is not { } left || left < 0 || left > _options.MediaLifeWarningPercent)
            return;
        if (left == 0 && !part.SaysSomethingBad)
        {
            _findings.Warn($"{evidence}: {property} is 0 on {part.Name}, which says it is well: not counted");
            return;
        }
        SignalSeverity severity = left <= _options.MediaLifeCriticalPercent ? SignalSeverity.Critical : SignalSeverity.Warning;
        part.Raise(SignalKind.MediaWear, severity, $"{property} is {left:0.#}", predicted: true, evidence: evidence);
    }
}
