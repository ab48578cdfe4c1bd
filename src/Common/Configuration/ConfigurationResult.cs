namespace Evacuator.Common.Configuration;

/// <summary>What the configuration files say: the options, or all the mistakes in them, and where each value came from.</summary>
public sealed record ConfigurationResult
{
    /// <summary>Null if there is any mistake.</summary>
    public required EvacuatorOptions? Options { get; init; }

    public required IReadOnlyList<ConfigurationMistake> Mistakes { get; init; }

    /// <summary>Every known key in the order of the manual, with the value that holds. What "evacuator config show" prints.</summary>
    public required IReadOnlyList<ConfigurationValue> Values { get; init; }

    /// <summary>The sections [rule NAME], in the order of their first line, not interpreted yet: what their words mean is known to the brain only.</summary>
    public IReadOnlyList<RuleSection> Rules { get; init; } = [];

    /// <summary>A mistake that shows only when the value is used, at the place where the value was set; in <paramref name="file"/> as a whole if it was set nowhere.</summary>
    public ConfigurationMistake MistakeAt(string section, string key, string file, string text)
    {
        string source = Values.FirstOrDefault(value => value.Section == section && value.Key == key)?.Source ?? "";
        int colon = source.LastIndexOf(':');
        return colon > 0 && int.TryParse(source.AsSpan(colon + 1), System.Globalization.CultureInfo.InvariantCulture, out int line)
            ? new ConfigurationMistake(source[..colon], line, $"{key}: {text}")
            : new ConfigurationMistake(file, 0, $"[{section}] {key}: {text}");
    }
}

/// <summary>One [rule NAME], merged over all files: a later line of the same key wins, an empty value takes the key out again.</summary>
/// <param name="File">of its first line</param>
public sealed record RuleSection(string Name, string File, int Line, IReadOnlyList<RuleEntry> Entries);

/// <summary>One line of a rule.</summary>
public sealed record RuleEntry(string Key, string Value, string File, int Line);

/// <summary>One setting as it holds now.</summary>
/// <param name="Section">of the INI, without brackets</param>
/// <param name="Key">of the INI</param>
/// <param name="Value">as it would be written in the file; a secret is shown as such only</param>
/// <param name="Source">file:line, or "default"</param>
public sealed record ConfigurationValue(string Section, string Key, string Value, string Source);
