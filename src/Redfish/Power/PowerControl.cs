using System.Text.Json.Nodes;
using Evacuator.Redfish.Health;
using Evacuator.Redfish.Resources;
using Evacuator.Redfish.Session;

namespace Evacuator.Redfish.Power;

/// <summary>
/// Reads and changes the power of one System. An order is never repeated blindly: after an answer that leaves it open, the power is read first.
/// </summary>
public sealed partial class PowerControl
{
    // What ComputerSystem.Reset may take when a service does not say (the values every schema version has).
    private static readonly string[] AssumedTypes = ["On", "ForceOff", "GracefulShutdown", "GracefulRestart", "ForceRestart", "ForceOn", "PushPowerButton"];

    // BMCs cache PowerState for half a minute and more (ironic allows 60 s).
    private static readonly TimeSpan StaleAfterOn = TimeSpan.FromSeconds(90);

    private static readonly TimeSpan BusyWait = TimeSpan.FromSeconds(5);
    private const int BusyAttempts = 3;

    // Not now, but soon: right after a change of power, in POST, while the lifecycle controller works.
    private static readonly string[] BusyKeys = ["ActionParameterValueConflict", "InvalidOperationForSystemState", "UnableToModifyDuringSystemPOST", "ResourceInUse", "SYS518", "SYS527", "ServiceTemporarilyUnavailable"];

    private readonly BmcClient _client;
    private readonly MachineView _machine;
    private readonly TimeProvider _time;
    private readonly string? _uuid;
    private long? _onSent;

    /// <param name="client">The BMC.</param>
    /// <param name="systemUri">@odata.id of the System, as the BMC gives it.</param>
    /// <param name="expectedUuid">UUID that the System must show in each read; null takes any. Guards against a BMC that was moved to another machine.</param>
    /// <param name="time">Clock of waits and evidence.</param>
    public PowerControl(BmcClient client, string systemUri, string? expectedUuid, TimeProvider time)
    {
        _client = client;
        _machine = new MachineView(client, systemUri);
        _time = time;
        _uuid = expectedUuid;
    }

    /// <summary>What the service offers; null with a message when it could not be read or has no reset action.</summary>
    public Task<(PowerCapabilities? Capabilities, string Message)> DescribeAsync(CancellationToken cancel) => DescribeAsync(_machine, _uuid, cancel);

    /// <summary>The same through any reader, where nothing is to be changed.</summary>
    public static Task<(PowerCapabilities? Capabilities, string Message)> DescribeAsync(IResourceReader reader, string systemUri, CancellationToken cancel) =>
        DescribeAsync(new MachineView(reader, systemUri), null, cancel);

    private static async Task<(PowerCapabilities? Capabilities, string Message)> DescribeAsync(MachineView machine, string? uuid, CancellationToken cancel)
    {
        (ResetAction? action, PowerActionResult? failure) = await FindActionAsync(machine, uuid, cancel).ConfigureAwait(false);
        if (action is null)
            return (null, failure!.Message);
        return (new PowerCapabilities(action.Types, Pick(action, Graceful), Pick(action, Force), Pick(action, On), action.Source, action.RestorePolicy), "");
    }

    /// <summary>Asks the operating system to shut down: GracefulShutdown, or the power button where there is only that and the machine is on.</summary>
    public Task<PowerActionResult> GracefulShutdownAsync(CancellationToken cancel) => OrderAsync(Graceful, PowerState.Off, cancel);

    /// <summary>Switches off at once.</summary>
    public Task<PowerActionResult> ForceOffAsync(CancellationToken cancel) => OrderAsync(Force, PowerState.Off, cancel);

    /// <summary>Switches on.</summary>
    public async Task<PowerActionResult> OnAsync(CancellationToken cancel)
    {
        PowerActionResult result = await OrderAsync(On, PowerState.On, cancel).ConfigureAwait(false);
        if (result.Outcome is PowerActionOutcome.Accepted or PowerActionOutcome.Uncertain)
            _onSent = _time.GetTimestamp();
        return result;
    }

    private static readonly string[] Graceful = ["GracefulShutdown", "PushPowerButton"];
    private static readonly string[] Force = ["ForceOff"];
    private static readonly string[] On = ["On", "ForceOn", "PushPowerButton"];

    private static string? Pick(ResetAction action, string[] wanted) =>
        wanted.Select(w => action.Types.FirstOrDefault(t => t.Equals(w, StringComparison.OrdinalIgnoreCase))).FirstOrDefault(t => t is not null);

    private async Task<PowerActionResult> OrderAsync(string[] wanted, PowerState goal, CancellationToken cancel)
    {
        // 1. What the service takes.
        (ResetAction? action, PowerActionResult? failure) = await FindActionAsync(_machine, _uuid, cancel).ConfigureAwait(false);
        if (action is null)
            return failure!;
        if (Pick(action, wanted) is not { } type)
            return new PowerActionResult(PowerActionOutcome.NotSupported, null, $"{_machine.SystemUri} offers none of {string.Join(", ", wanted)} but {string.Join(", ", action.Types)}");

        // 2. The power button toggles: press it only on what is surely not there yet.
        bool toggles = type.Equals("PushPowerButton", StringComparison.OrdinalIgnoreCase);
        if (toggles)
        {
            PowerReading before = await ReadPowerAsync(cancel).ConfigureAwait(false);
            if (before.State == goal)
                return new PowerActionResult(PowerActionOutcome.AlreadyThere, null, $"{_machine.SystemUri} is {goal} already");
            if (before.State is not (PowerState.On or PowerState.Off))
                return new PowerActionResult(PowerActionOutcome.NotSent, null, $"{_machine.SystemUri} has only a power button, which toggles, and its power is {before.State}: {before.Message}");
        }

        // 3. Send; look before sending again.
        for (int attempt = 1; ; attempt++)
        {
            BmcReply reply = await _client.PostAsync(action.Target, new JsonObject { ["ResetType"] = type }, cancel).ConfigureAwait(false);
            if (reply.Succeeded)
                return new PowerActionResult(PowerActionOutcome.Accepted, type, $"{type} accepted ({reply.Status})", reply.Status == 202 ? reply.Location : null);
            bool unsent = reply.Status == 0 && reply.Error is BmcError.NoTrust or BmcError.CertificateChanged or BmcError.CertificateUntrusted or BmcError.TlsFailed
                or BmcError.CredentialsRefused or BmcError.SessionTableFull or BmcError.PasswordChangeRequired;
            if (unsent)
                return new PowerActionResult(PowerActionOutcome.NotSent, type, reply.Message);
            PowerReading after = await ReadPowerAsync(cancel).ConfigureAwait(false);
            if (after.State == goal)
                return new PowerActionResult(PowerActionOutcome.AlreadyThere, type, $"{_machine.SystemUri} is {goal} ({type} answered {reply.Status})");
            bool busy = reply.Error is BmcError.Conflict or BmcError.Overloaded || BusyKeys.Any(reply.HasMessage);
            bool open = reply.Error is BmcError.Timeout or BmcError.Unreachable or BmcError.ServerFailed or BmcError.Malformed or BmcError.TooLarge;
            bool again = attempt < BusyAttempts && (busy || (open && !toggles && after.State is PowerState.On or PowerState.Off));
            if (!again)
            {
                return open
                    ? new PowerActionResult(PowerActionOutcome.Uncertain, type, $"{reply.Message}; whether {type} is carried out is not known, the power reads {after.State}")
                    : new PowerActionResult(PowerActionOutcome.Refused, type, reply.Message);
            }
            TimeSpan wait = reply.RetryAfter is { } asked && asked > BusyWait && asked <= _client.Options.Timeouts.MaxRetryAfter ? asked : BusyWait;
            await Task.Delay(wait, _time, cancel).ConfigureAwait(false);
        }
    }

    private static async Task<(ResetAction? Action, PowerActionResult? Failure)> FindActionAsync(MachineView machine, string? uuid, CancellationToken cancel)
    {
        ReadResult system = await machine.ReadSystemAsync(cancel).ConfigureAwait(false);
        if (system.Resource is not { } resource)
            return (null, new PowerActionResult(PowerActionOutcome.NotSent, null, $"{machine.SystemUri} cannot be read: {system.Message}"));
        if (Mismatch(machine, resource, uuid) is { } mismatch)
            return (null, new PowerActionResult(PowerActionOutcome.NotSent, null, mismatch));
        if (resource.Child("Actions", "#ComputerSystem.Reset") is not { } action || action.Link("target") is not { } target)
            return (null, new PowerActionResult(PowerActionOutcome.NotSupported, null, $"{machine.SystemUri} has no reset action"));
        string? policy = resource.Text("PowerRestorePolicy");
        IReadOnlyList<string> types = action.Texts("ResetType@Redfish.AllowableValues");
        if (types.Count > 0)
            return (new ResetAction(target, types, "inline", policy), null);
        if (action.Link("@Redfish.ActionInfo") is { } infoUri)
        {
            ReadResult info = await machine.ReadAsync(infoUri, cancel).ConfigureAwait(false);
            types = info.Resource?.Items("Parameters").FirstOrDefault(p => "ResetType".Equals(p.Text("Name"), StringComparison.OrdinalIgnoreCase))?.Texts("AllowableValues") ?? [];
            if (types.Count > 0)
                return (new ResetAction(target, types, "ActionInfo", policy), null);
        }
        return (new ResetAction(target, AssumedTypes, "assumed", policy), null);
    }

    /// <summary>Why this System is not the machine that is meant; null when it is, or when nothing is known to compare.</summary>
    private static string? Mismatch(MachineView machine, RedfishResource system, string? uuid) =>
        uuid is null || system.Text("UUID") is not { } found || SystemMatch.SameUuid(uuid, found)
            ? null
            : $"{machine.SystemUri} is another machine: its UUID is {found}, expected {uuid}; nothing is done";

    private sealed record ResetAction(string Target, IReadOnlyList<string> Types, string Source, string? RestorePolicy);
}
