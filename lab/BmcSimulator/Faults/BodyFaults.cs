using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Faults;

/// <summary>Faults in the content of an answer; each takes a body and gives another.</summary>
internal static partial class BodyFaults
{
    [GeneratedRegex(@"\b\d{4}(-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})")]
    private static partial Regex Times();

    /// <summary>Applies every fault in force that concerns the content of this answer.</summary>
    public static ReadOnlyMemory<byte> Apply(FaultMenu faults, string uri, ReadOnlyMemory<byte> body)
    {
        if (faults.Take(FaultKind.NextLinkLoop, "GET", uri) is not null)
        {
            body = LoopNextLink(uri, body);
        }

        if (faults.Take(FaultKind.WrongTypes, "GET", uri) is not null)
        {
            body = JsonText.Bytes(Retype(JsonText.Parse(body), null));
        }

        if (faults.Take(FaultKind.Clock, "GET", uri) is { } clock)
        {
            body = Encoding.UTF8.GetBytes(SetYear(Encoding.UTF8.GetString(body.Span), clock.Year));
        }

        if (faults.Take(FaultKind.DuplicateKeys, "GET", uri) is not null)
        {
            body = Duplicate(JsonText.Parse(body));
        }

        return body;
    }

    public static string SetYear(string text, int year) => Times().Replace(text, match => year.ToString("D4", CultureInfo.InvariantCulture) + match.Groups[1].Value);

    public static DateTime SetYearOfDate(DateTimeOffset now, int year) => new(year, now.Month, Math.Min(now.Day, 28), now.Hour, now.Minute, now.Second, DateTimeKind.Utc);

    private static ReadOnlyMemory<byte> LoopNextLink(string uri, ReadOnlyMemory<byte> body)
    {
        if (JsonText.Parse(body) is not JsonObject collection || !collection.ContainsKey("Members"))
        {
            return body;
        }

        collection["Members@odata.nextLink"] = uri + "?$skip=1";
        return JsonText.Bytes(collection);
    }

    private static JsonNode? Retype(JsonNode? node, string? name)
    {
        switch (node)
        {
            case JsonObject map when map.ContainsKey("@odata.id") && map.Count == 1:
                return map.DeepClone(); // A link: without links there is nothing more to read.
            case JsonObject when name == "Status":
                return "Enabled";
            case JsonObject map:
                return new JsonObject(map.Select(property => KeyValuePair.Create(property.Key, property.Key.StartsWith('@') ? property.Value?.DeepClone() : Retype(property.Value, property.Key))));
            case JsonArray array when array.Count > 0 && array.All(item => item is JsonValue):
                return string.Join(',', array.Select(item => item!.ToJsonString()));
            case JsonArray array:
                return new JsonArray([.. array.Select(item => Retype(item, null))]);
            case null:
                return new JsonObject();
            default:
                return node.GetValueKind() switch
                {
                    JsonValueKind.String => 7,
                    JsonValueKind.Number => "N/A",
                    _ => node.ToJsonString(),
                };
        }
    }

    private static byte[] Duplicate(JsonNode? root)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            Write(writer, root);
        }

        return buffer.ToArray();

        static void Write(Utf8JsonWriter writer, JsonNode? node)
        {
            switch (node)
            {
                case JsonObject map:
                    writer.WriteStartObject();
                    foreach ((string name, JsonNode? value) in map)
                    {
                        foreach (string spelling in Spellings(name, value))
                        {
                            writer.WritePropertyName(spelling);
                            Write(writer, value);
                        }
                    }

                    writer.WriteEndObject();
                    break;
                case JsonArray array:
                    writer.WriteStartArray();
                    foreach (JsonNode? item in array)
                    {
                        Write(writer, item);
                    }

                    writer.WriteEndArray();
                    break;
                case null:
                    writer.WriteNullValue();
                    break;
                default:
                    node.WriteTo(writer);
                    break;
            }
        }
    }

    private static string[] Spellings(string name, JsonNode? value) =>
        value is JsonValue && char.IsAsciiLetterUpper(name[0]) ? [name, name, char.ToLowerInvariant(name[0]) + name[1..]] : [name];
}
