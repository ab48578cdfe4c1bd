using System.Globalization;
using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Events;

/// <summary>
/// Shows the event log among the entries of the tree's log, at the end that this service adds to, and in pages:
/// <c>?$skip=N</c>, with a nextLink while more follow. Pages that a captured tree names but does not hold are empty.
/// </summary>
internal sealed class EventLogOverlay(ServiceLayout layout, ResourceTree tree, EventLog log, int pageSize) : IResourceOverlay
{
    // Ids of our own entries must not meet those of the tree.
    private readonly string _idPrefix = HasEntries(tree, layout.LogEntries) ? "E" : "";
    private readonly bool _newestFirst = IsNewestFirst(tree, layout.LogEntries);

    public bool Covers(string uri) => uri == layout.LogEntries;

    public void Apply(string uri, JsonObject resource)
    {
        JsonObject[] own = [.. log.List().Select(Show)];
        JsonArray members = resource.Get("Members") as JsonArray ?? [];
        double total = Math.Max(members.Count, resource.Get("Members@odata.count").Number() ?? 0) + own.Length;
        foreach (JsonObject entry in own)
        {
            members.Insert(_newestFirst ? 0 : members.Count, entry);
        }

        resource["Members"] = members;
        resource["Members@odata.count"] = (int)total;
    }

    public JsonObject? Create(string uri)
    {
        if (layout.LogEntries is not { } entries || ResourceUri.Parent(uri) != entries || !ResourceUri.Id(uri).StartsWith(_idPrefix, StringComparison.Ordinal))
        {
            return null;
        }

        return log.Find(ResourceUri.Id(uri)[_idPrefix.Length..]) is { } entry ? Show(entry) : null;
    }

    /// <summary>Cuts one page out of a collection; a query that asks for no page gets the first. Anything else stays as it is.</summary>
    /// <param name="uri">The collection.</param>
    /// <param name="body">All of it.</param>
    /// <param name="skip">How many members come before the page.</param>
    public byte[] CutPage(string uri, byte[] body, int skip)
    {
        if ((skip == 0 && uri != layout.LogEntries) || JsonText.Parse(body) is not JsonObject collection || collection.Get("Members") is not JsonArray members)
        {
            return body;
        }

        if (uri != layout.LogEntries)
        {
            // A later page of a captured collection: it was not captured.
            collection["Members"] = new JsonArray();
            collection.Remove("Members@odata.nextLink");
            return JsonText.Bytes(collection);
        }

        if (skip > 0)
        {
            collection.Remove("Members@odata.nextLink");
        }

        bool more = members.Count > skip + pageSize;
        if (skip > 0 || more)
        {
            collection["Members"] = new JsonArray([.. members.Skip(skip).Take(pageSize).Select(member => member?.DeepClone())]);
        }

        if (more)
        {
            collection["Members@odata.nextLink"] = string.Create(CultureInfo.InvariantCulture, $"{uri}?$skip={skip + pageSize}");
        }

        return JsonText.Bytes(collection);
    }

    private JsonObject Show(JsonObject entry)
    {
        string id = _idPrefix + entry.Get("Id").Text();
        var shown = new JsonObject { ["@odata.id"] = $"{layout.LogEntries}/{id}" };
        foreach ((string name, JsonNode? value) in entry)
        {
            shown[name] = name == "Id" ? id : value?.DeepClone();
        }

        return shown;
    }

    private static bool HasEntries(ResourceTree tree, string? uri) => Members(tree, uri).Count > 0;

    private static bool IsNewestFirst(ResourceTree tree, string? uri)
    {
        double?[] ids = [.. Members(tree, uri).Take(2).Select(member => double.TryParse(ResourceUri.Id(member.Link() ?? ""), CultureInfo.InvariantCulture, out double id) ? id : (double?)null)];
        return ids is [{ } first, { } second] && first > second;
    }

    private static JsonArray Members(ResourceTree tree, string? uri) =>
        uri is not null && tree.Find(uri) is { } bytes && JsonText.Parse(bytes).Get("Members") is JsonArray members ? members : [];
}
