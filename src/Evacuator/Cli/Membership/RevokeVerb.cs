using System.CommandLine;
using Evacuator.Common.Fleet;
using Evacuator.Fleet.Authority;

namespace Evacuator.Cli.Membership;

/// <summary>"evacuator fleet revoke": on the authority's host, takes a node out against its will.</summary>
internal static class RevokeVerb
{
    public static Command Create()
    {
        Argument<string> node = new("NAME") { Description = "The node." };
        Option<DirectoryInfo> authority = FleetVerbs.Authority();
        return Verb.Create("revoke", "On the authority's host, as root: takes a node out of the fleet at once and makes its certificates void.", (context, token) => FleetVerbs.ReportMistakesAsync(async () =>
        {
            SignedRoster roster = new Registrar(context.Get(authority)!.FullName, TimeProvider.System).Revoke(context.Get(node)!);
            context.Out.WriteLine($"{context.Get(node)} is out of the fleet and its certificates are void: list {roster.Roster.Number}");
            context.Out.WriteLine(await FleetVerbs.TellAsync(context, roster.Text, token).ConfigureAwait(false));
            context.Out.WriteLine("A container that was released to it and does not run waits: \"evacuator status\" on its source, \"evacuator settle\" when that host is off.");
            return CliExit.Ok;
        }), node, authority);
    }
}
