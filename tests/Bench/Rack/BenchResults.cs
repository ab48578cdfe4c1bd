using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Evacuator.Bench.Rack;

/// <summary>
/// Everything measured so far, as it is written to bench.json: the keys that others rely on, and the samples behind them.
/// </summary>
/// <remarks>
/// <code>
/// freeze_ms.CASE.{engine,plain}         median of the container's own longest pause
/// client_pause_ms.CASE, client_pause_plain_ms.CASE
/// redis.{rate_before,rate_during,rate_pct}
/// overhead_pct.CASE   wire.{engine_mb_s,sslstream_mb_s}   fill.{mb_s,fault_p50_us,fault_p99_us}
/// rss_mb.{source,destination}           peaks while the largest container moved
/// parallel.{containers,max_freeze_ms,total_s,alone_freeze_ms}
/// samples.CASE[]                        each move with its parts     failed[]   what could not be measured, and why
/// </code>
/// </remarks>
internal sealed class BenchResults(string path)
{
    private readonly JsonObject _root = new()
    {
        ["machine"] = new JsonObject
        {
            ["processors"] = Environment.ProcessorCount,
            ["memory_gib"] = Math.Round(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (double)(1 << 30), 1),
            ["kernel"] = Environment.OSVersion.Version.ToString(),
        },
    };

    private readonly Dictionary<string, (double Bytes, double Source, double Destination)> _peaks = [];

    public JsonObject Root => _root;

    public bool HasFailures => _root["failed"] is JsonArray { Count: > 0 };

    public void AddPauses(BenchCase item, IReadOnlyList<PauseSample> engine, PauseSample? plain)
    {
        JsonObject freeze = Object(Object(_root, "freeze_ms"), item.Name);
        JsonArray samples = [.. engine.Select(sample => (JsonNode)Describe(sample))];
        if (engine.Count > 0)
        {
            freeze["engine"] = Median(engine.Select(sample => sample.FreezeMs));
            Object(_root, "client_pause_ms")[item.Name] = Median(engine.Select(sample => sample.ClientMs));
            Object(_root, "reported_freeze_ms")[item.Name] = Median(engine.Select(sample => sample.ReportedMs ?? double.NaN));
        }
        if (plain is not null)
        {
            freeze["plain"] = Round(plain.FreezeMs);
            Object(_root, "client_pause_plain_ms")[item.Name] = Round(plain.ClientMs);
        }
        (double Before, double During)[] rates = [.. engine.Where(sample => sample.Rate is not null).Select(sample => sample.Rate!.Value)];
        if (rates.Length > 0)
        {
            (double before, double during) = (Median(rates.Select(rate => rate.Before)), Median(rates.Select(rate => rate.During)));
            _root[item.Name] = new JsonObject { ["rate_before"] = before, ["rate_during"] = during, ["rate_pct"] = Round(during / before * 100) };
        }
        Object(_root, "samples")[item.Name] = samples;
    }

    /// <summary>Of the largest container only: that is where memory matters.</summary>
    public void AddPeak(BenchCase item, double source, double destination)
    {
        double size = item.Workload == "memory" ? double.Parse(item.Arguments[0], CultureInfo.InvariantCulture) : item.LoadMib;
        _peaks[item.Name] = (size, source, destination);
        (string of, (_, double mostSource, double mostDestination)) = _peaks.MaxBy(peak => peak.Value.Bytes);
        _root["rss_mb"] = new JsonObject { ["source"] = mostSource, ["destination"] = mostDestination, ["case"] = of };
    }

    public void AddParallel(int containers, double longestMs, double aloneMs, double seconds) => _root["parallel"] = new JsonObject
    {
        ["containers"] = containers, ["max_freeze_ms"] = Round(longestMs), ["alone_freeze_ms"] = Round(aloneMs), ["total_s"] = Round(seconds),
    };

    public void Add(string group, string name, double value) => Object(_root, group)[name] = Round(value);

    public void AddFailure(string what, string why)
    {
        if (_root["failed"] is not JsonArray failed)
            _root["failed"] = failed = [];
        failed.Add(new JsonObject { ["case"] = what, ["why"] = why });
    }

    /// <summary>After each case, so that an end by force loses nothing.</summary>
    public void Save()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path + ".new", _root.ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + "\n");
        File.Move(path + ".new", path, overwrite: true);
    }

    private static JsonObject Describe(PauseSample sample)
    {
        JsonObject described = new() { ["freeze_ms"] = Round(sample.FreezeMs), ["client_ms"] = Round(sample.ClientMs), ["reported_ms"] = sample.ReportedMs };
        JsonObject parts = [];
        foreach ((string part, double milliseconds) in sample.Parts)
            parts[part] = milliseconds;
        described["parts"] = parts;
        return described;
    }

    private static JsonObject Object(JsonObject owner, string name)
    {
        if (owner[name] is not JsonObject child)
            owner[name] = child = [];
        return child;
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return Round(sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2);
    }

    private static double Round(double value) => Math.Round(value, 1);
}
