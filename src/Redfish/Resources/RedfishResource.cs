using System.Globalization;
using System.Text.Json;

namespace Evacuator.Redfish.Resources;

/// <summary>
/// A JSON object as a BMC sent it, read tolerantly: names match in any case, and a property that is missing, null or of another type costs only itself.
/// No member throws. Immutable, and it holds no pooled memory.
/// </summary>
/// <remarks>
/// Paths are property names from the outside in: <c>Text("Status", "Health")</c>. An empty path means the element itself.
/// </remarks>
public sealed partial class RedfishResource
{
    private readonly JsonElement _element;

    // Made at the first lookup: a walk asks each resource for some thirty properties, most of which it does not have.
    private Dictionary<string, JsonElement>? _properties;
    private bool _hasTwins;

    private RedfishResource(JsonElement element, string uri, string? etag = null)
    {
        _element = element;
        string? own = TextOf(Find(element, "@odata.id"));
        Uri = string.IsNullOrEmpty(own) ? uri : own;
        ETag = etag ?? Text("@odata.etag");
    }

    /// <summary>The resource's own @odata.id; without one, the URI it was read from, followed for inner objects by "#/Name/index".</summary>
    public string Uri { get; }

    /// <summary>The ETag header of the reply, or else @odata.etag (a number on some iDRACs, here as text).</summary>
    public string? ETag { get; }

    /// <summary>"#Memory.v1_9_0.Memory", or null.</summary>
    public string? ODataType => Text("@odata.type");

    /// <summary>"Memory" of "#Memory.v1_9_0.Memory", of "Memory.1.0.0" (the Type of old iLO) and of "#Memory"; empty when there is no type.</summary>
    public string TypeName
    {
        get
        {
            string type = (ODataType ?? Text("Type") ?? "").TrimStart('#');
            string last = type[(type.LastIndexOf('.') + 1)..];
            return last.Length > 0 && char.IsAsciiLetter(last[0]) ? last : type[..Math.Max(0, type.IndexOf('.'))];
        }
    }

    public string? Id => Text("Id");

    public string? Name => Text("Name");

    /// <summary>The element itself, for what this class does not offer (printing, hashing).</summary>
    public JsonElement Element => _element;

    /// <summary>The names of all properties, as sent.</summary>
    public IEnumerable<string> PropertyNames
    {
        get
        {
            if (_element.ValueKind != JsonValueKind.Object)
                yield break;
            foreach (JsonProperty property in _element.EnumerateObject())
                if (NameOf(property) is { } name)
                    yield return name;
        }
    }

    /// <summary>Whether the property is there with any value but null.</summary>
    public bool Has(params ReadOnlySpan<string> path) => Find(path) is not null;

    /// <summary>Whether the property is there, even as null.</summary>
    public bool Mentions(string name)
    {
        foreach (string each in PropertyNames)
            if (each.Equals(name, StringComparison.OrdinalIgnoreCase))
                return true;
        return false;
    }

    /// <summary>Whether the property was sent more than once, with different values: which one is meant, nobody can tell.</summary>
    public bool IsContradictory(string name)
    {
        if (_element.ValueKind != JsonValueKind.Object)
            return false;
        JsonElement? first = null;
        foreach (JsonProperty property in _element.EnumerateObject())
        {
            if (NameOf(property) is not { } sent || !sent.Equals(name, StringComparison.Ordinal))
                continue;
            if (first is { } known && known.GetRawText() != property.Value.GetRawText())
                return true;
            first ??= property.Value;
        }
        return false;
    }

    /// <summary>A string, trimmed; a number or boolean as its text; null when it is missing, blank, an object or an array.</summary>
    public string? Text(params ReadOnlySpan<string> path) => TextOf(Find(path));

    /// <summary>A finite number, also when it was sent as a string ("42", "42 %"); null for "N/A" and the like.</summary>
    public double? Number(params ReadOnlySpan<string> path)
    {
        if (Find(path) is not { } value)
            return null;
        if (value.ValueKind == JsonValueKind.Number)
            return value.TryGetDouble(out double number) && double.IsFinite(number) ? number : null;
        if (value.ValueKind != JsonValueKind.String || TextOf(value) is not { } text)
            return null;
        return double.TryParse(text.TrimEnd('%', ' '), NumberStyles.Float, CultureInfo.InvariantCulture, out double parsed) && double.IsFinite(parsed)
            ? parsed
            : null;
    }

    /// <summary>A boolean, also as "true"/"yes", "false"/"no" or 1/0; null for anything else.</summary>
    public bool? Flag(params ReadOnlySpan<string> path)
    {
        if (Find(path) is not { } value)
            return null;
        return value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            JsonValueKind.String or JsonValueKind.Number => TextOf(value)?.ToLowerInvariant() switch
            {
                "true" or "yes" or "1" => true,
                "false" or "no" or "0" => false,
                _ => null,
            },
            _ => null,
        };
    }

    /// <summary>An inner object; null when it is missing or no object.</summary>
    public RedfishResource? Child(params ReadOnlySpan<string> path) =>
        Find(path) is { ValueKind: JsonValueKind.Object } value ? new RedfishResource(value, Pointer(path)) : null;

    /// <summary>The objects of an array; a single object instead of an array is its only item; anything else is empty.</summary>
    public IReadOnlyList<RedfishResource> Items(params ReadOnlySpan<string> path)
    {
        if (Find(path) is not { } value)
            return [];
        string pointer = Pointer(path);
        if (value.ValueKind == JsonValueKind.Object)
            return [new RedfishResource(value, pointer)];
        if (value.ValueKind != JsonValueKind.Array)
            return [];
        List<RedfishResource> items = [];
        int index = 0;
        foreach (JsonElement item in value.EnumerateArray())
        {
            if (item.ValueKind == JsonValueKind.Object)
                items.Add(new RedfishResource(item, $"{pointer}/{index}"));
            index++;
        }
        return items;
    }

    /// <summary>The strings of an array (numbers as text), or a single string instead of an array.</summary>
    public IReadOnlyList<string> Texts(params ReadOnlySpan<string> path)
    {
        if (Find(path) is not { } value)
            return [];
        if (value.ValueKind != JsonValueKind.Array)
            return TextOf(value) is { } single ? [single] : [];
        List<string> texts = [];
        foreach (JsonElement item in value.EnumerateArray())
            if (TextOf(item) is { } text)
                texts.Add(text);
        return texts;
    }

    /// <summary>Where a link points: {"@odata.id": "…"}, a plain string, or the first of an array of either. Null for {}, null, "N/A" and
    /// whatever else is no path and no URL.</summary>
    public string? Link(params ReadOnlySpan<string> path)
    {
        if (Find(path) is not { } value)
            return null;
        return value.ValueKind == JsonValueKind.Array ? Links(path).FirstOrDefault() : LinkOf(value);
    }

    /// <summary>Where the links of an array point, in order; a single link instead of an array is its only one.</summary>
    public IReadOnlyList<string> Links(params ReadOnlySpan<string> path)
    {
        if (Find(path) is not { } value)
            return [];
        if (value.ValueKind != JsonValueKind.Array)
            return LinkOf(value) is { } single ? [single] : [];
        List<string> links = [];
        foreach (JsonElement item in value.EnumerateArray())
            if (LinkOf(item) is { } link)
                links.Add(link);
        return links;
    }

    /// <summary>Whether the property is an array.</summary>
    public bool IsList(params ReadOnlySpan<string> path) => Find(path) is { ValueKind: JsonValueKind.Array };

    /// <summary>The objects of an array as <see cref="Items"/> gives them, with plain strings that are links among them made into bare links.</summary>
    public IReadOnlyList<RedfishResource> ItemsOrLinks(params ReadOnlySpan<string> path) =>
        Items(path) is { Count: > 0 } items ? items : [.. Links(path).Select(LinkTo)];

    public override string ToString() => $"{Uri} ({TypeName})";

    private string Pointer(ReadOnlySpan<string> path)
    {
        string inner = string.Join('/', path.ToArray());
        return Uri.Contains('#') ? $"{Uri}/{inner}" : $"{Uri}#/{inner}";
    }

    private JsonElement? Find(ReadOnlySpan<string> path)
    {
        JsonElement current = _element;
        for (int depth = 0; depth < path.Length; depth++)
        {
            if ((depth == 0 ? FindOwn(path[0]) : Find(current, path[depth])) is not { } next)
                return null;
            current = next;
        }
        return current.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined ? null : current;
    }

    private JsonElement? FindOwn(string name)
    {
        Dictionary<string, JsonElement> properties = _properties ??= Index();
        if (_hasTwins)
            return Find(_element, name);
        return properties.TryGetValue(name, out JsonElement value) ? value : null;
    }

    private Dictionary<string, JsonElement> Index()
    {
        Dictionary<string, JsonElement> properties = new(StringComparer.OrdinalIgnoreCase);
        if (_element.ValueKind == JsonValueKind.Object)
            foreach (JsonProperty property in _element.EnumerateObject())
                if (property.Value.ValueKind != JsonValueKind.Null && NameOf(property) is { } name && !properties.TryAdd(name, property.Value))
                    _hasTwins = true;
        return properties;
    }

    // HPE sends "MessageID" and "MessageId" side by side, so an exact name wins over one in another case, and a value over null.
    private static JsonElement? Find(JsonElement element, string name)
    {
        if (element.ValueKind != JsonValueKind.Object)
            return null;
        JsonElement? other = null;
        foreach (JsonProperty property in element.EnumerateObject())
        {
            if (property.Value.ValueKind == JsonValueKind.Null || NameOf(property) is not { } sent)
                continue;
            if (sent.Equals(name, StringComparison.Ordinal))
                return property.Value;
            if (other is null && sent.Equals(name, StringComparison.OrdinalIgnoreCase))
                other = property.Value;
        }
        return other;
    }

    private static string? LinkOf(JsonElement value)
    {
        JsonElement? target = value.ValueKind == JsonValueKind.Object ? Find(value, "@odata.id") : value;
        string? link = target is { ValueKind: JsonValueKind.String } text ? TextOf(text) : null;
        return link is not null && (link.StartsWith('/') || link.Contains("://", StringComparison.Ordinal)) ? link : null;
    }

    private static string? TextOf(JsonElement? maybe)
    {
        if (maybe is not { } value)
            return null;
        string? text = value.ValueKind switch
        {
            JsonValueKind.String => StringOf(value),
            JsonValueKind.Number => value.GetRawText(),
            JsonValueKind.True => "true",
            JsonValueKind.False => "false",
            _ => null,
        };
        return string.IsNullOrWhiteSpace(text) ? null : text.Trim();
    }

    // An escaped half of a surrogate pair ("\ud800") parses but cannot become a string.
    private static string? StringOf(JsonElement value)
    {
        try
        {
            return value.GetString();
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    private static string? NameOf(JsonProperty property)
    {
        try
        {
            return property.Name;
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }
}
