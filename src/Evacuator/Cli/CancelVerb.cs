using System.CommandLine;
using Evacuator.Api;
using Evacuator.Evacuation;

namespace Evacuator.Cli;

internal static class CancelVerb
{
    public static Command Create()
    {
        Option<bool> wait = new("--wait") { Description = "Wait until everything that could be undone is undone." };
        Option<bool> comeBack = new("--return") { Description = "Bring back what has moved already, once all else is undone." };
        return Verb.Create("cancel", "Stops the running evacuation: nothing new moves, what can be undone is undone, what has moved stays there, or comes back.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            EvacuationReport report = await client.SendAsync<EvacuationReport>(HttpMethod.Post, context.Get(comeBack) ? $"{ApiRoutes.Cancel}?return=true" : ApiRoutes.Cancel, null, token).ConfigureAwait(false);
            if (!context.Get(wait))
            {
                context.Out.WriteLine($"evacuation {report.Id:D} is being cancelled; \"evacuator status\" shows when that is done");
                return CliExit.Ok;
            }

            int end = await Follow.RunAsync(client, report.Id, context, asJson: false, TimeProvider.System, token).ConfigureAwait(false);
            if (context.Get(comeBack) && end == CliExit.Cancelled)
                context.Out.WriteLine("what had moved comes home now: \"evacuator status\" shows how far it is");
            return end switch { CliExit.Cancelled => CliExit.Ok, CliExit.Interrupted => end, _ => CliExit.Failed };
        }, wait, comeBack);
    }
}
