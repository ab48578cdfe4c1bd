using Evacuator.Journal;

namespace Evacuator.Homecoming;

/// <summary>The one writer of a homecoming's state: each change is a step of the machine, in the journal before anyone sees it.</summary>
internal sealed class HomecomingLedger(JournalStore journal, TimeProvider time, HomecomingState state)
{
    // Held over the journal's write on purpose: two steps may never be journaled in another order than they were taken.
    private readonly Lock _lock = new();
    private volatile HomecomingState _state = state;

    public HomecomingState State => _state;

    /// <summary>False if another step, such as a cancellation, has made this one impossible.</summary>
    public bool TryApply(HomecomingInput input)
    {
        lock (_lock)
        {
            StepResult<HomecomingState> step = HomecomingMachine.Step(_state, input, time.GetUtcNow());
            if (!step.IsOk)
                return false;
            // What a source tells on the way can be asked for again.
            if (input is not HomecomingInput.StepTold && !ReferenceEquals(step.Next, _state))
                journal.Write(step.Next);
            _state = step.Next;
            return true;
        }
    }
}
