using System.Globalization;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Placement;

namespace Evacuator.Cli;

/// <summary>The lines that "--wait" writes: one for each thing that changed, none twice, and a sign of life when nothing changes for long.</summary>
internal sealed class FollowLines(TimeSpan quiet, TimeProvider time)
{
    // By what they speak of ("" for the run itself): the last line, so that it is not said again.
    private readonly Dictionary<string, string> _said = [];
    private long _lastLine = time.GetTimestamp();

    public IReadOnlyList<string> Of(EvacuationReport? before, EvacuationReport now)
    {
        List<(string About, string Text)> news = Changes(before, now);
        if (news.Count == 0 && time.GetElapsedTime(_lastLine) >= quiet)
        {
            news = UnderWay(now);
            // Nothing of it is new: one line says that it goes on, instead of all of them again.
            if (news.TrueForAll(line => _said.GetValueOrDefault(line.About) == line.Text))
                news = [("still", $"still {Words.Of(now.State)}{(news.Count > 0 ? $": {string.Join(", ", news.Select(line => line.About).Where(about => about.Length > 0))}".TrimEnd(':', ' ') : "")}")];
            _said.Remove("still");
        }

        string clock = time.GetUtcNow().UtcDateTime.ToString("HH:mm:ss'Z'", CultureInfo.InvariantCulture);
        List<string> lines = [];
        foreach ((string about, string text) in news)
        {
            if (_said.GetValueOrDefault(about) == text)
                continue;
            _said[about] = text;
            lines.Add($"{clock}  {text}");
        }

        if (lines.Count > 0)
            _lastLine = time.GetTimestamp();
        return lines;
    }

    private static List<(string About, string Text)> Changes(EvacuationReport? before, EvacuationReport now)
    {
        List<(string, string)> lines = [];
        if (before is null || before.State != now.State)
            lines.Add(("", now.Summary));
        foreach (string note in now.Notes.Skip(before?.Notes.Count ?? 0))
            lines.Add(("note", $"note: {note}"));
        if (now.Waiting is { } waiting && waiting.For != before?.Waiting?.For)
            lines.Add(("wait", Show.Wait(waiting)));
        foreach (ContainerMove move in now.Containers)
        {
            ContainerMove? earlier = before?.Containers.FirstOrDefault(candidate => candidate.Name == move.Name);
            if (earlier is null || earlier.State != move.State || earlier.Step != move.Step || earlier.To != move.To)
                lines.Add((move.Name, Line(move)));
            else if (move.Waiting is { } wait && wait.For != earlier.Waiting?.For)
                lines.Add(($"{move.Name} waits", $"{move.Name}: {Show.Wait(wait)}"));
        }

        return lines;
    }

    private static List<(string About, string Text)> UnderWay(EvacuationReport report) =>
    [
        .. report.Containers.Where(move => move.State == MovePhase.Moving).Select(move => (move.Name, Line(move))),
        .. report.EtaSeconds is { } eta ? [("eta", $"about {Show.Seconds(eta)} more for the moves")] : Array.Empty<(string, string)>(),
        .. report.Waiting is { } waiting ? [("wait", Show.Wait(waiting))] : Array.Empty<(string, string)>(),
    ];

    private static string Line(ContainerMove move)
    {
        string line = $"{move.Name}: {Show.State(move)}{(move.To is { } to ? $" → {to}" : "")}";
        if (move.BytesSent > 0)
            line += $", {Bytes.Text(move.BytesSent)} sent{(move is { State: MovePhase.Moving, Size: > 0 } ? $" (it has about {Bytes.Text(move.Size)})" : "")}";
        if (move.Mode != Common.AgentApi.MoveMode.Live)
            line += ", stopped here to be started there";
        if (move.FreezeMs is { } ms)
            line += string.Create(CultureInfo.InvariantCulture, $", frozen {ms:0} ms");
        if (move.Fetch is { BytesLeft: > 0 } fetch)
            line += $", {Bytes.Text(fetch.BytesLeft)} of {Bytes.Text(fetch.Bytes)} to be fetched";
        if (move.State.IsEnd() && move.Detail.Length > 0)
            line += $": {move.Detail}";
        return line;
    }
}
