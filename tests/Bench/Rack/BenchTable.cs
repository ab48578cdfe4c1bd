using System.Globalization;
using System.Text.Json.Nodes;

namespace Evacuator.Bench.Rack;

/// <summary>The results as a table for a terminal.</summary>
internal static class BenchTable
{
    public static void Print(JsonObject root, TextWriter output)
    {
        output.WriteLine();
        output.WriteLine($"{"",-36} {"stood still",22} {"",8} {"its client waited",22}");
        output.WriteLine($"{"container",-36} {"engine",10} {"plain runc",11} {"times",8} {"engine",10} {"plain runc",11}");
        foreach (BenchCase item in BenchCase.All)
        {
            double? engine = Number(root, "freeze_ms", item.Name, "engine"), plain = Number(root, "freeze_ms", item.Name, "plain");
            if (engine is null && plain is null)
                continue;
            double? times = plain / engine;
            output.WriteLine($"{item.Title,-36} {Ms(engine),10} {Ms(plain),11} {(times is null ? "" : $"{times:0.0}"),8} {Ms(Number(root, "client_pause_ms", item.Name)),10} {Ms(Number(root, "client_pause_plain_ms", item.Name)),11}");
        }
        output.WriteLine();
        Line(output, "redis, answers a second", root, "redis", ("before", "rate_before", ""), ("while it is copied", "rate_during", ""), ("kept", "rate_pct", "%"));
        Line(output, "8 containers at once", root, "parallel", ("longest", "max_freeze_ms", "ms"), ("one alone", "alone_freeze_ms", "ms"), ("all moved in", "total_s", "s"));
        Line(output, "writer's loss to tracking", root, "overhead_pct", ("at 20 MiB/s", "rate20", "%"), ("at 100 MiB/s", "rate100", "%"));
        Line(output, "memory over one connection", root, "wire", ("engine", "engine_mb_s", "MB/s"), ("SslStream alone", "sslstream_mb_s", "MB/s"));
        Line(output, "filling in", root, "fill", ("", "mb_s", "MB/s"), ("fault p50", "fault_p50_us", "us"), ("p99", "fault_p99_us", "us"));
        Line(output, "peak memory of the agents", root, "rss_mb", ("source", "source", "MB"), ("destination", "destination", "MB"));
        foreach (JsonNode? failure in root["failed"] as JsonArray ?? [])
            output.WriteLine($"FAILED {failure!["case"]}: {failure["why"]}");
    }

    private static void Line(TextWriter output, string title, JsonObject root, string group, params (string Label, string Key, string Unit)[] values)
    {
        string[] found = [.. values.Select(value => (value, number: Number(root, group, value.Key))).Where(item => item.number is not null)
            .Select(item => string.Create(CultureInfo.InvariantCulture, $"{item.value.Label} {item.number:0.##} {item.value.Unit}").Trim())];
        if (found.Length > 0)
            output.WriteLine($"{title,-36} {string.Join(", ", found)}");
    }

    internal static double? Number(JsonObject root, params string[] path)
    {
        JsonNode? node = root;
        foreach (string name in path)
            node = (node as JsonObject)?[name];
        return node is JsonValue value && value.TryGetValue(out double number) ? number : null;
    }

    private static string Ms(double? value) => value is null ? "" : string.Create(CultureInfo.InvariantCulture, $"{value:0} ms");
}
