using System.Text.Json;
using System.Text.Json.Nodes;

namespace Evacuator.Lab.BmcSimulator.Model;

/// <summary>Reads of JSON that answer null for what is missing or of another type: trees of real BMCs hold both.</summary>
internal static class JsonReading
{
    public static JsonNode? Get(this JsonNode? node, string name) => node is JsonObject map && map.TryGetPropertyValue(name, out JsonNode? value) ? value : null;

    public static string? Text(this JsonNode? node) => node is JsonValue value && value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;

    public static bool? Flag(this JsonNode? node) => node?.GetValueKind() switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => null,
    };

    public static double? Number(this JsonNode? node) =>
        node is JsonValue && node.GetValueKind() == JsonValueKind.Number && double.TryParse(node.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture, out double number) ? number : null;

    /// <summary>The address in a link such as <c>{"@odata.id": "/redfish/v1/Systems"}</c>, without a final slash.</summary>
    public static string? Link(this JsonNode? node) => node.Get("@odata.id").Text() is { Length: > 0 } uri ? ResourceUri.Normalise(uri) : null;

    /// <summary>The addresses in an array of links.</summary>
    public static IEnumerable<string> Links(this JsonNode? node) => node is JsonArray array ? array.Select(item => item.Link()).OfType<string>() : [];

    /// <summary>The strings of an array.</summary>
    public static IReadOnlyList<string> Texts(this JsonNode? node) => node is JsonArray array ? [.. array.Select(item => item.Text()).OfType<string>()] : [];
}
