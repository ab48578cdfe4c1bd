using System.CommandLine;
using System.ComponentModel;
using System.Diagnostics;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Api;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Fleet.Authority;

namespace Evacuator.Cli.Membership;

/// <summary>"evacuator fleet leave": this node is no node any more. Its containers run on; nobody moves them.</summary>
internal static class LeaveVerb
{
    public static Command Create()
    {
        Option<bool> offline = new("--offline") { Description = "Do not ask the authority, which is offline or gone: this node has to be revoked there besides." };
        Option<DirectoryInfo> etc = FleetVerbs.Etc();
        return Verb.Create("leave", "As root: takes this host out of the fleet. Refused while it has a container of another node, or anything is under way.", (context, token) => FleetVerbs.ReportMistakesAsync(async () =>
        {
            _ = FleetSetup.RequireRoot();
            ConfigurationResult configuration = ConfigurationLoader.Load(context.ConfigurationFile);
            if (configuration.Options is not { } options)
                throw new CliException(CliExit.Configuration, string.Join('\n', configuration.Mistakes));
            if (AuthorityDirectory.Exists(AuthorityDirectory.DefaultPath))
                throw new CliException(CliExit.Refused, $"this host has the fleet's authority ({AuthorityDirectory.DefaultPath}): without it no node can join or be revoked");
            string at = FleetMembers.Load(options).Value?.Roster?.Roster.Authority ?? "";
            if (at.Length == 0 && !context.Get(offline))
                throw new CliException(CliExit.Refused, $"this fleet's authority is offline: \"evacuator fleet leave --offline\" here, and \"evacuator fleet revoke {options.Node.Name}\" there");

            // 1. Nothing here needs the fleet, and nothing comes any more.
            using (BrainClient client = context.Connect())
                await client.PostAsync(ApiRoutes.Leave, token).ConfigureAwait(false);

            // 2. The fleet lets it go.
            if (!context.Get(offline))
            {
                try
                {
                    await TakeOutAsync(options, at, TimeProvider.System, token).ConfigureAwait(false);
                }
                catch (FleetSetupException e)
                {
                    throw new CliException(CliExit.Failed, $"{e.Message}. This host is still in the fleet, and closed: try again, or \"evacuator reopen\"", e);
                }
            }

            // 3. The services end before their files do.
            bool stopped = await StopServicesAsync(token).ConfigureAwait(false);
            FleetSetup.Uninstall(context.Get(etc)!.FullName);
            context.Out.WriteLine($"{options.Node.Name} has left the fleet; its containers run on, and nothing moves them");
            if (!stopped)
                context.Out.WriteLine("The services could not be stopped: systemctl stop evacuator evacuator-agent");
            if (context.Get(offline))
                context.Out.WriteLine($"Where the authority is: evacuator fleet revoke {options.Node.Name}");
            return CliExit.Ok;
        }), offline, etc);
    }

    /// <exception cref="FleetSetupException">the authority does not answer, or refuses</exception>
    internal static async Task TakeOutAsync(EvacuatorOptions options, string at, TimeProvider time, CancellationToken token)
    {
        List<ConfigurationMistake> mistakes = [];
        FleetFiles files = new(options.Fleet.TlsDirectory, FleetRole.Agent);
        if (files.ReadPair(mistakes) is not { } pair)
            throw new FleetSetupException(string.Join('\n', mistakes));
        using X509Certificate2 own = pair.Certificate;
        using AuthorityClient client = new(AuthorityClient.ParseAddress(at), FleetAuthorities.FromFile(files.Authority), own, time);
        await client.LeaveAsync(token).ConfigureAwait(false);
    }

    private static async Task<bool> StopServicesAsync(CancellationToken token)
    {
        try
        {
            using Process stop = Process.Start(new ProcessStartInfo("systemctl", ["stop", "evacuator.service", "evacuator-agent.service"]))!;
            await stop.WaitForExitAsync(token).ConfigureAwait(false);
            return stop.ExitCode == 0;
        }
        catch (Win32Exception)
        {
            return false;
        }
    }
}
