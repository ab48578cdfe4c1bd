using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Events;

/// <summary>One push subscription: what the client asked for, and what became of it.</summary>
internal sealed class Subscription(string id, JsonObject body)
{
    private volatile bool _suspended;

    public string Id => id;

    /// <summary>The properties as the client gave them, never changed after creation.</summary>
    public JsonObject Body => body;

    public Uri Destination { get; } = new(body.Get("Destination").Text()!);

    public string? Context { get; } = body.Get("Context").Text();

    public string RetryPolicy { get; } = body.Get("DeliveryRetryPolicy").Text() ?? "TerminateAfterRetries";

    public bool VerifyCertificate { get; } = body.Get("VerifyCertificate").Flag() ?? false;

    /// <summary>Deliveries have failed for too long; nothing is sent until it is made anew.</summary>
    public bool Suspended
    {
        get => _suspended;
        set => _suspended = value;
    }

    /// <summary>Whether the client's selectors let the record through; without selectors everything does.</summary>
    public bool Wants(JsonObject record)
    {
        string? messageId = record.Get("MessageId").Text();
        string? prefix = messageId?.Split('.')[0];
        string? key = messageId?.Split('.')[^1];
        string? origin = record.Get("OriginOfCondition").Link();
        return Allows("EventTypes", record.Get("EventType").Text())
            && Allows("RegistryPrefixes", prefix)
            && (Allows("MessageIds", key) || Allows("MessageIds", messageId))
            && Allows("Severities", record.Get("Severity").Text() ?? record.Get("MessageSeverity").Text())
            && (body.Get("OriginResources") is not JsonArray { Count: > 0 } origins || origins.Links().Any(wanted => wanted == origin));
    }

    public JsonObject Show(string uri)
    {
        var shown = new JsonObject
        {
            ["@odata.id"] = uri,
            ["@odata.type"] = "#EventDestination.v1_13_1.EventDestination",
            ["Id"] = id,
            ["Name"] = "Event Subscription " + id,
            ["SubscriptionType"] = "RedfishEvent",
            ["EventFormatType"] = "Event",
            ["DeliveryRetryPolicy"] = RetryPolicy,
            ["VerifyCertificate"] = VerifyCertificate,
        };
        foreach ((string name, JsonNode? value) in body)
        {
            shown[name] = value?.DeepClone();
        }

        shown["HttpHeaders"] = new JsonArray(); // They may hold secrets: written, never read.
        shown["Status"] = new JsonObject { ["State"] = _suspended ? "Disabled" : "Enabled", ["Health"] = _suspended ? "Warning" : "OK" };
        return shown;
    }

    private bool Allows(string selector, string? value)
    {
        IReadOnlyList<string> wanted = body.Get(selector).Texts();
        return wanted.Count == 0 || (value is not null && wanted.Contains(value));
    }
}
