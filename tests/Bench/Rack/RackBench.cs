using System.Globalization;
using System.Text.Json;

namespace Evacuator.Bench.Rack;

/// <summary>What is to be measured.</summary>
/// <param name="Only">names of cases; empty: all that --quick has or all there are</param>
/// <param name="Runs">moves of each container; the median counts</param>
/// <param name="Plain">whether plain runc is measured beside it</param>
internal sealed record RackBenchOptions(string ProjectRoot, string Rack, bool Quick, IReadOnlySet<string> Only, int Runs, bool Plain)
{
    public bool Wants(string name, bool quick) => Only.Count > 0 ? Only.Contains(name) : quick || !Quick;
}

/// <summary>
/// Measures the product on a rack of two nodes that is up: each case a fresh container on node1 with clients on the outside host, moved to
/// node2 by an evacuation; then another one, checkpointed and restored by plain runc. A case that fails is named, and the rest goes on.
/// </summary>
internal sealed class RackBench(RackBenchOptions options, BenchResults results)
{
    private readonly LabDriver _lab = new(options.ProjectRoot, options.Rack);
    private int _started;

    public async Task RunAsync(CancellationToken cancel)
    {
        Containers containers = new(_lab);
        foreach (BenchCase item in BenchCase.All.Where(item => options.Wants(item.Name, item.Quick)))
        {
            List<PauseSample> engine = [];
            for (int run = 0; run < options.Runs; run++)
                await TryAsync($"{item.Name} (engine)", async () => engine.Add(await MoveAsync(containers, item, cancel)));
            PauseSample? plain = null;
            if (options.Plain)
                await TryAsync($"{item.Name} (plain)", async () => plain = await CheckpointAsync(containers, item, cancel));
            if (engine.Count > 0 || plain is not null)
                results.AddPauses(item, engine, plain);
        }
        if (options.Wants("parallel", quick: false))
            await TryAsync("parallel", () => ParallelCase.RunAsync(_lab, containers, results, cancel));
        foreach (int rate in (int[])[20, 100])
            if (options.Wants("overhead", quick: false))
                await TryAsync($"overhead at {rate} MiB/s", async () => results.Add("overhead_pct", $"rate{rate}", (await MemoryBench.MeasureAsync(512, rate))["overhead_pct"]));
        if (options.Wants("wire", quick: true))
            await TryAsync("wire", async () => AddAll("wire", await EngineBench.WireAsync()));
        if (options.Wants("fill", quick: true))
            await TryAsync("fill", async () => AddAll("fill", await EngineBench.FillAsync()));
    }

    private void AddAll(string group, IReadOnlyDictionary<string, double> values)
    {
        foreach ((string name, double value) in values)
            results.Add(group, name, value);
    }

    private async Task<PauseSample> MoveAsync(Containers containers, BenchCase item, CancellationToken cancel)
    {
        string name = $"b{++_started}";
        Say($"{item.Name}: moving {item.Title}");
        try
        {
            await containers.ForgetPeaksAsync(cancel);
            await using Watched watched = await WatchAsync(containers, name, item, cancel);
            DateTimeOffset began = DateTimeOffset.UtcNow;
            JsonElement report = await containers.EvacuateAsync(cancel);
            DateTimeOffset ended = DateTimeOffset.UtcNow;
            JsonElement move = report.GetProperty("containers").EnumerateArray().Single(c => c.GetProperty("name").GetString() == name);
            await Task.Delay(TimeSpan.FromSeconds(2), cancel);
            (double source, double destination) = (await containers.PeakAsync(source: true, cancel), await containers.PeakAsync(source: false, cancel));
            PauseSample sample = await watched.EndAsync(
                move.GetProperty("freezeMs").GetDouble(),
                move.GetProperty("freezeParts").EnumerateObject().ToDictionary(part => part.Name, part => part.Value.GetDouble()), began, cancel);
            results.AddPeak(item, source, destination);
            Say(string.Create(CultureInfo.InvariantCulture,
                $"{item.Name}: stood still {sample.FreezeMs:0} ms, its client waited {sample.ClientMs:0} ms, moved in {(ended - began).TotalSeconds:0.0} s, agents {source:0} and {destination:0} MB"));
            return sample;
        }
        finally
        {
            await containers.ClearAsync([name]);
        }
    }

    private async Task<PauseSample> CheckpointAsync(Containers containers, BenchCase item, CancellationToken cancel)
    {
        string name = $"b{++_started}";
        Say($"{item.Name}: plain runc with {item.Title}");
        try
        {
            await using Watched watched = await WatchAsync(containers, name, item, cancel);
            DateTimeOffset began = DateTimeOffset.UtcNow;
            await containers.CheckpointAsync(name, cancel);
            await Task.Delay(TimeSpan.FromSeconds(2), cancel);
            PauseSample sample = await watched.EndAsync(null, new Dictionary<string, double>(), began, cancel);
            Say(string.Create(CultureInfo.InvariantCulture, $"{item.Name}: plain runc stood still {sample.FreezeMs:0} ms, its client waited {sample.ClientMs:0} ms"));
            return sample;
        }
        finally
        {
            await containers.ClearAsync([name]);
        }
    }

    private async Task<Watched> WatchAsync(Containers containers, string name, BenchCase item, CancellationToken cancel)
    {
        string address = await containers.StartAsync(name, item.Workload, item.Arguments, cancel);
        OutsideClient? writer = null;
        if (item.LoadMib > 0)
        {
            writer = OutsideClient.Start(_lab, "redis-load", address, "--interval-ms", "0", "--rates", "--mib", item.LoadMib.ToString(CultureInfo.InvariantCulture));
            try
            {
                await writer.ReadyAsync(cancel);
            }
            catch
            {
                await writer.DisposeAsync();
                throw;
            }
        }
        OutsideClient client = OutsideClient.Start(_lab, "memory", $"{address}:7002");
        await Task.Delay(TimeSpan.FromSeconds(item.LoadMib > 0 ? 5 : 2), cancel);
        return new Watched(client, writer);
    }

    private async Task TryAsync(string what, Func<Task> run)
    {
        try
        {
            await run();
        }
        catch (Exception e) when (e is BenchException or JsonException or KeyNotFoundException or TimeoutException or InvalidOperationException or IOException)
        {
            Say($"{what} FAILED: {e.Message}");
            results.AddFailure(what, e.Message);
        }
        results.Save();
    }

    private static void Say(string text) => Console.Error.WriteLine($"bench: {text}");
}

/// <summary>A running container's clients. Owns them.</summary>
internal sealed class Watched(OutsideClient client, OutsideClient? writer) : IAsyncDisposable
{
    /// <exception cref="BenchException">a client saw something wrong: a figure of a broken container is none</exception>
    public async Task<PauseSample> EndAsync(double? reportedMs, IReadOnlyDictionary<string, double> parts, DateTimeOffset moveBegan, CancellationToken cancel)
    {
        ClientReport seen = await client.EndAsync(cancel);
        ClientReport? written = writer is null ? null : await writer.EndAsync(cancel);
        if ((seen.Fault ?? written?.Fault) is { } fault)
            throw new BenchException($"the outside client saw {fault}");
        return new PauseSample(seen.WorkloadPauseMs, (written ?? seen).LongestPauseMs, reportedMs, parts)
        {
            Rate = written is not null && reportedMs is not null ? Rates(written.Json, moveBegan) : null,
        };
    }

    public async ValueTask DisposeAsync()
    {
        await client.DisposeAsync();
        if (writer is not null)
            await writer.DisposeAsync();
    }

    /// <summary>Before: up to the evacuation's start. During: from there to the tenth with the fewest answers, which is the freeze.</summary>
    private static (double Before, double During)? Rates(JsonElement json, DateTimeOffset moveBegan)
    {
        double began = json.GetProperty("began_ms").GetDouble();
        int[] tenths = [.. json.GetProperty("tenths").EnumerateArray().Select(tenth => tenth.GetInt32())];
        int start = (int)((moveBegan.ToUnixTimeMilliseconds() - began) / 100);
        if (start < 20 || start + 2 >= tenths.Length)
            return null;
        int freeze = start + Array.IndexOf(tenths[start..], tenths[start..].Min());
        // The first second has connections being made, the tenth before the freeze may hold some of it.
        return freeze - 1 <= start ? null : (tenths[10..start].Average() * 10, tenths[start..(freeze - 1)].Average() * 10);
    }
}
