using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Events;

/// <summary>A change to a resource that goes with an event, so that state and event agree.</summary>
internal sealed record ResourcePatch(string Uri, JsonObject Body);

/// <summary>
/// What can be posted as an event: a Redfish Event (<c>{"Events":[…]}</c>), one record, or the short form
/// <c>{"MessageId", "OriginOfCondition", "Severity"}</c> whose origin is a plain string; each with an optional
/// <c>"Patch": [{"uri", "body"}]</c>, which is taken out before the event is sent.
/// </summary>
internal sealed record EventPayload(JsonObject Event, IReadOnlyList<ResourcePatch> Patches)
{
    /// <exception cref="FormatException">It is none of the forms.</exception>
    public static EventPayload Parse(JsonObject posted)
    {
        var copy = (JsonObject)posted.DeepClone();
        IReadOnlyList<ResourcePatch> patches = TakePatches(copy);
        if (copy.ContainsKey("Events"))
        {
            return new EventPayload(copy, patches);
        }

        if (!copy.ContainsKey("MessageId") && !copy.ContainsKey("Message"))
        {
            throw new FormatException("an event has Events, or a record with MessageId or Message");
        }

        if (copy.Get("OriginOfCondition").Text() is { } origin)
        {
            copy["OriginOfCondition"] = CollectionMembers.Link(origin);
        }

        return new EventPayload(new JsonObject { ["Events"] = new JsonArray(copy) }, patches);
    }

    private static ResourcePatch[] TakePatches(JsonObject posted)
    {
        JsonNode? patches = posted.Get("Patch");
        posted.Remove("Patch");
        return patches is null
            ? []
            : patches is JsonArray list
                ? [.. list.Select(patch => patch.Get("uri").Text() is { } uri && patch.Get("body") is JsonObject body
                    ? new ResourcePatch(ResourceUri.Normalise(uri), (JsonObject)body.DeepClone())
                    : throw new FormatException("each member of Patch has a \"uri\" and an object \"body\""))]
                : throw new FormatException("Patch is a list of {\"uri\", \"body\"}");
    }
}
