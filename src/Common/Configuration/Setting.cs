namespace Evacuator.Common.Configuration;

/// <summary>One key of the configuration: where it is written, what may stand there, what it means, and which option it becomes.</summary>
internal abstract class Setting
{
    public required string Section { get; init; }

    public required string Key { get; init; }

    /// <summary>What may stand there, to end the sentence "must be …".</summary>
    public required string Permitted { get; init; }

    /// <summary>The default as it would be written in the file; "" for none.</summary>
    public required string Default { get; init; }

    /// <summary>One or two sentences for the manual and for the commented file, plain text.</summary>
    public required string Meaning { get; init; }

    /// <summary>Lists grow with every assignment, as in systemd; other values are replaced.</summary>
    public bool IsList { get; init; }

    /// <summary>The options with this key set, or null if the text is not permitted.</summary>
    public abstract EvacuatorOptions? Apply(EvacuatorOptions options, string text);

    /// <summary>The options with this key back at its default: what an empty assignment does.</summary>
    public abstract EvacuatorOptions Reset(EvacuatorOptions options);

    /// <summary>The value as it would be written in the file.</summary>
    public abstract string Show(EvacuatorOptions options);
}

/// <inheritdoc/>
internal sealed class Setting<T>(SettingType<T> type, Func<EvacuatorOptions, T> get, Func<EvacuatorOptions, T, EvacuatorOptions> set) : Setting
{
    public override EvacuatorOptions? Apply(EvacuatorOptions options, string text)
    {
        string whole = IsList ? $"{type.Write(get(options))} {text}" : text;
        return type.Read(whole, out T value) ? set(options, value) : null;
    }

    public override EvacuatorOptions Reset(EvacuatorOptions options) => set(options, get(Settings.Defaults));

    public override string Show(EvacuatorOptions options) => type.Write(get(options));
}
