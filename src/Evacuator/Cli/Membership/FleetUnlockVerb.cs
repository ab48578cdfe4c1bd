using System.CommandLine;
using Evacuator.Api;
using Evacuator.Fleet.Locks;

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
            using BrainClient client = context.Connect();
            // Nobody is asked about something that will be refused.
            FleetReply fleet = await client.GetAsync<FleetReply>(ApiRoutes.Fleet, token).ConfigureAwait(false);
            if (WhyNot(fleet.Lock, name) is { } why)
                throw new CliException(CliExit.Refused, why);
            if (!context.Get(yes) && !Confirm(context, name))
                throw new CliException(CliExit.Refused, "nothing was done");
            await client.DeleteAsync($"{ApiRoutes.Fleet}/slots/{Uri.EscapeDataString(name)}", token).ConfigureAwait(false);
            context.Out.WriteLine($"{name} holds no place any more: another node can be emptied now");
            return CliExit.Ok;
        }, node, yes);
    }

    /// <summary>As the service would answer; it looks again when it does it.</summary>
    internal static string? WhyNot(FleetLockView view, string node)
    {
        if (view.UnknownSince is not null)
            return $"nothing can be taken away while {view.Store} does not answer: {view.Problem}";
        if (view.Picture.Slots.All(slot => slot.Node != node))
        {
            return $"{node} holds no place of the fleet's lock"
                + (view.Picture.Slots.Count == 0 ? "; nobody does" : $"; out {(view.Picture.Slots.Count == 1 ? "is" : "are")} {string.Join(", ", view.Picture.Slots.Select(slot => slot.Node).Order(StringComparer.Ordinal))}");
        }

        return view.Picture.Nodes.Any(known => known.Name == node && known.Condition != NodeCondition.Silent)
            ? $"{node} is up and says itself that it is out: \"evacuator reopen\" or \"evacuator cancel\" there gives the place back"
            : null;
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
