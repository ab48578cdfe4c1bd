using System.CommandLine;
using Evacuator.Api;

namespace Evacuator.Cli;

internal static class PlanVerb
{
    public static Command Create()
    {
        Option<bool> json = CliOptions.Json();
        return Verb.Create("plan", "Shows what an evacuation would do now, without doing anything. Exit code 1 if the host would not become empty.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            PlanReply reply = await client.GetAsync<PlanReply>(ApiRoutes.Plan, token).ConfigureAwait(false);
            if (context.Get(json))
                context.WriteJson(reply);
            else
                Show.Plan(reply, context.Out);
            return reply.Plan.Complete && reply.Obstacles.Count == 0 ? CliExit.Ok : CliExit.Failed;
        }, json);
    }
}
