namespace Evacuator.Common.Configuration;

/// <summary>One thing wrong in what an operator wrote, with the place to look at.</summary>
/// <param name="File">path of the file</param>
/// <param name="Line">1-based; 0 when the file as a whole is meant</param>
/// <param name="Text">what is wrong and what to do about it</param>
public sealed record ConfigurationMistake(string File, int Line, string Text)
{
    /// <summary>Nothing may be wrong: whoever looked was not allowed to.</summary>
    public bool NotAllowed { get; init; }

    /// <summary>file:line: text, the form that editors and people know from compilers.</summary>
    public override string ToString() => Line > 0 ? $"{File}:{Line}: {Text}" : $"{File}: {Text}";
}

/// <summary>Something read from files: the value, or everything that is wrong with them. Never both.</summary>
public sealed record Checked<T>
    where T : class
{
    public Checked(T value) => (Value, Mistakes) = (value, []);

    public Checked(IReadOnlyList<ConfigurationMistake> mistakes)
    {
        ArgumentOutOfRangeException.ThrowIfZero(mistakes.Count);
        Mistakes = mistakes;
    }

    /// <summary>Null if there are mistakes.</summary>
    public T? Value { get; }

    public IReadOnlyList<ConfigurationMistake> Mistakes { get; }
}
