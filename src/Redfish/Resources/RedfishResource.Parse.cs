using System.Text.Json;

namespace Evacuator.Redfish.Resources;

public sealed partial class RedfishResource
{
    /// <summary>The largest body read, in bytes. The largest seen in any capture (a page of a log) is below 1 MiB.</summary>
    public const int MaxBytes = 16 * 1024 * 1024;

    private const int MaxDepth = 64;

    private static readonly JsonDocumentOptions Tolerant = new()
    {
        AllowTrailingCommas = true,
        CommentHandling = JsonCommentHandling.Skip,
        MaxDepth = MaxDepth,
    };

    /// <summary>Reads a body. Null with a reason when it is no JSON object, nested deeper than 64 levels, or larger than <see cref="MaxBytes"/>.</summary>
    /// <param name="body">UTF-8 text.</param>
    /// <param name="uri">Where it came from; the resource's name when it has no @odata.id.</param>
    /// <param name="etag">The reply's ETag header, which wins over @odata.etag.</param>
    /// <param name="problem">What is wrong with the body; empty on success.</param>
    public static RedfishResource? TryParse(ReadOnlyMemory<byte> body, string uri, string? etag, out string problem)
    {
        if (body.Length > MaxBytes)
        {
            problem = $"{body.Length} bytes, more than the {MaxBytes} read from a BMC";
            return null;
        }
        if (ParseElement(body.Span, out problem) is not { } element)
            return null;
        if (element.ValueKind != JsonValueKind.Object)
        {
            problem = $"a JSON {element.ValueKind.ToString().ToLowerInvariant()} where an object was expected";
            return null;
        }
        return new RedfishResource(element, uri, string.IsNullOrWhiteSpace(etag) ? null : etag);
    }

    /// <summary>Wraps an element that was parsed elsewhere; null when it is no object.</summary>
    public static RedfishResource? From(JsonElement element, string uri) =>
        element.ValueKind == JsonValueKind.Object ? new RedfishResource(element, uri) : null;

    /// <summary>A bare link, as a member of a collection that lists plain strings.</summary>
    internal static RedfishResource LinkTo(string uri) =>
        new(JsonSerializer.SerializeToElement(new Dictionary<string, string> { ["@odata.id"] = uri }), uri);

    private static JsonElement? ParseElement(ReadOnlySpan<byte> body, out string problem)
    {
        problem = "";
        body = JsonCleaner.WithoutMarks(body);
        if (body.IsEmpty)
        {
            problem = "an empty body";
            return null;
        }
        // Invalid UTF-8 parses but throws when a string is taken out of it, so it is replaced before.
        bool valid = System.Text.Unicode.Utf8.IsValid(body);
        if (valid && TryParseElement(body, out JsonElement element) is null)
            return element;
        byte[] cleaned = JsonCleaner.Clean(body);
        problem = TryParseElement(cleaned, out element) ?? "";
        return problem.Length == 0 ? element : null;
    }

    private static string? TryParseElement(ReadOnlySpan<byte> body, out JsonElement element)
    {
        try
        {
            element = JsonElement.Parse(body, Tolerant);
            return null;
        }
        catch (JsonException error)
        {
            element = default;
            return $"no JSON: {error.Message}";
        }
    }
}
