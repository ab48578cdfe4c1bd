using System.CommandLine;
using Evacuator.Api;

namespace Evacuator.Cli.Membership;

/// <summary>"evacuator fleet unlock": a node that is out and will not come back by itself.</summary>
internal static class FleetUnlockVerb
{
    public static Command Create()
    {
        Argument<string> node = new("NODE") { Description = "As \"evacuator fleet status\" shows it as out." };
        Option<bool> yes = new("--yes") { Description = "Do not ask back." };
        return Verb.Create("unlock", "Takes the place away that a lost node holds in the fleet's lock.", async (context, token) =>
        {
            string name = context.Get(node)!;
            if (!context.Get(yes) && !Confirm(context, name))
                throw new CliException(CliExit.Refused, "nothing was done");
            using BrainClient client = context.Connect();
            await client.DeleteAsync($"{ApiRoutes.Fleet}/slots/{Uri.EscapeDataString(name)}", token).ConfigureAwait(false);
            context.Out.WriteLine($"{name} holds no place any more: another node can be emptied now");
            return CliExit.Ok;
        }, node, yes);
    }

    private static bool Confirm(VerbContext context, string node)
    {
        context.Error.WriteLine($"""
            {node} counts as out: it was emptied, or is being emptied, and was not opened again. Without its place one more node than
            the fleet can spare may be emptied while {node} still carries nothing. If {node} can be switched on, do that
            instead: "evacuator reopen" there gives the place back. When it comes up closed, it takes its place again.
            Type {node} to take its place away:
            """);
        return context.In.ReadLine()?.Trim() == node;
    }
}
