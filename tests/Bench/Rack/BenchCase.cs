namespace Evacuator.Bench.Rack;

/// <summary>A container whose pause is measured, moved by the engine and checkpointed by plain runc.</summary>
/// <param name="Name">its key in bench.json</param>
/// <param name="Quick">whether --quick has it too</param>
/// <param name="LoadMib">for redis: values written by the outside before anything is measured, then overwritten without a pause</param>
internal sealed record BenchCase(string Name, string Title, string Workload, IReadOnlyList<string> Arguments, bool Quick, int LoadMib = 0)
{
    public static IReadOnlyList<BenchCase> All { get; } =
    [
        new("64mib", "64 MiB, 20 MiB/s written", "memory", ["64", "20"], Quick: true),
        new("1gib", "1 GiB, 20 MiB/s written", "memory", ["1024", "20"], Quick: false),
        new("4gib", "4 GiB, 20 MiB/s written", "memory", ["4096", "20"], Quick: false),
        new("redis", "redis, 1 GiB, written all the time", "redis-load", [], Quick: false, LoadMib: 1024),
        new("processes50", "50 processes", "crowd", ["processes", "50"], Quick: true),
        new("threads200", "200 threads", "crowd", ["threads", "200"], Quick: true),
        new("vmas10000", "10,000 mappings", "crowd", ["mappings", "10000"], Quick: true),
    ];
}

/// <summary>One container, paused once.</summary>
/// <param name="FreezeMs">as the container itself felt it</param>
/// <param name="ClientMs">longest wait of a client that asks every 5 ms (redis: of the writer, which asks all the time)</param>
/// <param name="ReportedMs">what the product's own report says; null for plain runc</param>
/// <param name="Parts">of what the product reports</param>
internal sealed record PauseSample(double FreezeMs, double ClientMs, double? ReportedMs, IReadOnlyDictionary<string, double> Parts)
{
    /// <summary>Answers to the writer in a second, before and during the move; null without a writer.</summary>
    public (double Before, double During)? Rate { get; init; }
}
