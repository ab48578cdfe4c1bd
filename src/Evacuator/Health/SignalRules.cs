using Evacuator.Redfish.Health;

namespace Evacuator.Health;

/// <summary>The rules in the order in which they are asked; the first that matches says what a signal means. What none matches is for a person to look at.</summary>
internal sealed record SignalRules(IReadOnlyList<SignalRule> All)
{
    /// <summary>What is shipped. A section [rule NAME] of one of these names changes it; rules of other names come before all of these.</summary>
    public static SignalRules Default { get; } = new(
    [
        // The host itself may go down any minute.
        new SignalRule { Name = "overheating", Kinds = [SignalKind.OverTemperature], Severities = [SignalSeverity.Critical], Action = RuleAction.Urgent },
        new SignalRule { Name = "leak", Kinds = [SignalKind.LeakDetected], Severities = [SignalSeverity.Critical], Action = RuleAction.Urgent },
        new SignalRule
        {
            Name = "last-power-supply", Components = [ComponentKind.PowerSupply], Last = true, Action = RuleAction.Urgent,
            Kinds = [SignalKind.PredictedFailure, SignalKind.Failed, SignalKind.InputPowerLost, SignalKind.Missing],
        },
        new SignalRule { Name = "last-fan", Components = [ComponentKind.Fan], Last = true, Kinds = [SignalKind.Failed], Action = RuleAction.Urgent },

        // Worn flash is replaced in working hours, unless it is nearly at its end.
        new SignalRule { Name = "worn-flash", Kinds = [SignalKind.MediaWear], Severities = [SignalSeverity.Warning], Action = RuleAction.Notify },

        // What containers live on fails, or says that it will.
        new SignalRule
        {
            Name = "predicted-failure", Predicted = true, Action = RuleAction.Evacuate,
            Components = [ComponentKind.Memory, ComponentKind.Processor, ComponentKind.Drive, ComponentKind.PowerSupply, ComponentKind.StorageController, ComponentKind.Volume, ComponentKind.Power],
        },
        new SignalRule
        {
            Name = "memory-errors", Components = [ComponentKind.Memory, ComponentKind.Processor, ComponentKind.System], Action = RuleAction.Evacuate,
            Kinds = [SignalKind.CorrectableErrorThreshold, SignalKind.UncorrectableError, SignalKind.DataLoss],
        },
        new SignalRule
        {
            Name = "failed-part", Severities = [SignalSeverity.Critical], Action = RuleAction.Evacuate,
            Components = [ComponentKind.Memory, ComponentKind.Processor, ComponentKind.Drive, ComponentKind.Volume, ComponentKind.StorageController, ComponentKind.System],
            Kinds = [SignalKind.Failed, SignalKind.MediaWear, SignalKind.DataLoss, SignalKind.UncorrectableError],
        },

        // Everything else, lost redundancy first of all, is for a person: a fan or a supply beside one that works is changed under load.
        new SignalRule { Name = "lost-redundancy", Kinds = [SignalKind.RedundancyLost], Action = RuleAction.Notify },
        new SignalRule { Name = "everything-else", Action = RuleAction.Notify },
    ]);

    /// <summary>The rule that decides about a signal.</summary>
    public SignalRule For(Signal signal, Func<Signal, bool> isLast) => All.FirstOrDefault(rule => rule.Matches(signal, isLast)) ?? Unmatched;

    private static SignalRule Unmatched { get; } = new() { Name = "none", Action = RuleAction.Notify };
}
