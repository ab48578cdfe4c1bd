using Evacuator.Journal;

namespace Evacuator.Evacuation;

/// <summary>Where <see cref="ContainerRun"/> reads and writes the state of a move: that of an evacuation, or of a single departure.</summary>
internal interface IMoveLedger
{
    /// <summary>Boot of the host in which the moves began.</summary>
    string BootId { get; }

    MoveState Move(string container);

    /// <summary>Takes a step that has to be possible; it is in the journal when this returns.</summary>
    MoveState Apply(string container, MoveInput input);

    /// <summary>Says what the move waits for; null: it does not.</summary>
    void WaitMove(string container, Waiting? waiting);
}
