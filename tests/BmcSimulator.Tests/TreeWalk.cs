using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Tests;

internal static class TreeWalk
{
    /// <summary>Follows every link from the root and returns the status of each resource. Streams, fragments and other hosts are left out.</summary>
    public static async Task<IReadOnlyDictionary<string, int>> VisitAsync(BmcClient client)
    {
        var visited = new Dictionary<string, int>(StringComparer.Ordinal);
        var waiting = new Queue<string>(["/redfish/v1"]);
        while (waiting.TryDequeue(out string? uri))
        {
            if (visited.ContainsKey(uri))
            {
                continue;
            }

            Answer answer = await client.GetAsync(uri);
            visited[uri] = answer.Status;
            foreach (string link in Links(answer.Body))
            {
                waiting.Enqueue(ResourceUri.Normalise(link));
            }
        }

        return visited;
    }

    private static IEnumerable<string> Links(JsonNode? node) => node switch
    {
        JsonObject map => map.SelectMany(property => property is { Key: "@odata.id" or "@Redfish.ActionInfo" } && property.Value.Text() is { } uri
            ? uri.StartsWith("/redfish/v1", StringComparison.Ordinal) ? [uri] : []
            : Links(property.Value)),
        JsonArray list => list.SelectMany(Links),
        _ => [],
    };
}
