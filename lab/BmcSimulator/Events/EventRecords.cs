using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Events;

/// <summary>The records that the BMC makes by itself, with ids of the DMTF ResourceEvent registry.</summary>
internal static class EventRecords
{
    private const string Prefix = "ResourceEvent.1.4.";

    public static JsonObject PowerChanged(string system, string state)
    {
        (string id, string what) = state switch
        {
            "On" => ("ResourcePoweredOn", "has powered on"),
            "Off" => ("ResourcePoweredOff", "has powered off"),
            "PoweringOn" => ("ResourcePoweringOn", "is powering on"),
            _ => ("ResourcePoweringOff", "is powering off"),
        };
        return Create("ResourceUpdated", id, "OK", $"The resource '{system}' {what}.", system, system);
    }

    public static JsonObject LedChanged(string uri, string property, string value) =>
        Create("ResourceUpdated", "PropertyValueModifiedByClient", "OK", $"The property {property} was set to '{value}' by a client.", uri, property, value);

    public static JsonObject HealthChanged(string uri, string health)
    {
        string id = health switch
        {
            "Critical" => "ResourceStatusChangedCritical",
            "Warning" => "ResourceStatusChangedWarning",
            _ => "ResourceStatusChangedOK",
        };
        return Create("StatusChange", id, health, $"The health of '{ResourceUri.Id(uri)}' is now {health}.", uri, ResourceUri.Id(uri), health);
    }

    public static JsonObject Test(JsonObject parameters)
    {
        var record = new JsonObject { ["EventType"] = "Alert", ["Severity"] = "OK", ["Message"] = "This is a test event." };
        foreach ((string name, JsonNode? value) in parameters)
        {
            record[name] = value?.DeepClone();
        }

        if (record.Get("OriginOfCondition").Text() is { } origin)
        {
            record["OriginOfCondition"] = CollectionMembers.Link(origin);
        }

        return record;
    }

    private static JsonObject Create(string type, string id, string severity, string message, string origin, params string[] args) => new()
    {
        ["EventType"] = type,
        ["Severity"] = severity,
        ["MessageSeverity"] = severity,
        ["Message"] = message,
        ["MessageId"] = Prefix + id,
        ["MessageArgs"] = new JsonArray([.. args.Select(arg => (JsonNode)arg)]),
        ["OriginOfCondition"] = CollectionMembers.Link(origin),
    };
}
