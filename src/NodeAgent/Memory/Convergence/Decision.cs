namespace Evacuator.NodeAgent.Memory.Convergence;

internal enum DecisionKind
{
    /// <summary>The predicted freeze fits the budget.</summary>
    FreezeNow = 1,

    /// <summary>One more round will make it shorter.</summary>
    AnotherRound = 2,

    /// <summary>Rounds no longer help by themselves: slow the writers down to <see cref="Decision.Throttle"/> of their speed, then one more round.</summary>
    HelpConverge = 3,

    /// <summary>It will not fit. The ladder's next rung, or the container stays.</summary>
    GiveUp = 4,
}

/// <summary>Why a move gave up.</summary>
internal enum GiveUpReason
{
    None = 0,

    /// <summary>The freeze would be too long even if nothing were left to send: processes, threads, mappings or untracked memory.</summary>
    FixedCostOverBudget = 1,

    /// <summary>It writes faster than the wire takes, and slowing it down is not allowed or was not enough.</summary>
    WritesFasterThanWire = 2,

    RoundLimit = 3,

    Deadline = 4,
}

/// <param name="Predicted">The freeze as it would be now, margin included.</param>
/// <param name="Throttle">1 for no help; 0.5 lets the writers run half of the time.</param>
/// <param name="Text">For the operator and the journal.</param>
internal sealed record Decision(DecisionKind Kind, TimeSpan Predicted, double Throttle, GiveUpReason Reason, string Text);

/// <summary>What a container is allowed.</summary>
/// <param name="Freeze">The longest it may stand still.</param>
/// <param name="MaximumRounds">Rounds before giving up, help included.</param>
/// <param name="Deadline">From the first round to the last.</param>
/// <param name="LowestThrottle">The least speed it may be slowed down to: 1 forbids help.</param>
internal sealed record ConvergenceBudget(TimeSpan Freeze, int MaximumRounds, TimeSpan Deadline, double LowestThrottle)
{
    public static ConvergenceBudget Default { get; } = new(TimeSpan.FromMilliseconds(300), 30, TimeSpan.FromMinutes(10), 0.2);
}

/// <summary>What a finished round tells the decision.</summary>
/// <param name="Round">Its statistics.</param>
/// <param name="Throttle">The speed its writers had: 1 for full.</param>
internal sealed record RoundResult(RoundStatistics Round, double Throttle);

/// <summary>All rounds so far, oldest first, and how long they took together with the pauses between them.</summary>
internal sealed record RoundHistory(IReadOnlyList<RoundResult> Rounds, TimeSpan Elapsed);

/// <summary>What is known at the moment of deciding.</summary>
/// <param name="BytesPerSecond">What the wire takes for this container now.</param>
/// <param name="Model">This host's experience.</param>
/// <param name="LazyDump">CRIU dumps with --lazy-pages.</param>
internal sealed record Measurements(double BytesPerSecond, FreezeModel Model, bool LazyDump = false);
