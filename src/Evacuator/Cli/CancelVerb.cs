using System.CommandLine;
using Evacuator.Api;
using Evacuator.Evacuation;
using Evacuator.Homecoming;
using Evacuator.Journal;

namespace Evacuator.Cli;

internal static class CancelVerb
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(200);

    public static Command Create()
    {
        Option<bool> wait = new("--wait") { Description = "Wait until everything that could be undone is undone; with --return, until what comes back is here." };
        Option<bool> comeBack = new("--return") { Description = "Bring back what has moved already, once all else is undone." };
        return Verb.Create("cancel", "Stops the running evacuation: nothing new moves, what can be undone is undone, what has moved stays there, or comes back.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            EvacuationReport report = await client.SendAsync<EvacuationReport>(HttpMethod.Post, context.Get(comeBack) ? $"{ApiRoutes.Cancel}?return=true" : ApiRoutes.Cancel, null, token).ConfigureAwait(false);
            if (!context.Get(wait))
            {
                context.Out.WriteLine($"evacuation {report.Id:D} is being cancelled; \"evacuator status\" shows when that is done{(context.Get(comeBack) ? ", and then how far the homecoming is" : "")}");
                return CliExit.Ok;
            }

            int end = await Follow.RunAsync(client, report.Id, context, asJson: false, TimeProvider.System, token).ConfigureAwait(false);
            if (context.Get(comeBack) && end == CliExit.Cancelled)
                return await FollowReturnAsync(client, report.Id, context, TimeProvider.System, token).ConfigureAwait(false);
            return end switch { CliExit.Cancelled => CliExit.Ok, CliExit.Interrupted => end, _ => CliExit.Failed };
        }, wait, comeBack);
    }

    /// <summary>The homecoming begins by itself a moment after the cancellation is over, has the same id, and its end is what was asked for.</summary>
    private static async Task<int> FollowReturnAsync(BrainClient client, Guid id, VerbContext context, TimeProvider time, CancellationToken token)
    {
        try
        {
            while (true)
            {
                EvacuationReport report = await client.GetAsync<EvacuationReport>($"{ApiRoutes.Evacuations}/{id:D}", token).ConfigureAwait(false);
                if (report.Containers.All(move => move.State != MovePhase.Moved))
                {
                    context.Out.WriteLine("nothing had moved, so nothing has to come back");
                    return CliExit.Ok;
                }

                if (report.ReturnProblem.Length > 0)
                    throw new CliException(CliExit.Failed, report.ReturnProblem);
                if (await FindAsync(client, id, token).ConfigureAwait(false) is { } homecoming)
                {
                    context.Out.WriteLine();
                    return await FollowHomecoming.RunAsync(client, homecoming, context, asJson: false, time, token).ConfigureAwait(false);
                }

                await Task.Delay(Poll, time, token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            context.Error.WriteLine("evacuator: not waiting any more. What had moved comes home all the same: \"evacuator status\" shows it");
            return CliExit.Interrupted;
        }
    }

    /// <summary>Null while it has not begun.</summary>
    private static async Task<HomecomingState?> FindAsync(BrainClient client, Guid id, CancellationToken token)
    {
        try
        {
            return await client.GetAsync<HomecomingState>($"{ApiRoutes.Homecomings}/{id:D}", token).ConfigureAwait(false);
        }
        catch (CliException e) when (e.ExitCode == CliExit.Refused)
        {
            return null;
        }
    }
}
