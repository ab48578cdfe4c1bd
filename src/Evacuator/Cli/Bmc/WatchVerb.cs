using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Evacuator.Common.AgentApi;

namespace Evacuator.Cli.Bmc;

internal static class WatchVerb
{
    private static readonly TimeSpan FullRead = TimeSpan.FromMinutes(10);

    public static Command Create()
    {
        BmcTarget.Choice choice = new();
        Option<bool> json = CliOptions.Json();
        return Verb.Create("watch", "Shows a BMC's events and signals as they come, until Ctrl-C. Changes nothing.", async (context, token) =>
        {
            BmcTarget target = await BmcTarget.FromAsync(context, choice, TimeProvider.System, token).ConfigureAwait(false);
            bool asJson = context.Get(json);
            try
            {
                BmcSession session = await BmcSession.OpenAsync(context, target, TimeProvider.System, token).ConfigureAwait(false);
                await using (session.ConfigureAwait(false))
                {
                    BmcWatch watch = new(session.Client, session.Match.Scope!, FullRead, TimeProvider.System, new Random(), line => Write(line, asJson, context.Out));
                    await watch.RunAsync(token).ConfigureAwait(false);
                }
            }
            catch (OperationCanceledException) when (token.IsCancellationRequested)
            {
                // Ctrl-C is how it ends.
            }

            return CliExit.Ok;
        }, choice.With(json));
    }

    private static void Write(WatchLine line, bool asJson, TextWriter output)
    {
        output.WriteLine(asJson
            ? JsonSerializer.Serialize(line, ApiJson.Options)
            : $"{line.At.UtcDateTime.ToString("HH:mm:ss'Z'", CultureInfo.InvariantCulture)} {line.Kind,-9} {line.What,-9} {string.Join(' ', new[] { line.MessageId, line.Uri, line.Text }.Where(each => !string.IsNullOrEmpty(each)))}");
        output.Flush();
    }
}
