using System.Text.Json.Nodes;

namespace Evacuator.Redfish.Tests.Health;

/// <summary>What was done to a resource.</summary>
public enum MutationKind
{
    // These take data away and nothing else.
    Drop,
    Null,
    Shorten,
    Vanish,
    CutOff,

    // These change it.
    Retype,
    Nest,
    Enlarge,
    Swap,
    Recase,
}

/// <summary>Changes one place of one JSON document, chosen by the random source.</summary>
internal static class Mutation
{
    private static readonly string[] Nonsense = ["", "N/A", "true", "42", "-1", "Critical", "Enabled", "/redfish/v1", "9999-12-31T23:59:59+00:00", "\u0000\r\n", "\ud83d\ude00"];

    public static bool OnlyRemoves(MutationKind kind) => kind <= MutationKind.CutOff;

    /// <summary>The changed text; null when the document is to be gone (Vanish).</summary>
    public static string? Apply(string json, MutationKind kind, Random random)
    {
        if (kind == MutationKind.Vanish)
            return null;
        if (kind == MutationKind.CutOff)
            return json[..random.Next(json.Length)];
        JsonNode root = JsonNode.Parse(json)!;
        List<JsonNode> places = [];
        Collect(root, places);
        JsonNode parent = places[random.Next(places.Count)];
        if (parent is JsonObject target && target.Count > 0)
        {
            string name = target.ElementAt(random.Next(target.Count)).Key;
            switch (kind)
            {
                case MutationKind.Drop:
                case MutationKind.Shorten:
                    target.Remove(name);
                    break;
                case MutationKind.Recase:
                    JsonNode? value = target[name];
                    target.Remove(name);
                    target[random.Next(2) == 0 ? name.ToUpperInvariant() : name.ToLowerInvariant()] = value;
                    break;
                default:
                    target[name] = Replacement(target[name], root, kind, random);
                    break;
            }
        }
        else if (parent is JsonArray { Count: > 0 } array)
        {
            int index = random.Next(array.Count);
            if (kind is MutationKind.Drop or MutationKind.Shorten)
                array.RemoveAt(index);
            else
                array[index] = Replacement(array[index], root, kind, random);
        }
        return root.ToJsonString();
    }

    private static JsonNode? Replacement(JsonNode? old, JsonNode root, MutationKind kind, Random random) => kind switch
    {
        MutationKind.Retype => random.Next(7) switch
        {
            0 => JsonValue.Create(random.Next(-1000, 1000)),
            1 => JsonValue.Create(Nonsense[random.Next(Nonsense.Length)]),
            2 => JsonValue.Create(random.Next(2) == 0),
            3 => new JsonArray(),
            4 => new JsonObject(),
            5 => JsonValue.Create(1e300),
            _ => new JsonArray(JsonValue.Create("x"), null, new JsonObject()),
        },
        MutationKind.Nest => random.Next(2) == 0 ? new JsonArray(old?.DeepClone()) : new JsonObject { ["Members"] = old?.DeepClone(), ["@odata.id"] = old?.DeepClone() },
        MutationKind.Enlarge => random.Next(2) == 0
            ? JsonValue.Create(new string('x', 100_000))
            : new JsonArray([.. Enumerable.Range(0, 100).Select(_ => old?.DeepClone())]),
        MutationKind.Swap => root is JsonObject whole && whole.Count > 0 ? whole.ElementAt(random.Next(whole.Count)).Value?.DeepClone() : null,
        _ => null,
    };

    private static void Collect(JsonNode? node, List<JsonNode> places)
    {
        if (node is JsonObject target)
        {
            if (target.Count > 0)
                places.Add(target);
            foreach ((_, JsonNode? child) in target)
                Collect(child, places);
        }
        else if (node is JsonArray array)
        {
            if (array.Count > 0)
                places.Add(array);
            foreach (JsonNode? child in array)
                Collect(child, places);
        }
    }
}
