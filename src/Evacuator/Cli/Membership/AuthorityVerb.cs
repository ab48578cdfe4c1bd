using System.CommandLine;
using Evacuator.Api;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Common.Hosting;
using Evacuator.Fleet;
using Evacuator.Fleet.Authority;
using Evacuator.Fleet.Membership;
using Microsoft.AspNetCore.Builder;

namespace Evacuator.Cli.Membership;

/// <summary>"evacuator authority": evacuator-authority.service.</summary>
internal static class AuthorityVerb
{
    public static Command Create()
    {
        Option<DirectoryInfo> directory = new("--authority") { DefaultValueFactory = _ => new DirectoryInfo(AuthorityDirectory.DefaultPath), Hidden = true };
        return Verb.Create("authority", "Runs the fleet's authority; systemd does this, on one node.", async (context, _) =>
        {
            ConfigurationResult configuration = ConfigurationLoader.Load(context.ConfigurationFile);
            if (configuration.Options is not { } options)
                return StartupFailure.Report("evacuator-authority", configuration.Mistakes);
            WebApplication app;
            try
            {
                app = AuthorityHost.Build(new AuthoritySetup(context.Get(directory)!.FullName, options, Listen: null, (roster, token) => TellAsync(context, roster, token)));
            }
            catch (FleetSetupException e)
            {
                return StartupFailure.Report("evacuator-authority", [new ConfigurationMistake(context.Get(directory)!.FullName, 0, e.Message)]);
            }

            return await app.RunServiceAsync($"authority of the fleet, port {options.Fleet.AuthorityPort}").ConfigureAwait(false);
        }, directory);
    }

    /// <summary>Whoever asked has the new list by itself; that the others hear of it at once is a matter of seconds, not of right or wrong.</summary>
    private static async Task TellAsync(VerbContext context, string roster, CancellationToken token)
    {
        try
        {
            using BrainClient client = context.Connect();
            await client.SendAsync<RosterSpread>(HttpMethod.Post, ApiRoutes.Fleet, new RosterMessage(roster), token).ConfigureAwait(false);
        }
        catch (CliException)
        {
            // No brain on this host just now: the nodes ask by themselves.
        }
    }
}
