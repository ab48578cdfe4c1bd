using System.Text.RegularExpressions;

namespace Evacuator.Redfish.Health.Messages;

/// <summary>
/// Brings message ids of all vendors and ages into one form. The version in the middle is ignored: Base.1.4.0.Success and Base.1.22.Success are one message.
/// </summary>
public static partial class MessageIds
{
    public const string Dell = "EEMI";
    public const string Lenovo = "Lenovo";
    public const string Supermicro = "Supermicro";

    private const int MaxLength = 256;

    private static readonly Dictionary<string, string> Aliases = new(StringComparer.OrdinalIgnoreCase)
    {
        ["IDRAC"] = Dell,
        ["EEMI"] = Dell,
        ["EEMIRegistry"] = Dell,
        ["EventRegistry"] = Lenovo,
        ["LenovoEventRegistry"] = Lenovo,
        ["Sensor"] = "SensorEvent",
        ["SMC"] = Supermicro,
        ["ResourceEvents"] = "ResourceEvent",
    };

    /// <summary>"Power.1.0.PowerSupplyFailed" → (Power, PowerSupplyFailed); null for null, blank and absurdly long ids.</summary>
    public static MessageKey? Normalize(string? messageId)
    {
        string id = messageId?.Trim() ?? "";
        if (id.Length is 0 or > MaxLength)
            return null;
        string[] tokens = id.Split('.', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (tokens.Length == 0)
            return null;
        string key = tokens[^1];
        if (LenovoId().IsMatch(key))
            return new MessageKey(Lenovo, key.ToUpperInvariant());
        if (tokens.Length == 1)
            return DellId().IsMatch(key) ? new MessageKey(Dell, key.ToUpperInvariant()) : new MessageKey(SupermicroId().IsMatch(key) ? Supermicro : "", key);
        string family = tokens[0].Any(char.IsAsciiLetter) ? tokens[0] : "";
        string known = Aliases.GetValueOrDefault(family, family);
        return new MessageKey(known, known == Dell ? key.ToUpperInvariant() : key);
    }

    /// <summary>The code that Supermicro puts at the head of the text where the id is a mere number: "[PWR-0001] PS5 Status, …" → "PWR-0001".</summary>
    public static string? CodeInText(string? message) =>
        message is not null && TextCode().Match(message) is { Success: true } match ? match.Groups[1].Value : null;

    [GeneratedRegex(@"^FQX[A-Z]{3,6}\d{4}[A-Z]$", RegexOptions.IgnoreCase)]
    private static partial Regex LenovoId();

    [GeneratedRegex(@"^[A-Z]{2,6}\d{1,5}$", RegexOptions.IgnoreCase)]
    private static partial Regex DellId();

    [GeneratedRegex(@"^[A-Z]{2,4}-\d{4}$")]
    private static partial Regex SupermicroId();

    [GeneratedRegex(@"^\s*\[([A-Z]{2,4}-\d{4})\]")]
    private static partial Regex TextCode();
}
