using System.Text.Json;
using System.Text.Json.Serialization;

namespace Evacuator.Lab.BmcSimulator.Faults;

/// <summary>One fault to happen: to how many requests, for how long, to which. Without <see cref="Count"/> and <see cref="Seconds"/> it stays until it is cleared.</summary>
public sealed record Fault
{
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web)
    {
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower, allowIntegerValues: false) },
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    public required FaultKind Kind { get; init; }

    /// <summary>How many requests it hits.</summary>
    public int? Count { get; init; }

    /// <summary>How long it lasts, from when it is added.</summary>
    public double? Seconds { get; init; }

    /// <summary>GET, PATCH, …; null for any.</summary>
    public string? Method { get; init; }

    /// <summary>A path, or the beginning of one followed by <c>*</c>; null for any.</summary>
    public string? Uri { get; init; }

    /// <summary>Seconds, for <see cref="FaultKind.Unavailable"/>.</summary>
    public int? RetryAfter { get; init; }

    /// <summary>Seconds, for <see cref="FaultKind.Stall"/>.</summary>
    public double Stall { get; init; } = 30;

    /// <summary>For <see cref="FaultKind.Redirect"/>.</summary>
    public string? Location { get; init; }

    /// <summary>For <see cref="FaultKind.Clock"/>.</summary>
    public int Year { get; init; } = 1970;

    /// <summary>Bytes, for <see cref="FaultKind.HugeBody"/>.</summary>
    public long Size { get; init; } = 64L << 20;

    /// <summary>Reads one fault, a list of them, or <c>{"faults": […]}</c>.</summary>
    /// <exception cref="JsonException">It is none of these, or names an unknown kind or property.</exception>
    public static IReadOnlyList<Fault> Parse(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json);
        using JsonDocument document = JsonDocument.ParseValue(ref reader);
        JsonElement root = document.RootElement;
        if (root.ValueKind == JsonValueKind.Object && root.EnumerateObject().FirstOrDefault(property => property.Name.Equals("faults", StringComparison.OrdinalIgnoreCase)) is { Value.ValueKind: JsonValueKind.Array } list)
        {
            root = list.Value;
        }

        IReadOnlyList<Fault> faults = root.ValueKind == JsonValueKind.Array ? root.Deserialize<Fault[]>(Options)! : [root.Deserialize<Fault>(Options)!];
        return faults.Any(fault => fault is null || fault.Kind == FaultKind.None) ? throw new JsonException("a fault needs a kind") : faults;
    }

    public static byte[] ToJson(IEnumerable<Fault> faults) => JsonSerializer.SerializeToUtf8Bytes(faults, Options);

    internal bool Matches(string method, string uri) =>
        (Method is null || Method.Equals(method, StringComparison.OrdinalIgnoreCase))
        && (Uri is null || (Uri.EndsWith('*') ? uri.StartsWith(Uri[..^1], StringComparison.Ordinal) : uri == Uri.TrimEnd('/')));
}
