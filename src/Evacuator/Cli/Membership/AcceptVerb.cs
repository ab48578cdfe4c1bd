using System.CommandLine;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;

namespace Evacuator.Cli.Membership;

/// <summary>"evacuator fleet accept": brings a list from an authority that is offline, or one of a new authority for which no earlier one can vouch.</summary>
internal static class AcceptVerb
{
    public static Command Create()
    {
        Argument<FileInfo> file = new("FILE") { Description = $"{SignedRoster.FileName} from the authority's directory." };
        Option<string?> authority = new("--authority")
        {
            Description = "As root, on every node: trust the new authority with this fingerprint, which signed the list. Only where the old one's key is lost; else the nodes hear of it by themselves.",
            HelpName = "SHA256",
        };
        return Verb.Create("accept", "Takes a signed list of the fleet and tells the other nodes.", async (context, token) =>
        {
            string text;
            try
            {
                text = await File.ReadAllTextAsync(context.Get(file)!.FullName, token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new CliException(CliExit.Failed, e.Message, e);
            }

            if (context.Get(authority) is { } fingerprint)
            {
                return await FleetVerbs.ReportMistakesAsync(() =>
                {
                    _ = FleetSetup.RequireRoot();
                    ConfigurationResult configuration = ConfigurationLoader.Load(context.ConfigurationFile);
                    if (configuration.Options is not { } options)
                        throw new CliException(CliExit.Configuration, string.Join('\n', configuration.Mistakes));
                    SignedRoster taken = Vouch(options, text, fingerprint, context.Get(file)!.FullName);
                    context.Out.WriteLine($"this host trusts {string.Join(" and ", taken.Authorities.Fingerprints)} (list {taken.Roster.Number}); its services take it within {FleetRefresh.Interval.TotalSeconds:0} s");
                    return Task.FromResult(CliExit.Ok);
                }).ConfigureAwait(false);
            }

            using BrainClient client = context.Connect();
            Evacuator.Fleet.Membership.RosterSpread spread = await client.SendAsync<Evacuator.Fleet.Membership.RosterSpread>(
                HttpMethod.Post, Api.ApiRoutes.Fleet, new Evacuator.Fleet.RosterMessage(text), token).ConfigureAwait(false);
            context.Out.WriteLine($"list {spread.Number} holds here, and on {spread.Told} other nodes");
            foreach (string missing in spread.NotTold)
                context.Out.WriteLine($"  not yet: {missing}");
            return CliExit.Ok;
        }, file, authority);
    }

    /// <summary>Puts a list into this host's files because a person says whose it is.</summary>
    /// <exception cref="FleetSetupException">it is another's, of another fleet, or not newer</exception>
    internal static SignedRoster Vouch(EvacuatorOptions options, string text, string fingerprint, string source)
    {
        Checked<FleetMembers> members = FleetMembers.Load(options);
        if (members.Value is not { } known)
            throw new FleetSetupException(string.Join('\n', members.Mistakes));
        FleetAuthorities trusted = known.Roster?.Authorities ?? FleetAuthorities.FromFile(FleetMembers.AuthorityPath(options));
        string meant = fingerprint.Replace(":", "", StringComparison.Ordinal).ToUpperInvariant();
        FleetAuthorities named = SignedRoster.ReadAuthorities(text, source);
        if (named.All.FirstOrDefault(authority => FleetAuthorities.FingerprintOf(authority) == meant) is not { } vouched)
            throw new FleetSetupException($"{source}: is not a list of authority {meant}, it names {string.Join(" and ", named.Fingerprints)}");
        SignedRoster roster = SignedRoster.Parse(text, FleetAuthorities.Of(vouched), source);
        if (!roster.Authorities.Fingerprints.Any(trusted.Has))
            throw new FleetSetupException($"{source}: is the list of another fleet: it does not name this host's authority {trusted.Fingerprints[0]}");
        if (known.Roster is { } present && present.Roster.Number >= roster.Roster.Number)
        {
            return present.Authorities.Has(meant)
                ? present
                : throw new FleetSetupException($"{source}: is older (list {roster.Roster.Number}) than what this host has (list {present.Roster.Number}): fetch it again from the authority's directory");
        }

        try
        {
            FleetMembers.Write(options, roster);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FleetSetupException(e.Message, e);
        }

        return roster;
    }
}
