using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Events;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Lab.BmcSimulator.Led;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Http;

/// <summary>PATCH by a client: entity tag first, then every property, then all or nothing.</summary>
internal sealed class PatchHandler(ServiceModel model, PatchStore patches, IndicatorLed led, EventHub events, FaultMenu faults) : IRedfishHandler
{
    private static readonly string[] Writable =
    [
        IndicatorLed.Legacy, IndicatorLed.Active, "AssetTag", "HostName", "Boot", "PowerRestorePolicy", "ServiceEnabled", "SessionTimeout",
        "DeliveryRetryAttempts", "DeliveryRetryIntervalSeconds", "Resolved",
    ];

    private static readonly string[] LegacyValues = ["Lit", "Blinking", "Off"];

    public async Task<RedfishReply?> TryHandleAsync(RedfishRequest request)
    {
        if (request.Method != "PATCH")
        {
            return null;
        }

        if (model.Read(request.Uri) is not { } body || model.ReadObject(request.Uri) is not { } resource)
        {
            return RedfishError.NotFound(request.Uri);
        }

        if (CheckEntityTag(request, body, resource) is { } failed)
        {
            return failed;
        }

        if (await request.ReadBodyAsync() is not { } patch)
        {
            return RedfishError.MalformedJson();
        }

        if (patch.Select(property => Check(resource, property.Key, property.Value)).FirstOrDefault(refused => refused is not null) is { } refused)
        {
            return refused;
        }

        Apply(request.Uri, patch);
        byte[] changed = model.Read(request.Uri) ?? [];
        return new RedfishReply(200, changed).With("ETag", ServiceModel.ETag(changed));
    }

    private RedfishReply? CheckEntityTag(RedfishRequest request, byte[] body, JsonObject resource)
    {
        string? given = request.Context.Request.Headers.IfMatch;
        if (faults.Take(FaultKind.ETagMismatch, request.Method, request.Uri) is not null)
        {
            return RedfishError.PreconditionFailed();
        }

        if (string.IsNullOrEmpty(given))
        {
            return faults.Take(FaultKind.ETagRequired, request.Method, request.Uri) is null ? null : RedfishError.PreconditionRequired();
        }

        // A captured tree has its own tags inside the resources; a client may have taken either.
        return given == "*" || given == ServiceModel.ETag(body) || given == resource.Get("@odata.etag").Text() ? null : RedfishError.PreconditionFailed();
    }

    private static RedfishReply? Check(JsonObject resource, string name, JsonNode? value)
    {
        if (name.StartsWith('@'))
        {
            return null;
        }

        if (!resource.ContainsKey(name))
        {
            return RedfishError.PropertyUnknown(name);
        }

        bool isLed = name is IndicatorLed.Legacy or IndicatorLed.Active;
        if (!Writable.Contains(name) || (isLed && resource.Get(name) is null))
        {
            return RedfishError.PropertyNotWritable(name);
        }

        return name switch
        {
            IndicatorLed.Active when value.Flag() is null => RedfishError.PropertyValueType(value?.ToJsonString() ?? "null", name),
            IndicatorLed.Legacy when !LegacyValues.Contains(value.Text()) => RedfishError.PropertyValueNotInList(value?.ToJsonString() ?? "null", name),
            _ => null,
        };
    }

    private void Apply(string uri, JsonObject patch)
    {
        var plain = new JsonObject(patch.Where(property => !property.Key.StartsWith('@')).Select(property => KeyValuePair.Create(property.Key, property.Value?.DeepClone())));
        if (led.IsOn(uri))
        {
            if (plain.Get(IndicatorLed.Legacy).Text() is { } legacy)
            {
                led.Set(legacy);
                events.Publish(EventRecords.LedChanged(uri, IndicatorLed.Legacy, legacy));
            }
            else if (plain.Get(IndicatorLed.Active).Flag() is { } active)
            {
                led.Set(active);
                events.Publish(EventRecords.LedChanged(uri, IndicatorLed.Active, active ? "true" : "false"));
            }

            plain.Remove(IndicatorLed.Legacy);
            plain.Remove(IndicatorLed.Active);
        }

        if (plain.Count > 0)
        {
            patches.Merge(uri, plain);
        }
    }
}
