using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace Evacuator.Bench.Rack;

/// <summary>One row of a chart: a name and a bar for each series; null for what was not measured.</summary>
internal sealed record ChartRow(string Label, IReadOnlyList<double?> Values);

/// <summary>The results as pictures: horizontal bars, drawn by hand so that nothing has to be installed.</summary>
internal static class BenchCharts
{
    private static readonly string[] Colours = ["#1f6feb", "#c9510c", "#6e7781"];

    public static void Write(JsonObject root, string directory)
    {
        ChartRow[] freezes = [.. BenchCase.All
            .Select(item => new ChartRow(item.Title, [BenchTable.Number(root, "freeze_ms", item.Name, "engine"), BenchTable.Number(root, "freeze_ms", item.Name, "plain")]))
            .Where(row => row.Values.Any(value => value is not null))];
        Save(directory, "bench-freeze.svg", "How long a container stands still", ["this engine", "plain runc checkpoint and restore"], freezes, "milliseconds", logarithmic: true);
        ChartRow[] clients = [.. BenchCase.All
            .Select(item => new ChartRow(item.Title, [BenchTable.Number(root, "client_pause_ms", item.Name), BenchTable.Number(root, "freeze_ms", item.Name, "engine")]))
            .Where(row => row.Values.All(value => value is not null))];
        Save(directory, "bench-client.svg", "What its TCP client waits, beside the stand-still itself", ["longest wait of the client", "stand-still"], clients, "milliseconds", logarithmic: false);
        string[] parts = ["freeze", "memory", "dump", "send", "ready", "restore"];
        BenchCase[] sizes = [.. BenchCase.All.Where(item => item.Workload == "memory" && Part(root, item.Name, "dump") is not null)];
        ChartRow[] anatomy = sizes.Length == 0 ? [] : [.. parts.Select(part => new ChartRow(part, [.. sizes.Select(item => Part(root, item.Name, part))]))];
        Save(directory, "bench-parts.svg", "Where the time of a stand-still goes", [.. sizes.Select(item => item.Title.Split(',')[0])], anatomy, "milliseconds", logarithmic: false);
    }

    /// <summary>Median over the moves of a case.</summary>
    private static double? Part(JsonObject root, string item, string part)
    {
        double[] values = [.. ((root["samples"] as JsonObject)?[item] as JsonArray ?? []).Select(sample => (double?)(sample?["parts"]?[part])).OfType<double>().Order()];
        return values.Length == 0 ? null : values[values.Length / 2];
    }

    private static void Save(string directory, string file, string title, IReadOnlyList<string> series, IReadOnlyList<ChartRow> rows, string unit, bool logarithmic)
    {
        if (rows.Count > 0)
            File.WriteAllText(Path.Combine(directory, file), Draw(title, series, rows, unit, logarithmic));
    }

    internal static string Draw(string title, IReadOnlyList<string> series, IReadOnlyList<ChartRow> rows, string unit, bool logarithmic)
    {
        const int width = 860, left = 250, right = 90, top = 84, bar = 14, gap = 16;
        int group = bar * series.Count + gap, plot = width - left - right, height = top + group * rows.Count + 46;
        double most = rows.SelectMany(row => row.Values).Max(value => value ?? 0);
        IReadOnlyList<double> ticks = logarithmic ? Decades(most) : Steps(most);
        double lowest = logarithmic ? ticks[0] : 0, highest = ticks[^1];
        double At(double value) => logarithmic
            ? Math.Max(0, Math.Log10(Math.Max(value, lowest) / lowest) / Math.Log10(highest / lowest)) * plot
            : value / highest * plot;

        StringBuilder svg = new();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n");
        svg.Append(CultureInfo.InvariantCulture, $"<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n<text x=\"20\" y=\"30\" font-size=\"18\" font-weight=\"bold\" fill=\"#1f2328\">{Escape(title)}</text>\n");
        double key = 20;
        for (int i = 0; i < series.Count; i++)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<rect x=\"{key:0}\" y=\"46\" width=\"12\" height=\"12\" fill=\"{Colours[i]}\"/><text x=\"{key + 18:0}\" y=\"57\" fill=\"#1f2328\">{Escape(series[i])}</text>\n");
            key += 46 + series[i].Length * 7;
        }
        foreach (double tick in ticks)
        {
            double x = left + At(tick);
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{x:0.#}\" y1=\"{top - 8}\" x2=\"{x:0.#}\" y2=\"{height - 34}\" stroke=\"#d0d7de\"/><text x=\"{x:0.#}\" y=\"{height - 16}\" text-anchor=\"middle\" fill=\"#59636e\">{Label(tick)}</text>\n");
        }
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{width - 20}\" y=\"57\" text-anchor=\"end\" fill=\"#59636e\">{unit}{(logarithmic ? ", logarithmic" : "")}</text>\n");
        for (int row = 0; row < rows.Count; row++)
        {
            int y = top + row * group;
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{left - 12}\" y=\"{y + bar * series.Count / 2 + 5}\" text-anchor=\"end\" fill=\"#1f2328\">{Escape(rows[row].Label)}</text>\n");
            for (int i = 0; i < series.Count; i++)
                if (rows[row].Values[i] is { } value)
                    svg.Append(CultureInfo.InvariantCulture, $"<rect x=\"{left}\" y=\"{y + i * bar}\" width=\"{Math.Max(1, At(value)):0.#}\" height=\"{bar - 2}\" fill=\"{Colours[i]}\"/><text x=\"{left + At(value) + 6:0.#}\" y=\"{y + i * bar + 10}\" font-size=\"11\" fill=\"#1f2328\">{Label(value)}</text>\n");
        }
        return svg.Append("</svg>\n").ToString();
    }

    // From 10 up to the decade that holds the largest.
    private static List<double> Decades(double most)
    {
        List<double> ticks = [10];
        while (ticks[^1] < most)
            ticks.Add(ticks[^1] * 10);
        if (ticks.Count == 1)
            ticks.Add(100);
        return ticks;
    }

    private static List<double> Steps(double most)
    {
        double raw = Math.Max(most, 1) / 5, power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        double step = new[] { 1, 2, 5, 10 }.First(factor => factor * power >= raw) * power;
        return [.. Enumerable.Range(0, (int)Math.Ceiling(most / step) + 1).Select(i => i * step)];
    }

    private static string Label(double value) => value.ToString(value < 10 && value != Math.Floor(value) ? "0.#" : "#,0", CultureInfo.InvariantCulture);

    private static string Escape(string text) => text.Replace("&", "&amp;").Replace("<", "&lt;");
}
