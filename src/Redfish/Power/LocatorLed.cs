using System.Text.Json.Nodes;
using Evacuator.Redfish.Resources;
using Evacuator.Redfish.Session;

namespace Evacuator.Redfish.Power;

/// <summary>Where the locator LED is set and how it stands.</summary>
/// <param name="Uri">The resource that holds it.</param>
/// <param name="Property">LocationIndicatorActive or IndicatorLED.</param>
/// <param name="Value">As read: "true", "false", "Lit", "Blinking", "Off".</param>
/// <param name="IsLit">Whether it points at the machine.</param>
public sealed record LedState(string Uri, string Property, string Value, bool IsLit);

/// <summary>What came of setting the LED.</summary>
/// <param name="Error">None when the BMC took it.</param>
/// <param name="Previous">How it stood before; give it to <see cref="LocatorLed.RestoreAsync"/>, since someone else may have lit it.</param>
/// <param name="Now">How it was read back; null when it was not.</param>
/// <param name="Confirmed">Read back as wanted.</param>
/// <param name="Message">What is wrong; empty when confirmed.</param>
public sealed record LedResult(BmcError Error, LedState? Previous, LedState? Now, bool Confirmed, string Message);

/// <summary>
/// The LED by which a technician finds the machine: LocationIndicatorActive or IndicatorLED on the System, else on its Chassis.
/// Services show properties they refuse to change, so the next candidate is tried when one is refused.
/// </summary>
public sealed class LocatorLed
{
    private const string NewProperty = "LocationIndicatorActive";
    private const string OldProperty = "IndicatorLED";
    private static readonly TimeSpan ConfirmWithin = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan ConfirmEvery = TimeSpan.FromSeconds(1);

    private readonly BmcClient _client;
    private readonly MachineView _machine;
    private readonly TimeProvider _time;

    public LocatorLed(BmcClient client, string systemUri, TimeProvider time)
    {
        _client = client;
        _machine = new MachineView(client, systemUri);
        _time = time;
    }

    /// <summary>How the LED stands; null with a message when there is none or it cannot be read.</summary>
    public Task<(LedState? State, string Message)> ReadAsync(CancellationToken cancel) => ReadAsync(_machine, cancel);

    /// <summary>The same through any reader, where nothing is to be changed.</summary>
    public static Task<(LedState? State, string Message)> ReadAsync(IResourceReader reader, string systemUri, CancellationToken cancel) =>
        ReadAsync(new MachineView(reader, systemUri), cancel);

    private static async Task<(LedState? State, string Message)> ReadAsync(MachineView machine, CancellationToken cancel)
    {
        (List<Candidate> candidates, string message) = await FindAsync(machine, firstOnly: true, cancel).ConfigureAwait(false);
        return candidates.Count > 0 ? (candidates[0].State, "") : (null, message);
    }

    public async Task<LedResult> SetAsync(bool lit, CancellationToken cancel)
    {
        (List<Candidate> candidates, string message) = await FindAsync(_machine, firstOnly: false, cancel).ConfigureAwait(false);
        LedResult last = new(BmcError.NotSupported, null, null, false, message);
        foreach (Candidate candidate in candidates)
        {
            foreach (JsonNode value in candidate.ValuesFor(lit))
            {
                last = await ApplyAsync(candidate.State, value, cancel).ConfigureAwait(false);
                if (last.Error is not (BmcError.Rejected or BmcError.NotSupported or BmcError.NotFound))
                    return last;
            }
        }
        return last;
    }

    /// <summary>Sets the LED to what it was before <see cref="SetAsync"/>.</summary>
    public Task<LedResult> RestoreAsync(LedState previous, CancellationToken cancel) =>
        ApplyAsync(previous, previous.Property == NewProperty ? JsonValue.Create(previous.IsLit) : JsonValue.Create(previous.Value), cancel);

    private async Task<LedResult> ApplyAsync(LedState state, JsonNode value, CancellationToken cancel)
    {
        BmcReply reply = await _client.PatchAsync(state.Uri, new JsonObject { [state.Property] = value.DeepClone() }, cancel).ConfigureAwait(false);
        if (!reply.Succeeded)
            return new LedResult(reply.Error, state, null, false, reply.Message);
        string wanted = value.ToString();
        long start = _time.GetTimestamp();
        LedState? now = null;
        while (true)
        {
            ReadResult read = await _machine.ReadAsync(state.Uri, cancel).ConfigureAwait(false);
            if (read.Resource is { } resource && StateOf(resource, state.Uri, state.Property) is { } found)
            {
                now = found.State;
                if (now.Value.Equals(wanted, StringComparison.OrdinalIgnoreCase))
                    return new LedResult(BmcError.None, state, now, true, "");
            }
            // iLO takes seconds to show what it accepted.
            if (_time.GetElapsedTime(start) + ConfirmEvery > ConfirmWithin)
                return new LedResult(BmcError.None, state, now, false, $"{state.Uri} took {state.Property} {wanted} but still reads {now?.Value ?? "nothing"} after {ConfirmWithin.TotalSeconds:0} s");
            await Task.Delay(ConfirmEvery, _time, cancel).ConfigureAwait(false);
        }
    }

    private static async Task<(List<Candidate> Candidates, string Message)> FindAsync(MachineView machine, bool firstOnly, CancellationToken cancel)
    {
        List<Candidate> candidates = [];
        ReadResult read = await machine.ReadSystemAsync(cancel).ConfigureAwait(false);
        if (read.Resource is not { } system)
            return (candidates, $"{machine.SystemUri} cannot be read: {read.Message}");
        Add(candidates, system, machine.SystemUri);
        foreach (string uri in MachineView.ChassisOf(system))
        {
            if (firstOnly && candidates.Count > 0)
                break;
            // The LED of a shared enclosure would point at the neighbours too.
            if ((await machine.ReadAsync(uri, cancel).ConfigureAwait(false)).Resource is { } chassis && machine.IsOwn(chassis))
                Add(candidates, chassis, uri);
        }
        return (candidates, candidates.Count > 0 ? "" : $"{machine.SystemUri} and its Chassis have neither {NewProperty} nor {OldProperty}");
    }

    private static void Add(List<Candidate> candidates, RedfishResource resource, string uri)
    {
        foreach (string property in (ReadOnlySpan<string>)[NewProperty, OldProperty])
            if (StateOf(resource, uri, property) is { } candidate)
                candidates.Add(candidate);
    }

    private static Candidate? StateOf(RedfishResource resource, string uri, string property)
    {
        if (property == NewProperty)
            return resource.Flag(NewProperty) is { } active ? new Candidate(new LedState(uri, NewProperty, active ? "true" : "false", active), []) : null;
        if (resource.Text(OldProperty) is not { } value || value.Equals("Unknown", StringComparison.OrdinalIgnoreCase))
            return null;
        IReadOnlyList<string> allowed = resource.Texts(OldProperty + "@Redfish.AllowableValues");
        // iDRAC knows only Lit and Blinking: there, Lit is the LED at rest.
        bool restsLit = allowed.Count > 0 && !allowed.Contains("Off", StringComparer.OrdinalIgnoreCase);
        bool lit = value.Equals("Blinking", StringComparison.OrdinalIgnoreCase) || (value.Equals("Lit", StringComparison.OrdinalIgnoreCase) && !restsLit);
        return new Candidate(new LedState(uri, OldProperty, value, lit), allowed);
    }

    private sealed record Candidate(LedState State, IReadOnlyList<string> Allowed)
    {
        /// <summary>Values to try, best first.</summary>
        public IEnumerable<JsonNode> ValuesFor(bool lit)
        {
            if (State.Property == NewProperty)
                return [JsonValue.Create(lit)];
            string[] order = lit ? ["Blinking", "Lit"] : ["Off", "Lit"];
            return order.Where(v => Allowed.Count == 0 || Allowed.Contains(v, StringComparer.OrdinalIgnoreCase)).Select(v => (JsonNode)JsonValue.Create(v));
        }
    }
}
