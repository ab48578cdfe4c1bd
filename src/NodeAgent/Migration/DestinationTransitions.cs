using Evacuator.Common.AgentApi;

namespace Evacuator.NodeAgent.Migration;

/// <summary>What can happen to a move at its destination.</summary>
internal enum DestinationInput
{
    /// <summary>The source has shown the token and described the container; room and network are made.</summary>
    Offered,

    /// <summary>Everything has arrived and been checked.</summary>
    Complete,

    /// <summary>The source has given up the right to run it.</summary>
    Release,
    Restored,

    /// <summary>Restore failed and what was left of it has been removed.</summary>
    RestoreFailed,

    /// <summary>The source, the own brain, a lease that ran out or a restart ends it before release.</summary>
    Forget,

    /// <summary>The host was rebooted before the source knew that it ran here: the container died with it.</summary>
    LostByReboot,

    /// <summary>The source's host was rebooted before all memory had been fetched from it: what runs here can never go on, and has been removed.</summary>
    SourceLost,
}

/// <summary>The destination's half of the handover as a pure table. <see cref="DestinationPhase.Failed"/> is for ever: what it has promised
/// not to run, it never runs.</summary>
/// <remarks>
/// <code>
/// Announced ─▶ Receiving ─▶ Ready ─Release▶ Resuming ─▶ Running
///     └────Forget──┴──────────┘                 └─RestoreFailed─▶ Failed
/// </code>
/// </remarks>
internal static class DestinationTransitions
{
    /// <returns>the next phase, or null if this cannot happen in this phase</returns>
    public static DestinationPhase? Next(DestinationPhase phase, DestinationInput input) => (phase, input) switch
    {
        (DestinationPhase.Announced, DestinationInput.Offered) => DestinationPhase.Receiving,
        (DestinationPhase.Receiving, DestinationInput.Complete) => DestinationPhase.Ready,
        (DestinationPhase.Ready, DestinationInput.Release) => DestinationPhase.Resuming,
        (DestinationPhase.Resuming, DestinationInput.Restored) => DestinationPhase.Running,
        (DestinationPhase.Resuming, DestinationInput.RestoreFailed) => DestinationPhase.Failed,
        (DestinationPhase.Announced or DestinationPhase.Receiving or DestinationPhase.Ready, DestinationInput.Forget) => DestinationPhase.Failed,
        (DestinationPhase.Ready or DestinationPhase.Resuming or DestinationPhase.Running, DestinationInput.LostByReboot) => DestinationPhase.Failed,
        (DestinationPhase.Running, DestinationInput.SourceLost) => DestinationPhase.Failed,
        _ => null,
    };

    public static bool Ended(DestinationPhase phase) => phase is DestinationPhase.Running or DestinationPhase.Failed;
}
