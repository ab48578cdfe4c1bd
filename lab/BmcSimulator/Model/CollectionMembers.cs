using System.Text.Json.Nodes;

namespace Evacuator.Lab.BmcSimulator.Model;

internal static class CollectionMembers
{
    public static JsonObject Link(string uri) => new() { ["@odata.id"] = uri };

    /// <summary>Adds links at the end and corrects the count, which is the total and not the length of this page.</summary>
    public static void Append(JsonObject collection, IEnumerable<string> uris)
    {
        JsonArray members = collection.Get("Members") as JsonArray ?? [];
        int before = members.Count;
        foreach (string uri in uris)
        {
            members.Add(Link(uri));
        }

        double total = Math.Max(collection.Get("Members@odata.count").Number() ?? 0, before) + members.Count - before;
        collection["Members"] = members;
        collection["Members@odata.count"] = (int)total;
    }
}
