using Evacuator.Common.AgentApi;

namespace Evacuator.NodeAgent.Migration;

/// <summary>What can happen to a move at its source.</summary>
internal enum SourceInput
{
    CopyBegins,
    FreezeBegins,

    /// <summary>The destination has all it needs, checked; we give up the right to run the container.</summary>
    Release,
    PeerRuns,

    /// <summary>It runs at the destination, and memory of it is only here.</summary>
    PeerFetches,

    /// <summary>The destination says that nothing of it runs there, nor will.</summary>
    PeerFailed,

    /// <summary>A person says that the destination's host is off for good: it will not say anything any more, and nothing of the container runs there.</summary>
    PeerGone,
    Removed,

    /// <summary>Anything that goes wrong while we may still abort alone: an error, a deadline, a cancel, a restart of the agent.</summary>
    Abort,
    Reverted,
}

/// <summary>
/// The source's half of the handover as a pure table. It has one way into <see cref="SourcePhase.Released"/> and, from there, no way back
/// that is not the destination's word, or a person's that its host is off for good: this is what keeps a container from running twice.
/// </summary>
/// <remarks>
/// <code>
///                                                ┌─PeerFetches▶ Serving ─PeerRuns┐
/// Accepted ─▶ Copying ─▶ Freezing ─Release▶ Released ─PeerRuns▶ Removing ◀────────┘ ─▶ Moved
///     └──────────┴──Abort──┘                    └─PeerFailed, PeerGone┐  (of Serving, too)
///                └────────────────▶ Reverting ◀───────────────────────┘ ─▶ Stayed
/// </code>
/// </remarks>
internal static class SourceTransitions
{
    /// <returns>the next phase, or null if this cannot happen in this phase</returns>
    public static SourcePhase? Next(SourcePhase phase, SourceInput input) => (phase, input) switch
    {
        (SourcePhase.Accepted, SourceInput.CopyBegins) => SourcePhase.Copying,
        (SourcePhase.Copying, SourceInput.FreezeBegins) => SourcePhase.Freezing,
        (SourcePhase.Freezing, SourceInput.Release) => SourcePhase.Released,
        (SourcePhase.Released, SourceInput.PeerFetches) => SourcePhase.Serving,
        (SourcePhase.Released or SourcePhase.Serving, SourceInput.PeerRuns) => SourcePhase.Removing,
        (SourcePhase.Released or SourcePhase.Serving, SourceInput.PeerFailed or SourceInput.PeerGone) => SourcePhase.Reverting,
        (SourcePhase.Removing, SourceInput.Removed) => SourcePhase.Moved,
        (SourcePhase.Accepted or SourcePhase.Copying or SourcePhase.Freezing, SourceInput.Abort) => SourcePhase.Reverting,
        (SourcePhase.Reverting, SourceInput.Reverted) => SourcePhase.Stayed,
        _ => null,
    };

    /// <summary>Whether the source may still decide by itself that the container stays.</summary>
    public static bool CanAbort(SourcePhase phase) => Next(phase, SourceInput.Abort) is not null;
}
