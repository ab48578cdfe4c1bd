using System.Globalization;
using Evacuator.Api;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Placement;

namespace Evacuator.Cli;

/// <summary>Shows an evacuation while it happens: a line for each change, so that it reads well on a terminal and in a log.</summary>
internal static class Follow
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(500);

    /// <summary>Turns without news after which those under way are shown all the same: 5 s.</summary>
    private const int QuietTurns = 10;

    /// <returns>an exit code that says how the evacuation ended</returns>
    public static async Task<int> RunAsync(BrainClient client, Guid id, VerbContext context, bool asJson, TimeProvider time, CancellationToken token)
    {
        EvacuationReport? before = null;
        int quiet = 0;
        while (true)
        {
            EvacuationReport report;
            try
            {
                report = await client.GetAsync<EvacuationReport>($"{ApiRoutes.Evacuations}/{id:D}", token).ConfigureAwait(false);
            }
            catch (CliException e) when (e.ExitCode == CliExit.Unavailable && before is { State: EvacuationPhase.PoweringOff, Power.Witness: { } witness })
            {
                context.Error.WriteLine($"evacuator: {before.Node} is proven empty and goes down. {witness} watches its BMC: \"evacuator report {id:D}\" there tells when it is off");
                return CliExit.GoingDown;
            }
            catch (CliException e) when (e.ExitCode == CliExit.Unavailable && before is not null)
            {
                throw new CliException(e.ExitCode, $"{e.Message} The evacuation continues when the service runs again.", e);
            }
            catch (OperationCanceledException)
            {
                context.Error.WriteLine("evacuator: the evacuation goes on; \"evacuator status\" shows it, \"evacuator cancel\" stops it");
                return CliExit.Refused;
            }

            if (report.State.IsEnd())
            {
                if (asJson)
                    context.WriteJson(report);
                else
                    Show.Report(report, context.Out);
                return ExitCodeOf(report.State);
            }

            if (!asJson)
            {
                List<string> lines = Changes(before, report);
                quiet = lines.Count > 0 ? 0 : quiet + 1;
                if (quiet >= QuietTurns)
                {
                    quiet = 0;
                    lines = UnderWay(report);
                }

                string now = time.GetUtcNow().UtcDateTime.ToString("HH:mm:ss", CultureInfo.InvariantCulture);
                foreach (string line in lines)
                    context.Out.WriteLine($"{now}  {line}");
            }

            before = report;
            try
            {
                await Task.Delay(Poll, time, token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                // Said at the next turn, in one place.
            }
        }
    }

    public static int ExitCodeOf(EvacuationPhase end) => end switch
    {
        EvacuationPhase.Done => CliExit.Ok,
        EvacuationPhase.Cancelled => CliExit.Cancelled,
        _ => CliExit.Failed,
    };

    /// <summary>What is different from the report before, a line each.</summary>
    internal static List<string> Changes(EvacuationReport? before, EvacuationReport now)
    {
        List<string> lines = [];
        if (before is null || before.State != now.State)
            lines.Add(now.Summary);
        if (now.Waiting is { } waiting && waiting.For != before?.Waiting?.For)
            lines.Add(Show.Wait(waiting));
        foreach (ContainerMove move in now.Containers)
        {
            ContainerMove? earlier = before?.Containers.FirstOrDefault(candidate => candidate.Name == move.Name);
            if (earlier is null || earlier.State != move.State || earlier.Step != move.Step || earlier.To != move.To)
                lines.Add(Line(move));
            else if (move.Waiting is { } wait && wait.For != earlier.Waiting?.For)
                lines.Add($"{move.Name}: {Show.Wait(wait)}");
        }

        return lines;
    }

    private static List<string> UnderWay(EvacuationReport report) =>
        [.. report.Containers.Where(move => move.State == MovePhase.Moving).Select(Line), .. report.Waiting is { } waiting ? [Show.Wait(waiting)] : Array.Empty<string>()];

    private static string Line(ContainerMove move)
    {
        string line = $"{move.Name}: {Show.State(move)}{(move.To is { } to ? $" → {to}" : "")}";
        if (move.BytesSent > 0)
            line += $", {Bytes.Text(move.BytesSent)} sent";
        if (move.FreezeMs is { } ms)
            line += string.Create(CultureInfo.InvariantCulture, $", frozen {ms:0} ms");
        if (move.State.IsEnd() && move.State != MovePhase.Moved && move.Detail.Length > 0)
            line += $": {move.Detail}";
        return line;
    }
}
