using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Evacuator.Lab.BmcSimulator.Model;

/// <summary>JSON as mock-up trees hold it: with a byte order mark, comments or the same key twice (the last one counts).</summary>
internal static class JsonText
{
    private static readonly JsonDocumentOptions Lenient = new()
    {
        AllowTrailingCommas = true,
        CommentHandling = JsonCommentHandling.Skip,
        MaxDepth = 256,
    };

    private static readonly JsonSerializerOptions Pretty = new()
    {
        WriteIndented = true,
        NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        MaxDepth = 256,
    };

    /// <exception cref="JsonException">The text is not JSON.</exception>
    public static JsonNode? Parse(ReadOnlyMemory<byte> utf8)
    {
        if (utf8.Span.StartsWith("\uFEFF"u8))
        {
            utf8 = utf8[3..];
        }

        using JsonDocument document = JsonDocument.Parse(utf8, Lenient);
        return Convert(document.RootElement);
    }

    /// <exception cref="JsonException">The text is not a JSON object.</exception>
    public static JsonObject ParseObject(ReadOnlyMemory<byte> utf8) =>
        Parse(utf8) as JsonObject ?? throw new JsonException("a JSON object is expected");

    public static byte[] Bytes(JsonNode? node) => JsonSerializer.SerializeToUtf8Bytes(node, Pretty);

    public static string Text(JsonNode? node) => JsonSerializer.Serialize(node, Pretty);

    // JsonObject made from an element throws at the first access where a key stands twice, so the nodes are built one by one.
    private static JsonNode? Convert(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                var map = new JsonObject();
                foreach (JsonProperty property in element.EnumerateObject())
                {
                    map[property.Name] = Convert(property.Value);
                }

                return map;
            case JsonValueKind.Array:
                var list = new JsonArray();
                foreach (JsonElement item in element.EnumerateArray())
                {
                    list.Add(Convert(item));
                }

                return list;
            case JsonValueKind.Null or JsonValueKind.Undefined:
                return null;
            default:
                return JsonValue.Create(element.Clone());
        }
    }
}
