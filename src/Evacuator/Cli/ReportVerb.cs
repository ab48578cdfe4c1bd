using System.CommandLine;
using Evacuator.Api;
using Evacuator.Evacuation;

namespace Evacuator.Cli;

internal static class ReportVerb
{
    public static Command Create()
    {
        Argument<Guid?> id = new("ID")
        {
            Description = "Id of the evacuation; without it the newest of this node or that this node witnessed.",
            Arity = ArgumentArity.ZeroOrOne,
            CustomParser = CliOptions.ParseUuid,
        };
        Option<bool> json = CliOptions.Json();
        return Verb.Create("report", "Shows how an evacuation went: per container, proof of emptiness, power. A witness has the reports of nodes that are off.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            string which = context.Get(id) is { } known ? known.ToString("D") : "last";
            EvacuationReport report = await client.GetAsync<EvacuationReport>($"{ApiRoutes.Evacuations}/{which}", token).ConfigureAwait(false);
            if (context.Get(json))
                context.WriteJson(report);
            else
                Show.Report(report, context.Out);
            return CliExit.Ok;
        }, id, json);
    }
}
