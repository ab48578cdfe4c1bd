using System.CommandLine;
using System.Globalization;
using Evacuator.Api;
using Evacuator.Evacuation;

namespace Evacuator.Cli;

internal static class RehearseVerb
{
    public static Command Create()
    {
        Argument<string?> name = new("NAME") { Description = "One container; without it all of this node.", Arity = ArgumentArity.ZeroOrOne };
        Option<bool> last = new("--last") { Description = "Only show what the last rehearsals gave." };
        Option<bool> json = CliOptions.Json();
        return Verb.Create("rehearse", "Shows whether containers could move now, and how long they would stand still: each is frozen for a moment, dumped, and goes on. Exit code 1 if one could not.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            List<RehearsalState> results = context.Get(last)
                ? await client.GetAsync<List<RehearsalState>>(ApiRoutes.Rehearsals, token).ConfigureAwait(false)
                : await client.SendAsync<List<RehearsalState>>(HttpMethod.Post, context.Get(name) is { } one ? $"{ApiRoutes.Rehearsals}?container={Uri.EscapeDataString(one)}" : ApiRoutes.Rehearsals, null, token).ConfigureAwait(false);
            if (context.Get(json))
            {
                context.WriteJson(results);
            }
            else
            {
                TextTable table = new("CONTAINER", "COULD MOVE", "STOOD STILL", "AT", "");
                foreach (RehearsalState result in results)
                {
                    table.Add(result.Container, result.CanMove ? "yes" : "NO", result.FreezeMs is { } ms ? string.Create(CultureInfo.InvariantCulture, $"{ms:0} ms") : "-",
                        result.At.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture), result.Reason);
                }

                table.WriteTo(context.Out);
            }

            return results.All(result => result.CanMove) ? CliExit.Ok : CliExit.Failed;
        }, name, last, json);
    }
}
