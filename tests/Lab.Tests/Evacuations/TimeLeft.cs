using System.Globalization;
using System.Text.Json;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>What evacuations told of the time that is left, against what it was.</summary>
internal sealed class TimeLeft
{
    /// <summary>Less than this is not worth a figure: the reports are looked at every 200 ms.</summary>
    private const double Least = 3;

    private readonly List<double[]> _evacuations = [];

    /// <summary>How far the figures were off, as a part of what was left, in order.</summary>
    public IReadOnlyList<double> OffBy => [.. _evacuations.SelectMany(offBy => offBy).Order()];

    /// <summary>
    /// Of the evacuations' medians. A machine that becomes busy or free in the middle of one spoils the figures of that one, and the longer it
    /// takes the more there are of them: each evacuation counts once.
    /// </summary>
    public double Median => Medians.Order().ElementAt(_evacuations.Count / 2);

    private IEnumerable<double> Medians => _evacuations.Select(offBy => offBy.Order().ElementAt(offBy.Length / 2));

    public override string ToString() => _evacuations.Count == 0 ? "time left: no figure"
        : string.Create(CultureInfo.InvariantCulture, $"time left: {OffBy.Count} figures in {_evacuations.Count} evacuations, off by {Median * 100:0} % of what was left in the median ({string.Join(", ", Medians.Select(median => $"{median * 100:0}"))} %), {OffBy[OffBy.Count * 9 / 10] * 100:0} % in nine of ten");

    /// <summary>Follows an evacuation to its end. Figures count from when a quarter of the containers has moved.</summary>
    public async Task<Report> FollowAsync(Evacuation evacuation)
    {
        List<(DateTimeOffset At, double Told)> figures = [];
        // A look takes a second on a busy machine, and the figure is of some moment in it.
        DateTimeOffset asked = DateTimeOffset.UtcNow;
        Report report = await evacuation.UntilAsync(now =>
        {
            DateTimeOffset at = asked + (DateTimeOffset.UtcNow - asked) / 2;
            asked = DateTimeOffset.UtcNow + Evacuation.Pace;
            JsonElement[] moves = [.. now.Json.GetProperty("containers").EnumerateArray()];
            if (now.Json.TryGetProperty("etaSeconds", out JsonElement eta) && eta.ValueKind == JsonValueKind.Number
                && moves.Count(move => move.GetProperty("state").GetString() == "moved") * 4 >= moves.Length)
                figures.Add((at, eta.GetDouble()));
            return now.State is "done" or "failed" or "cancelled";
        }, "did not end", TimeSpan.FromMinutes(6));
        Assert.True(report.State == "done", $"not done: {report}");
        DateTimeOffset end = report.Json.GetProperty("containers").EnumerateArray().Max(move => move.GetProperty("ended").GetDateTimeOffset());
        double[] offBy = [.. from figure in figures let left = (end - figure.At).TotalSeconds where left > Least select Math.Abs(figure.Told - left) / left];
        if (offBy.Length > 0)
            _evacuations.Add(offBy);
        return report;
    }
}
