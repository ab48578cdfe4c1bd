using System.CommandLine;
using Evacuator.Api;
using Evacuator.Evacuation;

namespace Evacuator.Cli;

internal static class RetryVerb
{
    public static Command Create()
    {
        Argument<string> name = new("NAME") { Description = "A container that stayed, was blocked or cancelled." };
        Option<bool> wait = new("--wait") { Description = "Show the progress and wait for the end." };
        return Verb.Create("retry", "Tries a container again that could not leave; a failed evacuation then goes on, to all that it was asked for.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            EvacuationReport report = await client.SendAsync<EvacuationReport>(HttpMethod.Post, ApiRoutes.Retry, new RetryRequest(context.Get(name)!), token).ConfigureAwait(false);
            if (!context.Get(wait))
            {
                context.Out.WriteLine($"{context.Get(name)} is tried again in evacuation {report.Id:D}; \"evacuator status\" shows how it goes");
                return CliExit.Ok;
            }

            return await Follow.RunAsync(client, report.Id, context, asJson: false, TimeProvider.System, token).ConfigureAwait(false);
        }, name, wait);
    }
}
