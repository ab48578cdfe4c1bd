using System.CommandLine;
using Evacuator.Api;
using Evacuator.Homecoming;

namespace Evacuator.Cli;

/// <summary>"evacuator return": brings this node's containers home.</summary>
internal static class ReturnVerb
{
    public static Command Create()
    {
        Option<string[]> only = new("--only") { Description = "Only these.", HelpName = "NAME", AllowMultipleArgumentsPerToken = true };
        Option<string[]> skip = new("--skip") { Description = "All but these.", HelpName = "NAME", AllowMultipleArgumentsPerToken = true };
        Option<bool> dryRun = new("--dry-run") { Description = "Show the plan and do nothing." };
        Option<bool> wait = new("--wait") { Description = "Show the progress and wait for the end." };
        Option<bool> cancel = new("--cancel") { Description = "Stop the one that is under way: what has come stays here, what is moving is undone if it can be." };
        Option<Guid?> operation = new("--operation-id") { Description = "Id of this request: asking again with the same one changes nothing.", HelpName = "UUID", CustomParser = CliOptions.ParseUuid };
        Option<bool> json = CliOptions.Json();

        return Verb.Create("return", "Brings this node's containers home from the peers; makes room for them first.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            string[] wanted = context.Get(only) ?? [];
            string[] unwanted = context.Get(skip) ?? [];
            bool asJson = context.Get(json);
            if (wanted.Intersect(unwanted).ToArray() is { Length: > 0 } both)
                throw new CliException(CliExit.Usage, $"{string.Join(", ", both)}: in --only and in --skip as well; which of the two?");
            if (context.Get(cancel))
            {
                await client.PostAsync($"{ApiRoutes.Homecomings}/current/cancel", token).ConfigureAwait(false);
                context.Out.WriteLine("the homecoming is being cancelled");
                return CliExit.Ok;
            }

            if (context.Get(dryRun))
            {
                string query = string.Join('&', wanted.Select(name => $"only={Uri.EscapeDataString(name)}").Concat(unwanted.Select(name => $"skip={Uri.EscapeDataString(name)}")));
                HomecomingPlan plan = await client.GetAsync<HomecomingPlan>($"{ApiRoutes.Homecomings}/plan?{query}", token).ConfigureAwait(false);
                if (asJson)
                    context.WriteJson(plan);
                else
                    ShowHomecoming.Plan(plan, context.Out);
                return plan.Complete ? CliExit.Ok : CliExit.Failed;
            }

            HomecomingState state = await client.SendAsync<HomecomingState>(HttpMethod.Post, ApiRoutes.Homecomings,
                new ReturnRequest { OperationId = context.Get(operation) ?? Guid.NewGuid(), Only = wanted, Skip = unwanted }, token).ConfigureAwait(false);
            if (!context.Get(wait))
            {
                if (asJson)
                    context.WriteJson(state);
                else
                    context.Out.WriteLine($"homecoming {state.Id:D} begins\nwatch it with \"evacuator status\", stop it with \"evacuator return --cancel\"");
                return CliExit.Ok;
            }

            return await FollowHomecoming.RunAsync(client, state, context, asJson, TimeProvider.System, token).ConfigureAwait(false);
        }, only, skip, dryRun, wait, cancel, operation, json);
    }
}
