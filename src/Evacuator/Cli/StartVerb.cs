using System.CommandLine;
using Evacuator.Api;

namespace Evacuator.Cli;

/// <summary>"evacuator start": flags this host; with --wait it shows what happens until the end.</summary>
internal static class StartVerb
{
    public static Command Create()
    {
        Option<string> reason = new("--reason") { Description = "Why; whoever finds the node empty reads it.", Required = true, HelpName = "TEXT" };
        Option<string?> ticket = new("--ticket") { Description = "Number of the ticket.", HelpName = "TEXT" };
        Option<bool> powerOff = new("--power-off") { Description = "Power the host off when it is proven empty; a peer checks that on the BMC." };
        Option<TimeSpan?> forceAfter = CliOptions.DurationOption("--force-after", "With --power-off: let the peer force the power off if the host is still on after this time.");
        forceAfter.HelpName = "DURATION";
        Option<TimeSpan?> deadline = CliOptions.DurationOption("--deadline", "Time for the whole: then containers that may be stopped are, and the others stay.");
        deadline.HelpName = "DURATION";
        Option<bool> partial = new("--partial") { Description = "Move what fits even if there is no room for all; without, such a plan is refused whole." };
        Option<bool> forced = new("--force") { Description = "Do not wait for the fleet's lock, whether others are out or nobody can tell." };
        Option<bool> wait = new("--wait") { Description = "Show the progress and wait for the end." };
        Option<Guid?> operation = new("--operation-id") { Description = "Id of this request: asking again with the same one changes nothing.", HelpName = "UUID", CustomParser = CliOptions.ParseUuid };
        Option<bool> json = CliOptions.Json();

        return Verb.Create("start", "Empties this host: moves its containers to the peers.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            TimeSpan? force = context.Get(forceAfter);
            StartReply reply = await client.SendAsync<StartReply>(HttpMethod.Post, ApiRoutes.Evacuations, new StartRequest
            {
                OperationId = context.Get(operation) ?? Guid.NewGuid(),
                Reason = context.Get(reason)!,
                Ticket = context.Get(ticket),
                PowerOff = context.Get(powerOff),
                DeadlineSeconds = context.Get(deadline) is { } limit ? (int)Math.Ceiling(limit.TotalSeconds) : null,
                Partial = context.Get(partial) ? true : null,
                Force = context.Get(forced),
                ForceAfterSeconds = force is { } span ? (int)Math.Ceiling(span.TotalSeconds) : null,
            }, token).ConfigureAwait(false);

            bool asJson = context.Get(json);
            if (!context.Get(wait))
            {
                if (asJson)
                    context.WriteJson(reply);
                else
                    context.Out.WriteLine($"evacuation {reply.Id:D}: {reply.Text}\nwatch it with \"evacuator status\", stop it with \"evacuator cancel\"");
                return CliExit.Ok;
            }

            if (!asJson && reply.Existing)
                context.Out.WriteLine(reply.Text);
            return await Follow.RunAsync(client, reply.Id, context, asJson, TimeProvider.System, token).ConfigureAwait(false);
        }, reason, ticket, powerOff, forceAfter, deadline, partial, forced, wait, operation, json);
    }
}
