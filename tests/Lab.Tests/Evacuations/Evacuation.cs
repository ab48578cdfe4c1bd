using System.Diagnostics;
using System.Text.Json;
using Evacuator.Lab.Tests.Rack;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>An evacuation under way, as its node tells of it.</summary>
internal sealed class Evacuation(Node node, Guid id)
{
    /// <summary>Between two looks.</summary>
    public static TimeSpan Pace { get; } = TimeSpan.FromMilliseconds(200);

    public Guid Id => id;

    /// <summary>The report as it is now; null while the service does not answer.</summary>
    public async Task<Report?> LookAsync()
    {
        LabResult result = await node.EvacuatorAsync("report", $"{id}", "--json");
        return result.ExitCode == 0 ? new Report(Node.Parse(result.Output)) : null;
    }

    /// <summary>Waits for the end, over restarts of the service.</summary>
    public Task<Report> EndAsync() => UntilAsync(report => report.State is "done" or "failed" or "cancelled", "did not end");

    public async Task<Report> UntilAsync(Func<Report, bool> wanted, string failure, TimeSpan? patience = null)
    {
        long start = Stopwatch.GetTimestamp();
        Report? last = null;
        do
        {
            if (await LookAsync() is { } report)
            {
                last = report;
                if (wanted(report))
                    return report;
            }

            await Task.Delay(Pace);
        }
        while (Stopwatch.GetElapsedTime(start) < (patience ?? Node.Patience));
        Assert.Fail($"the evacuation of {node} {failure}; its last report: {last}");
        return null!;
    }
}

/// <summary><c>evacuator report --json</c></summary>
internal sealed record Report(JsonElement Json)
{
    public string State => Json.GetProperty("state").GetString()!;

    public string Summary => Json.GetProperty("summary").GetString()!;

    public string Problem => Json.GetProperty("problem").GetString()!;

    public IEnumerable<string> Notes => Json.GetProperty("notes").EnumerateArray().Select(note => note.GetString()!);

    public IEnumerable<string> Containers => Json.GetProperty("containers").EnumerateArray().Select(move => move.GetProperty("name").GetString()!);

    public ContainerReport Of(string container)
    {
        JsonElement move = Json.GetProperty("containers").EnumerateArray().FirstOrDefault(move => move.GetProperty("name").GetString() == container);
        Assert.True(move.ValueKind == JsonValueKind.Object, $"the report does not name {container}: {this}");
        return new ContainerReport(move);
    }

    public override string ToString() => Json.GetRawText();
}

/// <summary>One container in a report.</summary>
internal sealed record ContainerReport(JsonElement Json)
{
    public string State => Json.GetProperty("state").GetString()!;

    public string? To => Text("to");

    public string Detail => Json.GetProperty("detail").GetString()!;

    public double? FreezeMs => Json.TryGetProperty("freezeMs", out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;

    /// <summary>Every reason that is given, with its code: "name-taken: node2 already has …".</summary>
    public IReadOnlyList<string> Reasons =>
    [
        .. Blockers(Json),
        .. Json.GetProperty("refusals").EnumerateArray().SelectMany(Blockers),
    ];

    public override string ToString() => Json.GetRawText();

    private static IEnumerable<string> Blockers(JsonElement owner) => owner.GetProperty("blockers").EnumerateArray()
        .Select(blocker => $"{blocker.GetProperty("code").GetString()}: {blocker.GetProperty("text").GetString()}");

    private string? Text(string name) => Json.TryGetProperty(name, out JsonElement value) ? value.GetString() : null;
}
