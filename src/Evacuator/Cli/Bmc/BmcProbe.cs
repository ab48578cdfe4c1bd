using Evacuator.Evacuation;
using Evacuator.Redfish.Events;
using Evacuator.Redfish.Health;
using Evacuator.Redfish.Power;
using Evacuator.Redfish.Resources;
using Evacuator.Redfish.Session;

namespace Evacuator.Cli.Bmc;

/// <summary>
/// Reads a service once, from every side that matters here, and changes nothing. Each resource is asked for once.
/// </summary>
/// <remarks>1. Connect. 2. Which machine is it? 3. Health. 4. Power and LED. 5. Events and logs.</remarks>
internal sealed class BmcProbe(BmcTarget target, TimeSpan limit, TimeProvider time, Random random)
{
    private readonly List<string> _warnings = [.. target.Warnings];

    /// <exception cref="CliException">nothing could be read; says why</exception>
    public async Task<ProbeReport> RunAsync(CancellationToken token)
    {
        long begun = time.GetTimestamp();
        // 1.
        (BmcClient client, RedfishResource root) = await ConnectAsync(token).ConfigureAwait(false);
        await using (client.ConfigureAwait(false))
        {
            RememberingReader reader = new(client);
            if (target.Options.User is null || ShowsAll(root))
                reader.Remember(HealthWalk.ServiceRoot, root);
            // 2.
            SystemMatch match = await SystemMatch.FindAsync(reader, new HostIdentity(target.Options.SystemUuid, null), target.Options.SystemId, token).ConfigureAwait(false);
            if (match.Outcome == MatchOutcome.None && root.Link("Systems") is { } link && (await reader.ReadAsync(link, token).ConfigureAwait(false)).Outcome == ReadOutcome.Unauthorized)
                throw new CliException(CliExit.Failed, $"{match.Reason}{(target.Options.User is null ? "; it wants a login: give --user and --password-file" : "")}{Hints()}");
            if (match.Outcome != MatchOutcome.Unique)
                _warnings.Add($"which machine this is cannot be told: {match.Reason}");
            else if (target.Options.SystemUuid is { } uuid && match.System?.Text("UUID") is { } own && !SystemMatch.SameUuid(own, uuid))
                _warnings.Add($"{match.System.Uri} is taken because it is named, but its UUID is {own} and not {uuid}");
            // 3.
            HealthReading? health = match.Scope is { } scope
                ? await HealthWalk.RunAsync(reader, scope, HealthWalkOptions.Default with { MaxDuration = limit }, time, token).ConfigureAwait(false)
                : null;
            _warnings.AddRange(health?.Warnings ?? []);
            _warnings.AddRange(health?.Areas.Where(area => area.State == AreaState.CannotTell).Select(area => $"cannot tell about {Words.Of(area.Area)}: {area.Reason}") ?? []);
            // 4.
            ProbedPower power = await PowerAsync(reader, match, token).ConfigureAwait(false);
            ProbedLed led = await LedAsync(reader, match, token).ConfigureAwait(false);
            // 5.
            ProbedEvents events = await EventsAsync(reader, token).ConfigureAwait(false);
            IReadOnlyList<ProbedLog> logs = await LogsAsync(reader, match, token).ConfigureAwait(false);
            _warnings.AddRange(client.Warnings);
            return new ProbeReport(
                ServiceOf(root, match.System),
                match.System is { } system ? SystemOf(system) : null,
                Words.Of(match.Outcome),
                [.. (health?.Signals ?? []).Select(SignalOf)],
                ProbeVerdict.Of(health),
                power,
                led,
                events,
                logs,
                [.. _warnings.Distinct()],
                client.RequestCount,
                (long)time.GetElapsedTime(begun).TotalMilliseconds)
            {
                Areas = health?.Areas ?? [],
            };
        }
    }

    // Read before the login; some services show strangers less of their root.
    private static bool ShowsAll(RedfishResource root) =>
        root.Link("Systems") is not null && root.Link("Chassis") is not null && root.Link("Managers") is not null && root.Link("EventService") is not null;

    private string Hints() => target.Warnings.Count > 0 ? $" ({string.Join("; ", target.Warnings)})" : "";

    // A mock-up server takes no login but shows everything: then it is read without one. A real one refuses that too.
    private async Task<(BmcClient Client, RedfishResource Root)> ConnectAsync(CancellationToken token)
    {
        (BmcClient? client, RedfishResource? root, string problem) = await TryAsync(target.Options, token).ConfigureAwait(false);
        if (client is null && target.Options.User is not null)
        {
            string refusal = problem;
            (client, root, problem) = await TryAsync(target.Options with { User = null, Password = null, StateFolder = null }, token).ConfigureAwait(false);
            if (client is not null && root!.Link("Systems") is { } systems && !(await client.ReadAsync(systems, token).ConfigureAwait(false)).IsFound)
            {
                await client.DisposeAsync().ConfigureAwait(false);
                client = null;
            }

            problem = refusal;
            if (client is not null)
                _warnings.Add($"read without logging in, for that failed: {refusal}");
        }

        return client is not null ? (client, root!) : throw new CliException(CliExit.Failed, problem + Hints());
    }

    private async Task<(BmcClient? Client, RedfishResource? Root, string Problem)> TryAsync(BmcOptions options, CancellationToken token)
    {
        BmcClient client = new(options, time, random);
        bool isOpen = false;
        try
        {
            BmcReply reply = await client.ConnectAsync(token).ConfigureAwait(false);
            isOpen = reply is { Succeeded: true, Resource: not null };
            return isOpen ? (client, reply.Resource, "") : (null, null, Advised(reply, options));
        }
        finally
        {
            if (!isOpen)
                await client.DisposeAsync().ConfigureAwait(false);
        }
    }

    private static string Advised(BmcReply reply, BmcOptions options) => reply.Error switch
    {
        BmcError.CredentialsRefused when options.User is null => $"{reply.Message}; it wants a login: give --user and --password-file",
        BmcError.NoTrust when options.Url.Scheme == Uri.UriSchemeHttp => $"{options.Url} leads to HTTPS: give its https:// address",
        _ => reply.Message,
    };

    private static ProbedService ServiceOf(RedfishResource root, RedfishResource? system) => new(
        Known(root.Text("Vendor")) ?? root.Child("Oem")?.PropertyNames.Select(VendorOf).FirstOrDefault(name => name is not null) ?? Known(system?.Text("Manufacturer")),
        Known(root.Text("Product")),
        Known(root.Text("RedfishVersion")));

    /// <summary>Older services name their vendor only by the name under Oem.</summary>
    private static string? VendorOf(string oem) => oem.ToLowerInvariant() switch
    {
        "hpe" or "hp" => "HPE",
        "dell" => "Dell",
        "lenovo" => "Lenovo",
        "supermicro" => "Supermicro",
        "ami" => "AMI",
        "openbmc" => "OpenBMC",
        "nvidia" => "NVIDIA",
        "ts_fujitsu" or "fujitsu" => "Fujitsu",
        "intel" or "intel_rackscale" => "Intel",
        "cisco" => "Cisco",
        "huawei" => "Huawei",
        _ => null,
    };

    private static ProbedSystem SystemOf(RedfishResource system) => new(
        system.Id ?? RedfishUri.LastSegment(system.Uri),
        Known(system.Text("Manufacturer")),
        Known(system.Text("Model")),
        Known(system.Text("SerialNumber")) ?? Known(system.Text("SKU")),
        Known(system.Text("UUID")),
        system.Text("PowerState"));

    private static ProbedSignal SignalOf(Signal signal)
    {
        string location = (signal.Location.Place is null ? signal.Location with { Place = signal.Name } : signal.Location).ToString();
        return new ProbedSignal(Words.Of(signal.Component), location, Words.Of(signal.Kind), Words.Of(signal.Severity), signal.Predicted, signal.State, signal.MessageId, signal.Evidence)
        {
            Text = signal.Text,
        };
    }

    private async Task<ProbedPower> PowerAsync(IResourceReader reader, SystemMatch match, CancellationToken token)
    {
        if (match.System is not { } system)
            return new ProbedPower([], null, null);
        (PowerCapabilities? capabilities, string message) = await PowerControl.DescribeAsync(reader, system.Uri, token).ConfigureAwait(false);
        if (capabilities is null)
        {
            _warnings.Add($"its power cannot be controlled: {message}");
            return new ProbedPower([], null, null);
        }

        if (capabilities.Source == "assumed")
            _warnings.Add("the service does not say which reset types it takes: those of every version are assumed");
        if (capabilities.RestorePolicy?.Equals("AlwaysOn", StringComparison.OrdinalIgnoreCase) == true)
            _warnings.Add("PowerRestorePolicy is AlwaysOn: after a loss of mains an emptied host comes back by itself");
        return new ProbedPower(capabilities.ResetTypes, capabilities.Graceful, capabilities.Force);
    }

    private async Task<ProbedLed> LedAsync(IResourceReader reader, SystemMatch match, CancellationToken token)
    {
        if (match.System is not { } system)
            return new ProbedLed(null, null);
        (LedState? state, string message) = await LocatorLed.ReadAsync(reader, system.Uri, token).ConfigureAwait(false);
        if (state is null)
            _warnings.Add($"no locator LED: {message}");
        return new ProbedLed(state?.Property, state?.Value);
    }

    private async Task<ProbedEvents> EventsAsync(IResourceReader reader, CancellationToken token)
    {
        (EventOffer? offer, string message) = await EventOffer.ReadAsync(reader, canBePushedTo: true, token).ConfigureAwait(false);
        if (offer is null)
            return new ProbedEvents("poll", $"what the service offers could not be read: {message}");
        _warnings.AddRange(offer.Warnings.Select(warning => $"event service: {warning}"));
        return new ProbedEvents(Words.Of(offer.Mode), offer.Reason);
    }

    private async Task<IReadOnlyList<ProbedLog>> LogsAsync(IResourceReader reader, SystemMatch match, CancellationToken token)
    {
        if (match.System is not { } system)
            return [];
        (IReadOnlyList<BmcLog> logs, IReadOnlyList<string> warnings) = await LogFinder.FindAsync(reader, system.Uri, token).ConfigureAwait(false);
        _warnings.AddRange(warnings);
        return [.. logs.Select(log => new ProbedLog(log.Id, log.EntriesUri, log.Polled, log.Note))];
    }

    private static string? Known(string? text) => string.IsNullOrWhiteSpace(text) ? null : text;
}
