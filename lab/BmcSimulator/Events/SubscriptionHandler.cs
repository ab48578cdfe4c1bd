using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Http;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Events;

/// <summary>Making and ending push subscriptions, as strict as OpenBMC: unknown properties, unlisted selectors and plain http are refused.</summary>
internal sealed class SubscriptionHandler(ServiceLayout layout, SubscriptionTable subscriptions, Func<string, JsonObject?> read) : IRedfishHandler
{
    private static readonly string[] Known =
    [
        "Destination", "Protocol", "Context", "Name", "Description", "SubscriptionType", "EventFormatType", "DeliveryRetryPolicy", "EventTypes", "RegistryPrefixes",
        "ResourceTypes", "MessageIds", "OriginResources", "Severities", "HttpHeaders", "VerifyCertificate",
    ];

    public async Task<RedfishReply?> TryHandleAsync(RedfishRequest request)
    {
        if (layout.Subscriptions is not { } collection)
        {
            return null;
        }

        if (request.IsPost(collection))
        {
            return await CreateAsync(request);
        }

        return request.Method == "DELETE" && ResourceUri.Parent(request.Uri) == collection && subscriptions.Remove(ResourceUri.Id(request.Uri)) ? RedfishReply.NoContent : null;
    }

    private async Task<RedfishReply> CreateAsync(RedfishRequest request)
    {
        if (await request.ReadBodyAsync() is not { } body)
        {
            return RedfishError.MalformedJson();
        }

        if (Check(body) is { } refused)
        {
            return refused;
        }

        if (subscriptions.Add((JsonObject)body.DeepClone()) is not { } subscription)
        {
            return RedfishError.SubscriptionLimitExceeded();
        }

        string uri = subscriptions.Uri(subscription);
        return new RedfishReply(201, JsonText.Bytes(subscription.Show(uri))).With("Location", uri);
    }

    private RedfishReply? Check(JsonObject body)
    {
        if (body.FirstOrDefault(property => !Known.Contains(property.Key)) is { Key: { } unknown })
        {
            return RedfishError.PropertyUnknown(unknown);
        }

        if (body.Get("Destination").Text() is not { } destination)
        {
            return RedfishError.PropertyMissing("Destination");
        }

        if (!Uri.TryCreate(destination, UriKind.Absolute, out Uri? uri) || uri.Scheme != Uri.UriSchemeHttps)
        {
            return RedfishError.PropertyValueFormat(destination, "Destination");
        }

        if (body.Get("Protocol").Text() is not { } protocol)
        {
            return RedfishError.PropertyMissing("Protocol");
        }

        if (protocol != "Redfish")
        {
            return RedfishError.PropertyValueNotInList(protocol, "Protocol");
        }

        JsonObject? service = layout.EventService is null ? null : read(layout.EventService);
        return CheckSelector(body, "RegistryPrefixes", service.Get("RegistryPrefixes"))
            ?? CheckSelector(body, "ResourceTypes", service.Get("ResourceTypes"))
            ?? CheckSelector(body, "EventTypes", service.Get("EventTypesForSubscription"));
    }

    // A service without the list does not know the selector (iLO 5 has no RegistryPrefixes).
    private static RedfishReply? CheckSelector(JsonObject body, string name, JsonNode? offered)
    {
        if (!body.ContainsKey(name))
        {
            return null;
        }

        if (offered is null)
        {
            return RedfishError.PropertyUnknown(name);
        }

        IReadOnlyList<string> list = offered.Texts();
        return body.Get(name).Texts().FirstOrDefault(value => !list.Contains(value)) is { } wrong ? RedfishError.PropertyValueNotInList(wrong, name) : null;
    }
}
