using System.CommandLine;
using Evacuator.Api;

namespace Evacuator.Cli;

internal static class StatusVerb
{
    public static Command Create()
    {
        Option<bool> json = CliOptions.Json();
        return Verb.Create("status", "Shows this node: what it can do, its containers, a running evacuation, peers and BMC.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            NodeStatus status = await client.GetAsync<NodeStatus>(ApiRoutes.Status, token).ConfigureAwait(false);
            if (context.Get(json))
                context.WriteJson(status);
            else
                Show.Status(status, context.Out);
            return CliExit.Ok;
        }, json);
    }
}
