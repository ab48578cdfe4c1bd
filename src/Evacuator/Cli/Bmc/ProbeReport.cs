using System.Text.Json.Serialization;

namespace Evacuator.Cli.Bmc;

/// <summary>What "bmc probe" understood of a service; its JSON is part of the interface (docs/formats.md).</summary>
/// <param name="System">null unless exactly one system is the machine</param>
/// <param name="Match">unique, ambiguous or none</param>
/// <param name="Verdict">ok, unknown, notify, evacuate, evacuate-and-power-off or urgent: what would be done about what this one look shows, once it had persisted</param>
/// <param name="Logs">logs found; those that are polled where the service neither streams nor pushes are marked</param>
/// <param name="Warnings">what is odd, missing or not to be trusted, for people</param>
/// <param name="Requests">HTTP requests made</param>
internal sealed record ProbeReport(
    ProbedService Service,
    ProbedSystem? System,
    string Match,
    IReadOnlyList<ProbedSignal> Signals,
    string Verdict,
    ProbedPower Power,
    ProbedLed Led,
    ProbedEvents Events,
    IReadOnlyList<ProbedLog> Logs,
    IReadOnlyList<string> Warnings,
    long Requests,
    long ElapsedMs)
{
    /// <summary>What is known area by area, for the table that people see.</summary>
    [JsonIgnore]
    public IReadOnlyList<Evacuator.Redfish.Health.AreaReading> Areas { get; init; } = [];
}

/// <param name="Version">of Redfish, as the service says it</param>
internal sealed record ProbedService(string? Vendor, string? Product, string? Version);

internal sealed record ProbedSystem(string? Id, string? Manufacturer, string? Model, string? Serial, string? Uuid, string? PowerState);

/// <param name="Location">where a technician finds the part: label of slot, bay or DIMM, then maker, model, part and serial number</param>
/// <param name="State">Status.State of the part as sent; null where it has none</param>
/// <param name="MessageId">the message that says so; null where a property does</param>
/// <param name="Evidence">URI of the resource that shows it</param>
internal sealed record ProbedSignal(string Component, string Location, string Kind, string Severity, bool Predicted, string? State, string? MessageId, string Evidence)
{
    /// <summary>What the evidence says, for people.</summary>
    [JsonIgnore]
    public string Text { get; init; } = "";
}

/// <param name="ResetTypes">as the service lists them; empty where there is no reset action</param>
/// <param name="Graceful">what an orderly shutdown is asked with; null where nothing does</param>
/// <param name="Force">what switches off at once; null where nothing does</param>
internal sealed record ProbedPower(IReadOnlyList<string> ResetTypes, string? Graceful, string? Force);

/// <param name="Property">LocationIndicatorActive or IndicatorLED; null where there is no locator LED</param>
/// <param name="Value">as read</param>
internal sealed record ProbedLed(string? Property, string? Value);

/// <param name="Mode">sse, push or poll: the best way that the service offers</param>
internal sealed record ProbedEvents(string Mode, string Reason);

internal sealed record ProbedLog(string Id, string Uri, bool Polled, string Note);
