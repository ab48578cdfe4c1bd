using System.CommandLine;
using Evacuator.Api;

namespace Evacuator.Cli;

/// <summary>"evacuator settle": a container that was released to a host which is gone for good.</summary>
internal static class SettleVerb
{
    public static Command Create()
    {
        Argument<string> container = new("CONTAINER") { Description = "Its name, as \"evacuator status\" shows it as released." };
        Option<string> gone = new("--gone") { Description = "The host it was released to, which is off for good.", Required = true, HelpName = "PEER" };
        Option<string?> bmc = new("--bmc") { Description = "Address of that host's BMC, which has to say Off.", HelpName = "URL" };
        Option<string?> fingerprint = new("--bmc-fingerprint") { Description = "SHA-256 of that BMC's certificate (\"evacuator bmc trust --url URL\"), unless [bmc] ca-file signed it.", HelpName = "SHA256" };
        Option<string?> user = new("--bmc-user") { Description = "Account on that BMC; this host's own account if not given.", HelpName = "NAME" };
        Option<FileInfo?> password = new("--bmc-password-file") { Description = "File with that account's password.", HelpName = "FILE" };
        Option<bool> unverified = new("--unverified") { Description = "Instead of --bmc: you have made sure yourself that it is without power." };
        Option<bool> yes = new("--yes") { Description = "Do not ask back." };
        return Verb.Create("settle", "Takes back a container whose destination is gone for good after its release. Exit code 1 if it is lost.", async (context, token) =>
        {
            string peer = context.Get(gone)!;
            if (context.Get(bmc) is null == !context.Get(unverified))
                throw new CliException(CliExit.Usage, "give either --bmc URL, so that its power is looked at, or --unverified");
            string? secret = context.Get(password) is { } file ? ReadPassword(file) : null;
            if (context.Get(user) is null != secret is null)
                throw new CliException(CliExit.Usage, "--bmc-user and --bmc-password-file belong together");
            using BrainClient client = context.Connect();
            SettleRequest request = new()
            {
                Container = context.Get(container)!,
                Gone = peer,
                BmcUrl = context.Get(bmc),
                BmcFingerprint = context.Get(fingerprint),
                BmcUser = context.Get(user),
                BmcPassword = secret,
                Unverified = context.Get(unverified),
            };
            if (!context.Get(yes))
            {
                // Nobody is asked about something that will be refused.
                await client.SendAsync<SettleReply>(HttpMethod.Post, ApiRoutes.Settle, request with { LookOnly = true, BmcPassword = null }, token).ConfigureAwait(false);
                if (!Confirm(context, peer, context.Get(container)!))
                    throw new CliException(CliExit.Refused, "nothing was done");
            }

            SettleReply reply = await client.SendAsync<SettleReply>(HttpMethod.Post, ApiRoutes.Settle, request, token).ConfigureAwait(false);
            context.Out.WriteLine(reply.Text);
            context.Out.WriteLine(reply.RunsHere ? $"{context.Get(container)} runs here" : $"{context.Get(container)} does NOT run here");
            return reply.RunsHere ? CliExit.Ok : CliExit.Failed;
        }, container, gone, bmc, fingerprint, user, password, unverified, yes);
    }

    private static string ReadPassword(FileInfo file)
    {
        try
        {
            return File.ReadAllText(file.FullName).TrimEnd('\r', '\n');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CliException(CliExit.Usage, e.Message, e);
        }
    }

    private static bool Confirm(VerbContext context, string peer, string container)
    {
        context.Error.WriteLine($"""
            {container} was released to {peer}. If {peer} still has power, it may run there, and then it would run TWICE.
            It is safe once {peer} has been without power at any time after the release, even if it comes back later.
            Type {peer} to declare that it is off for good:
            """);
        return context.In.ReadLine()?.Trim() == peer;
    }
}
