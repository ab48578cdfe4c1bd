using Evacuator.Redfish.Health;
using Evacuator.Redfish.Session;

namespace Evacuator.Cli.Bmc;

/// <summary>A controller that a verb is logged in to, and the one machine behind it that is meant.</summary>
internal sealed record BmcSession(BmcClient Client, SystemMatch Match) : IAsyncDisposable
{
    public string SystemUri => Match.System!.Uri;

    /// <exception cref="CliException">it cannot be reached or read, or several machines could be meant: nothing is done then</exception>
    public static async Task<BmcSession> OpenAsync(VerbContext context, BmcTarget target, TimeProvider time, CancellationToken token)
    {
        foreach (string warning in target.Warnings)
            await context.Error.WriteLineAsync($"evacuator: {warning}").ConfigureAwait(false);
        BmcClient? client = new(target.Options, time, new Random());
        try
        {
            BmcReply root = await client.ConnectAsync(token).ConfigureAwait(false);
            if (!root.Succeeded)
                throw new CliException(CliExit.Failed, root.Message);
            SystemMatch match = await SystemMatch.FindAsync(client, new HostIdentity(target.Options.SystemUuid, null), target.Options.SystemId, token).ConfigureAwait(false);
            if (match.Outcome != MatchOutcome.Unique)
                throw new CliException(CliExit.Failed, $"which machine is meant cannot be told: {match.Reason}; give --system or --uuid");
            BmcSession session = new(client, match);
            client = null;
            return session;
        }
        finally
        {
            if (client is not null)
                await client.DisposeAsync().ConfigureAwait(false);
        }
    }

    public ValueTask DisposeAsync() => Client.DisposeAsync();
}
