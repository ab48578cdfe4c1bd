using Evacuator.Evacuation;
using Evacuator.Journal;

namespace Evacuator.Homecoming;

/// <summary>The one writer of a departure's state; the same contract as that of an evacuation.</summary>
internal sealed class DepartureLedger(JournalStore journal, TimeProvider time, Departure departure) : IMoveLedger
{
    // Held over the journal's write on purpose: two steps may never be journaled in another order than they were taken.
    private readonly Lock _lock = new();
    private volatile Departure _departure = departure;
    private volatile Waiting? _waiting;

    public Departure Departure => _departure;

    public Waiting? Waiting => _waiting;

    public string BootId => _departure.BootId;

    public MoveState Move(string container) => _departure.Move;

    public MoveState Apply(string container, MoveInput input)
    {
        lock (_lock)
        {
            MoveState before = _departure.Move;
            StepResult<MoveState> step = MoveMachine.Step(before, input, time.GetUtcNow(), _departure.Cancelling);
            if (!step.IsOk)
                throw new InvalidOperationException($"departure of {container}: {step.Error}");
            Departure after = _departure with { Move = step.Next };
            // Bytes and rounds change several times a second and can be asked for again.
            if (before.Phase != step.Next.Phase || before.MoveId != step.Next.MoveId || before.Last?.Phase != step.Next.Last?.Phase || before.Last?.Detail != step.Next.Last?.Detail)
                journal.Write(after);
            _departure = after;
            return step.Next;
        }
    }

    /// <summary>False if it has ended.</summary>
    public bool TryCancel()
    {
        lock (_lock)
        {
            if (_departure.Ended)
                return false;
            if (_departure.Cancelling)
                return true;
            Departure after = _departure with { Cancelling = true };
            journal.Write(after);
            _departure = after;
            return true;
        }
    }

    public void WaitMove(string container, Waiting? waiting)
    {
        if (waiting is not null && _waiting is { } present && present.For == waiting.For)
            waiting = waiting with { Since = present.Since };
        _waiting = waiting;
    }
}
