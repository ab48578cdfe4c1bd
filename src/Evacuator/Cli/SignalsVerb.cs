using System.CommandLine;
using Evacuator.Api;
using Evacuator.Evacuation;
using Evacuator.Health;

namespace Evacuator.Cli;

internal static class SignalsVerb
{
    public static Command Create()
    {
        Option<bool> json = CliOptions.Json();
        return Verb.Create("signals", "Shows what the hardware reports, what it means by which rule, since when, and what this node does about it.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            SignalsReport report = await client.GetAsync<SignalsReport>(ApiRoutes.Signals, token).ConfigureAwait(false);
            if (context.Get(json))
                context.WriteJson(report);
            else
                Write(report, context.Out);
            return CliExit.Ok;
        }, json);
    }

    internal static void Write(SignalsReport report, TextWriter output)
    {
        output.WriteLine($"verdict: {Words.Of(report.Verdict).ToUpperInvariant()} since {Show.Time(report.Since)}: {report.Why}");
        if (report.Does.Length > 0)
            output.WriteLine($"  this node: {report.Does}");
        output.WriteLine(report.KnownAt is { } at ? $"  everything that matters was read last at {Show.Time(at)}" : "  everything that matters was never read");
        if (report.Doubt is { } doubt)
            output.WriteLine($"  CANNOT TELL: {doubt}");
        if (report.Listening is { } listening)
        {
            string last = listening.LastEvent is { } heard ? $", the last at {Show.Time(heard)}" : "";
            output.WriteLine(listening.Hearing
                ? $"  events: heard by {listening.Mode} since {Show.Time(listening.Since)}{last} ({listening.Reason})"
                : $"  events: NOT HEARD since {Show.Time(listening.Since)}: {listening.Problem}");
        }

        foreach (SignalReport signal in report.Signals)
        {
            output.WriteLine();
            output.WriteLine($"{signal.Component} {signal.Name}: {signal.Kind}, {signal.Severity}{(signal.Predicted ? ", predicted" : "")} → {Words.Of(signal.Verdict).ToUpperInvariant()}");
            if (signal.Location.ToString() is { Length: > 0 } where)
                output.WriteLine($"  where: {where}");
            output.WriteLine($"  says: {signal.Text}{(signal.MessageId is { } id ? $" [{id}]" : "")}");
            output.WriteLine($"  since: {Show.Time(signal.FirstSeen)}, last {Show.Time(signal.LastSeen)}, by {Count(signal.Reads, "read")} and {Count(signal.Events, "event")}");
            output.WriteLine($"  why: {signal.Why} ({signal.RuleSource}){(signal.Empties ? "; this node is being emptied because of it" : signal.Settled ? "; dealt with: it does not empty this node again" : "")}");
            output.WriteLine($"  evidence: {signal.Evidence}");
        }

        foreach (GoneSignal gone in report.Gone)
            output.WriteLine($"\nnot shown any more since {Show.Time(gone.GoneSince)}: {gone.Text}");
        if (report.Warnings.Count > 0)
            output.WriteLine();
        foreach (string warning in report.Warnings)
            output.WriteLine($"odd: {warning}");
    }

    private static string Count(int count, string what) => count == 1 ? $"1 {what}" : $"{count} {what}s";
}
