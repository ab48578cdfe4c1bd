using System.Globalization;
using System.Text.Json;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>What evacuations told of the time that is left, against what it was.</summary>
internal sealed class TimeLeft
{
    /// <summary>Less than this is not worth a figure: the reports are looked at every 200 ms.</summary>
    private const double Least = 3;

    private readonly List<double> _offBy = [];

    /// <summary>How far the figures were off, as a part of what was left, in order.</summary>
    public IReadOnlyList<double> OffBy => [.. _offBy.Order()];

    public double Median => OffBy[_offBy.Count / 2];

    public override string ToString() => _offBy.Count == 0 ? "time left: no figure"
        : string.Create(CultureInfo.InvariantCulture, $"time left: {_offBy.Count} figures, off by {Median * 100:0} % of what was left in the median, {OffBy[_offBy.Count * 9 / 10] * 100:0} % in nine of ten");

    /// <summary>Follows an evacuation to its end. Figures count from when a quarter of the containers has moved.</summary>
    public async Task<Report> FollowAsync(Evacuation evacuation)
    {
        List<(DateTimeOffset At, double Told)> figures = [];
        Report report = await evacuation.UntilAsync(now =>
        {
            JsonElement[] moves = [.. now.Json.GetProperty("containers").EnumerateArray()];
            if (now.Json.TryGetProperty("etaSeconds", out JsonElement eta) && eta.ValueKind == JsonValueKind.Number
                && moves.Count(move => move.GetProperty("state").GetString() == "moved") * 4 >= moves.Length)
                figures.Add((DateTimeOffset.UtcNow, eta.GetDouble()));
            return now.State is "done" or "failed" or "cancelled";
        }, "did not end", TimeSpan.FromMinutes(6));
        Assert.True(report.State == "done", $"not done: {report}");
        DateTimeOffset end = report.Json.GetProperty("containers").EnumerateArray().Max(move => move.GetProperty("ended").GetDateTimeOffset());
        foreach ((DateTimeOffset at, double told) in figures)
            if ((end - at).TotalSeconds is var left && left > Least)
                _offBy.Add(Math.Abs(told - left) / left);
        return report;
    }
}
