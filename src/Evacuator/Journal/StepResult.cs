using System.Diagnostics.CodeAnalysis;

namespace Evacuator.Journal;

/// <summary>What a state machine's step gives: the next state, or an error that names state and input.</summary>
internal readonly record struct StepResult<T> where T : class
{
    private StepResult(T? next, string? error) => (Next, Error) = (next, error);

    public T? Next { get; }

    public string? Error { get; }

    [MemberNotNullWhen(true, nameof(Next))]
    [MemberNotNullWhen(false, nameof(Error))]
    public bool IsOk => Next is not null;

    public static StepResult<T> To(T next) => new(next, null);

    public static StepResult<T> Refuse(object phase, object input) =>
        new(null, $"{input.GetType().Name} cannot happen in phase {phase}");
}
