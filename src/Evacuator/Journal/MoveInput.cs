using Evacuator.Common.AgentApi;

namespace Evacuator.Journal;

/// <summary>What can happen to a move.</summary>
internal abstract record MoveInput
{
    /// <summary>A destination is about to be asked, under a fresh id.</summary>
    internal sealed record Try(string Peer, Guid MoveId) : MoveInput;

    /// <summary>The destination has reserved room and given its token.</summary>
    internal sealed record Reserved(string Token) : MoveInput;

    /// <summary>This destination does not take it; another may.</summary>
    internal sealed record Refused(IReadOnlyList<Blocker> Blockers) : MoveInput;

    /// <summary>No destination is left to ask.</summary>
    internal sealed record NoneLeft : MoveInput;

    /// <summary>The agent's view of the move.</summary>
    internal sealed record Progress(MoveReport Report) : MoveInput;

    /// <summary>The agent knows nothing of the move, and this is what was found about the container instead.</summary>
    internal sealed record Settled(MovePhase End, string Detail) : MoveInput;

    /// <summary>The evacuation is being cancelled and this move has not begun.</summary>
    internal sealed record Cancel : MoveInput;

    /// <summary>The container has ended by itself before its move began.</summary>
    internal sealed record Vanished : MoveInput;

    /// <summary>The time for the whole is over. What has not begun goes as its owner permits, or stays; what is under way is called back.</summary>
    internal sealed record DeadlinePassed : MoveInput;

    /// <summary>A person wants it tried again.</summary>
    internal sealed record Retry : MoveInput;

    /// <summary>A member of its group that was to leave before it is still here.</summary>
    internal sealed record GroupBroken(string Member) : MoveInput;
}
