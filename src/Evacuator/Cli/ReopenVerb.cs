using System.CommandLine;
using Evacuator.Api;

namespace Evacuator.Cli;

internal static class ReopenVerb
{
    public static Command Create() => Verb.Create("reopen", "Lets this node take containers again after service, and switches its locator LED off.", async (context, token) =>
    {
        using BrainClient client = context.Connect();
        ReopenReply reply = await client.SendAsync<ReopenReply>(HttpMethod.Post, ApiRoutes.Reopen, null, token).ConfigureAwait(false);
        context.Out.WriteLine("this node takes containers again");
        if (reply.Led is { } led)
            context.Out.WriteLine($"locator LED: {led}");
        return CliExit.Ok;
    });
}
