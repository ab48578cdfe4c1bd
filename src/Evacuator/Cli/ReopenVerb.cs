using System.CommandLine;
using Evacuator.Api;

namespace Evacuator.Cli;

internal static class ReopenVerb
{
    public static Command Create() => Verb.Create("reopen", "Lets this node take containers again after service.", async (context, token) =>
    {
        using BrainClient client = context.Connect();
        await client.PostAsync(ApiRoutes.Reopen, token).ConfigureAwait(false);
        context.Out.WriteLine("this node takes containers again");
        return CliExit.Ok;
    });
}
