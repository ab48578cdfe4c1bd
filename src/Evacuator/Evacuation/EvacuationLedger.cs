using System.Collections.Immutable;
using Evacuator.Journal;

namespace Evacuator.Evacuation;

/// <summary>A consistent picture of an evacuation at one instant.</summary>
/// <param name="Waiting">what the run waits for; not journaled</param>
/// <param name="MoveWaiting">what single moves wait for, by container name; not journaled</param>
internal sealed record EvacuationSnapshot(
    EvacuationState State, IReadOnlyList<MoveState> Moves, Waiting? Waiting, ImmutableDictionary<string, Waiting> MoveWaiting)
{
    /// <summary>For the time that is left; not journaled.</summary>
    public SentLately Sent { get; init; } = SentLately.Nothing;
}

/// <summary>
/// The one writer of an evacuation's state: each change is a step of the state machine, in the journal before anyone sees it. Readers get snapshots.
/// </summary>
internal sealed class EvacuationLedger : IMoveLedger
{
    private readonly JournalStore _journal;
    private readonly TimeProvider _time;

    // Held over the journal's write on purpose: two steps may never be journaled in another order than they were taken.
    private readonly Lock _lock = new();
    private volatile EvacuationSnapshot _snapshot;
    private long _lastActivity;

    public EvacuationLedger(JournalStore journal, TimeProvider time, EvacuationState state, IReadOnlyList<MoveState> moves)
    {
        _journal = journal;
        _time = time;
        _snapshot = new EvacuationSnapshot(state, moves, null, ImmutableDictionary<string, Waiting>.Empty);
        _lastActivity = time.GetTimestamp();
    }

    /// <summary>Since the run last did anything: every look at a move and every repeated question comes by here.</summary>
    public TimeSpan Silence => _time.GetElapsedTime(Interlocked.Read(ref _lastActivity));

    /// <summary>Raised outside of the lock after each journaled change of phase, with what changed.</summary>
    public event Action<EvacuationState>? PhaseChanged;

    public event Action<MoveState>? MoveChanged;

    public EvacuationSnapshot Snapshot => _snapshot;

    public EvacuationState State => _snapshot.State;

    public string BootId => State.BootId;

    public MoveState Move(string container) => _snapshot.Moves.First(move => move.Name == container);

    /// <summary>Takes a step that has to be possible.</summary>
    /// <exception cref="InvalidOperationException">it is not: a defect</exception>
    /// <exception cref="JournalException">not journaled, so not taken</exception>
    public EvacuationState Apply(EvacuationInput input, IReadOnlyList<MoveState>? newMoves = null) =>
        TryApply(input, out string? error, newMoves) ? State : throw new InvalidOperationException($"evacuation {State.Id}: {error}");

    /// <summary>Takes a step that another may have overtaken, such as a cancellation.</summary>
    public bool TryApply(EvacuationInput input, out string? error, IReadOnlyList<MoveState>? newMoves = null)
    {
        Interlocked.Exchange(ref _lastActivity, _time.GetTimestamp());
        EvacuationState before;
        EvacuationState after;
        lock (_lock)
        {
            before = _snapshot.State;
            StepResult<EvacuationState> step = EvacuationMachine.Step(before, input, _time.GetUtcNow());
            error = step.Error;
            if (!step.IsOk)
                return false;
            after = step.Next;
            if (!ReferenceEquals(before, after) || newMoves is { Count: > 0 })
                _journal.Write(after, newMoves ?? []);
            IReadOnlyList<MoveState> moves = _snapshot.Moves;
            if (newMoves is { Count: > 0 })
                moves = [.. moves.Where(move => newMoves.All(newer => newer.Name != move.Name)).Concat(newMoves).OrderBy(move => move.Order)];
            _snapshot = _snapshot with { State = after, Moves = moves, Waiting = before.Phase == after.Phase ? _snapshot.Waiting : null };
        }

        if (before.Phase != after.Phase)
            PhaseChanged?.Invoke(after);
        return true;
    }

    /// <summary>Takes a step of one container's move.</summary>
    public MoveState Apply(string container, MoveInput input)
    {
        Interlocked.Exchange(ref _lastActivity, _time.GetTimestamp());
        MoveState before;
        MoveState after;
        lock (_lock)
        {
            before = Move(container);
            StepResult<MoveState> step = MoveMachine.Step(before, input, _time.GetUtcNow(), _snapshot.State.Phase == EvacuationPhase.Cancelling);
            if (!step.IsOk)
                throw new InvalidOperationException($"move of {container}: {step.Error}");
            after = step.Next;
            // Bytes and rounds change several times a second and can be asked for again; only what decides something is worth an fsync.
            if (before.Phase != after.Phase || before.MoveId != after.MoveId || before.Late != after.Late || before.Last?.Phase != after.Last?.Phase || before.Last?.Detail != after.Last?.Detail)
                _journal.Write(null, [after]);
            _snapshot = _snapshot with
            {
                Moves = [.. _snapshot.Moves.Select(move => move.Name == container ? after : move)],
                Sent = _snapshot.Sent.Add(_time.GetUtcNow(), (after.Last?.BytesSent ?? 0) - (before.Last?.BytesSent ?? 0)),
                MoveWaiting = before.Phase == after.Phase ? _snapshot.MoveWaiting : _snapshot.MoveWaiting.Remove(container),
            };
        }

        if (before.Phase != after.Phase || before.Last?.Phase != after.Last?.Phase)
            MoveChanged?.Invoke(after);
        return after;
    }

    /// <summary>Says what the run waits for; null: it does not. The time of an unchanged wait is kept.</summary>
    public void Wait(Waiting? waiting)
    {
        Interlocked.Exchange(ref _lastActivity, _time.GetTimestamp());
        lock (_lock)
        {
            if (waiting is not null && _snapshot.Waiting is { } present && present.For == waiting.For)
                waiting = waiting with { Since = present.Since };
            _snapshot = _snapshot with { Waiting = waiting };
        }
    }

    /// <summary>Says what one move waits for; null: it does not.</summary>
    public void WaitMove(string container, Waiting? waiting)
    {
        lock (_lock)
        {
            if (waiting is not null && _snapshot.MoveWaiting.GetValueOrDefault(container) is { } present && present.For == waiting.For)
                waiting = waiting with { Since = present.Since };
            _snapshot = _snapshot with
            {
                MoveWaiting = waiting is null ? _snapshot.MoveWaiting.Remove(container) : _snapshot.MoveWaiting.SetItem(container, waiting),
            };
        }
    }
}
