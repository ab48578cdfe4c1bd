using System.CommandLine;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Fleet.Authority;

namespace Evacuator.Cli.Membership;

/// <summary>"evacuator fleet token": on the authority's host, lets one node in once.</summary>
internal static class TokenVerb
{
    private static readonly TimeSpan Default = TimeSpan.FromHours(1);

    private static readonly TimeSpan Longest = TimeSpan.FromDays(7);

    public static Command Create()
    {
        Option<string?> forNode = new("--for") { Description = "Only for a node of this name; needed to replace a node that the fleet has.", HelpName = "NAME" };
        Option<TimeSpan?> valid = CliOptions.DurationOption("--valid", "How long it is good; 1h if nothing is said, a week at most.");
        Option<bool> list = new("--list") { Description = "Show the tokens there are, without their secrets." };
        Option<DirectoryInfo> authority = FleetVerbs.Authority();
        return Verb.Create("token", "On the authority's host, as root: makes a token with which one node can join once.", (context, _) => FleetVerbs.ReportMistakesAsync(() =>
        {
            Registrar registrar = new(context.Get(authority)!.FullName, TimeProvider.System);
            if (context.Get(list))
            {
                foreach (TokenRecord token in registrar.ListTokens())
                    context.Out.WriteLine(TokenBook.Describe(token, TimeProvider.System.GetUtcNow()));
                return Task.FromResult(CliExit.Ok);
            }

            TimeSpan time = context.Get(valid) ?? Default;
            if (time <= TimeSpan.Zero || time > Longest)
                throw new CliException(CliExit.Usage, $"--valid must be more than nothing and at most {Duration.Format(Longest)}");
            string at = registrar.Roster().Authority;
            if (at.Length == 0)
                throw new CliException(CliExit.Refused, "this fleet's authority is offline and lets nobody in by token: \"evacuator fleet init --output DIR NAME=ADDRESS\" makes a join bundle");
            JoinToken made = registrar.MakeToken(context.Get(forNode), time);
            context.Out.WriteLine(made.ToText());
            context.Error.WriteLine($"good for {context.Get(forNode) ?? "one new node"}, once, for {Duration.Format(time)}. On that node, as root:");
            context.Error.WriteLine($"  evacuator fleet join --token {made.ToText()} {at}");
            return Task.FromResult(CliExit.Ok);
        }), forNode, valid, list, authority);
    }
}
