namespace Evacuator.Redfish.Health.Messages;

/// <summary>What a known message does to signals.</summary>
public enum MessageEffect
{
    /// <summary>Not in the table: the resource it is about must be read again; nothing else follows from it.</summary>
    Unknown = 0,

    /// <summary>A signal of its kind exists on the part it is about.</summary>
    Raises = 1,

    /// <summary>Signals of its kinds on the part it is about are over.</summary>
    Clears = 2,

    /// <summary>Known, and never a reason for anything: tests, cables pulled, parts removed, redundancy regained, jobs, heartbeats.</summary>
    Ignored = 3,
}

/// <summary>A message id in one spelling: "IDRAC.2.8.PDR16", "EEMI.PDR16" and "PDR16" are all (Dell, PDR16).</summary>
/// <param name="Family">The registry without its version, with vendors' aliases resolved; empty when the id has none ("0xA401FF").</param>
/// <param name="Key">The last token.</param>
public sealed record MessageKey(string Family, string Key)
{
    public override string ToString() => Family.Length == 0 ? Key : $"{Family}.{Key}";
}

/// <summary>What the table says about a message.</summary>
/// <param name="Key">The id it was found under.</param>
/// <param name="Effect">What it does.</param>
/// <param name="Component">What it is about; Unknown when the message can be about anything.</param>
/// <param name="Kinds">The kind it raises (one), or the kinds it clears; empty for a clear of everything on the part.</param>
/// <param name="Severity">The grade we give it, which may differ from the registry's.</param>
/// <param name="Predicted">Whether it announces a failure.</param>
public sealed record MessageMeaning(MessageKey Key, MessageEffect Effect, ComponentKind Component, IReadOnlyList<SignalKind> Kinds, SignalSeverity Severity, bool Predicted)
{
    /// <summary>The kind a raising message raises.</summary>
    public SignalKind Kind => Kinds.Count > 0 ? Kinds[0] : SignalKind.Unknown;
}
