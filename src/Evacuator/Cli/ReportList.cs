using System.Globalization;
using Evacuator.Api;
using Evacuator.Evacuation;
using Evacuator.Homecoming;
using Evacuator.Journal;

namespace Evacuator.Cli;

/// <summary>"evacuator report --list": the runs that this node knows, its own and those that it witnessed, newest first.</summary>
internal static class ReportList
{
    /// <summary>Of evacuations and homecomings together.</summary>
    private const int Most = 50;

    public static async Task WriteAsync(VerbContext context, bool json, CancellationToken token)
    {
        using BrainClient client = context.Connect();
        List<EvacuationReport> evacuations = await client.GetAsync<List<EvacuationReport>>($"{ApiRoutes.Evacuations}?limit={Most}", token).ConfigureAwait(false);
        List<HomecomingState> homecomings = await client.GetAsync<List<HomecomingState>>($"{ApiRoutes.Homecomings}?limit={Most}", token).ConfigureAwait(false);
        List<RunLine> runs = [.. evacuations.Select(Of).Concat(homecomings.Select(Of)).OrderByDescending(run => run.Started).Take(Most)];
        if (json)
        {
            context.WriteJson(runs);
            return;
        }

        if (runs.Count == 0)
        {
            context.Out.WriteLine("no evacuation and no homecoming so far");
            return;
        }

        TextTable table = new("BEGAN", "WHAT", "NODE", "ENDED AS", "CONTAINERS", "ID", "");
        foreach (RunLine run in runs)
        {
            table.Add(Show.Time(run.Started), run.Kind, run.Node, run.Ended is null ? $"{run.State} (under way)" : run.State,
                string.Create(CultureInfo.InvariantCulture, $"{run.Moved} of {run.Containers}"), run.Id.ToString("D"), run.Reason);
        }

        table.WriteTo(context.Out);
        context.Out.WriteLine("\n\"evacuator report ID\" shows all of one");
    }

    private static RunLine Of(EvacuationReport report) => new(report.Id, "evacuation", report.Node, report.Started, report.Ended, Words.Of(report.State), report.Containers.Count,
        report.Containers.Count(move => move.State == MovePhase.Moved), report.Reason);

    private static RunLine Of(HomecomingState state)
    {
        HomecomingStep[] coming = [.. state.Steps.Where(step => step.Plan.Kind == HomecomingStepKind.BringHome)];
        return new RunLine(state.Id, "homecoming", state.Node, state.Started, state.Ended, Words.Of(state.Phase), coming.Length + state.Staying.Count(staying => staying.At.Length > 0),
            coming.Count(step => step.Phase == HomecomingStepPhase.Done), $"asked by {state.RequestedBy}");
    }

    /// <param name="Kind">evacuation or homecoming</param>
    /// <param name="Containers">that were to move or to come home</param>
    /// <param name="Moved">of these, those that did</param>
    internal sealed record RunLine(Guid Id, string Kind, string Node, DateTimeOffset Started, DateTimeOffset? Ended, string State, int Containers, int Moved, string Reason);
}
