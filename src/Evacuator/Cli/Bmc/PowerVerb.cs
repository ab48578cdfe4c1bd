using System.CommandLine;
using Evacuator.Api;
using Evacuator.Evacuation;
using Evacuator.Redfish.Health;
using Evacuator.Redfish.Power;
using Evacuator.Redfish.Session;

namespace Evacuator.Cli.Bmc;

/// <summary>
/// The power of this host as the service knows it; with --url, of any machine, directly. A machine is switched off orderly, watched, and forced only where that was allowed. This host itself
/// is never switched off here: that takes the proof that it is empty.
/// </summary>
internal static class PowerVerb
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan ForcePatience = TimeSpan.FromMinutes(2);

    public static Command Create()
    {
        Argument<string> order = new("ORDER") { Description = "state, on or off.", DefaultValueFactory = _ => "state" };
        order.AcceptOnlyFromAmong("state", "on", "off");
        BmcTarget.Choice choice = new();
        Option<TimeSpan?> forceAfter = CliOptions.DurationOption("--force-after", "With off: force the power off if the machine is still on after this time.");
        forceAfter.HelpName = "DURATION";
        Option<bool> json = CliOptions.Json();
        return Verb.Create("power", "Shows what the BMC says about this host's power; with --url, shows or switches that of another machine. Exit code 1 if it cannot tell or did not succeed.", async (context, token) =>
        {
            string what = context.Get(order)!;
            if (context.Get(choice.Url) is null)
            {
                return what == "state"
                    ? await OfThisHostAsync(context, context.Get(json), token).ConfigureAwait(false)
                    : throw new CliException(CliExit.Usage, what == "off"
                        ? "this host goes off by an evacuation, which proves it empty first: evacuator start --power-off. For another machine give --url"
                        : "this host is on. For another machine give --url");
            }

            BmcTarget target = await BmcTarget.FromAsync(context, choice, TimeProvider.System, token).ConfigureAwait(false);
            BmcSession session = await BmcSession.OpenAsync(context, target, TimeProvider.System, token).ConfigureAwait(false);
            await using (session.ConfigureAwait(false))
            {
                PowerControl power = new(session.Client, session.SystemUri, target.Options.SystemUuid, TimeProvider.System);
                switch (what)
                {
                    case "on":
                        return await OnAsync(context, power, token).ConfigureAwait(false);
                    case "off":
                        RefuseOwn(session.Match.System!.Text("UUID"));
                        return await OffAsync(context, power, context.Get(forceAfter), token).ConfigureAwait(false);
                    default:
                        return await StateAsync(context, power, context.Get(json), token).ConfigureAwait(false);
                }
            }
        }, [order, .. choice.With(forceAfter, json)]);
    }

    private static async Task<int> OfThisHostAsync(VerbContext context, bool json, CancellationToken token)
    {
        using BrainClient client = context.Connect();
        BmcReport report = await client.GetAsync<BmcReport>(ApiRoutes.Bmc, token).ConfigureAwait(false);
        if (json)
            context.WriteJson(report);
        else
            Show.Bmc(report, context.Out);
        return report.State == "ok" ? CliExit.Ok : CliExit.Failed;
    }

    private static async Task<int> StateAsync(VerbContext context, PowerControl power, bool json, CancellationToken token)
    {
        PowerReading reading = await power.ReadPowerAsync(token).ConfigureAwait(false);
        (PowerCapabilities? can, string problem) = await power.DescribeAsync(token).ConfigureAwait(false);
        if (json)
        {
            context.WriteJson(new
            {
                State = Words.Of(reading.State),
                reading.Message,
                Evidence = reading.Evidence.Select(each => new { each.Uri, each.Value, each.Problem }),
                ResetTypes = can?.ResetTypes ?? [],
                can?.Graceful,
                can?.Force,
                can?.On,
                can?.RestorePolicy,
            });
        }
        else
        {
            context.Out.WriteLine($"power     {Words.Of(reading.State)}{(reading.Message.Length > 0 ? $": {reading.Message}" : "")}");
            foreach (PowerEvidence each in reading.Evidence)
                context.Out.WriteLine($"  {each.Uri} says {each.Value ?? "nothing"}{(each.Problem is { } why ? $" ({why})" : "")}");
            context.Out.WriteLine(can is null
                ? $"control   none: {problem}"
                : $"control   off by {can.Graceful ?? "no orderly way"}, forced by {can.Force ?? "nothing"}, on by {can.On ?? "nothing"}; after a loss of mains: {can.RestorePolicy ?? "not told"}");
        }

        return reading.State == PowerState.Unknown ? CliExit.Failed : CliExit.Ok;
    }

    private static async Task<int> OnAsync(VerbContext context, PowerControl power, CancellationToken token)
    {
        PowerActionResult asked = await power.OnAsync(token).ConfigureAwait(false);
        context.Out.WriteLine(asked.Message);
        for (long begun = TimeProvider.System.GetTimestamp(); asked.Outcome is PowerActionOutcome.Accepted or PowerActionOutcome.Uncertain or PowerActionOutcome.AlreadyThere;)
        {
            PowerReading reading = await power.ReadPowerAsync(token).ConfigureAwait(false);
            if (reading.State == PowerState.On)
            {
                context.Out.WriteLine("it is on");
                return CliExit.Ok;
            }

            if (TimeProvider.System.GetElapsedTime(begun) > ForcePatience)
                throw new CliException(CliExit.Failed, $"it is not on after {ForcePatience.TotalMinutes:0} min: {Words.Of(reading.State)} {reading.Message}");
            await Task.Delay(Interval, TimeProvider.System, token).ConfigureAwait(false);
        }

        return CliExit.Failed;
    }

    private static async Task<int> OffAsync(VerbContext context, PowerControl power, TimeSpan? forceAfter, CancellationToken token)
    {
        // 1. Orderly.
        PowerActionResult asked = await power.GracefulShutdownAsync(token).ConfigureAwait(false);
        context.Out.WriteLine(asked.Message);
        if (asked.Outcome is PowerActionOutcome.NotSent || asked.Outcome is PowerActionOutcome.Refused or PowerActionOutcome.NotSupported && forceAfter is null)
            return CliExit.Failed;
        // 2. Watched.
        if (asked.Outcome is not (PowerActionOutcome.Refused or PowerActionOutcome.NotSupported))
        {
            OffVerdict verdict = await power.VerifyOffAsync(2, Interval, forceAfter ?? Patience, token).ConfigureAwait(false);
            context.Out.WriteLine(verdict.Message);
            if (verdict.IsOff)
                return CliExit.Ok;
        }

        // 3. Forced, if that was allowed.
        if (forceAfter is null)
            return CliExit.Failed;
        PowerActionResult forced = await power.ForceOffAsync(token).ConfigureAwait(false);
        context.Out.WriteLine(forced.Message);
        OffVerdict after = await power.VerifyOffAsync(2, Interval, ForcePatience, token).ConfigureAwait(false);
        context.Out.WriteLine(after.Message);
        return after.IsOff ? CliExit.Ok : CliExit.Failed;
    }

    private static void RefuseOwn(string? uuid)
    {
        if (SystemMatch.SameUuid(uuid, HostIdentity.OfThisHost().Uuid))
            throw new CliException(CliExit.Refused, "this is the BMC of this host itself, which goes off by an evacuation only: evacuator start --power-off");
    }
}
