using Evacuator.Evacuation;
using Evacuator.Journal;

namespace Evacuator.Fleet.Locks;

/// <summary>How many nodes of the fleet may be out at once. A node takes a slot before it is closed, and has it until it is opened again.</summary>
internal interface IFleetLock
{
    /// <summary>
    /// Returns when this node may be emptied, with what a report should say about it; null: nothing. Says meanwhile what it waits for. An evacuation that is forced is not
    /// held up: it takes its slot if it can.
    /// </summary>
    Task<string?> AcquireAsync(EvacuationState evacuation, Action<Waiting?> say, CancellationToken token);

    /// <summary>
    /// Makes the store agree with what this node is: to be called every few seconds. Never throws for a store that does not answer.
    /// </summary>
    /// <param name="holds">asked after the store was read: what this node is out for</param>
    Task KeepAsync(Func<SlotHolding> holds, CancellationToken token);

    /// <summary>Why nobody can tell who is out just now, in words; null while the store answers.</summary>
    string? Problem { get; }

    /// <summary>Whether the fleet can spare this node, which nobody asked it to empty. Null: it can; then <see cref="EndAsk"/> as soon as the evacuation has begun. Else why not.</summary>
    Task<string?> AskShareAsync(CancellationToken token);

    void EndAsk();

    /// <summary>Takes the slot of a node away. Null when done; else why not.</summary>
    Task<string?> UnlockAsync(string node, string by, CancellationToken token);

    /// <summary>What is known, for people; never throws for a store that does not answer.</summary>
    Task<FleetLockView> LookAsync(CancellationToken token);
}

/// <summary>What this node is out for.</summary>
/// <param name="Evacuation">null: it is not out</param>
/// <param name="Asking">it asks for a slot just now: leave it to that</param>
internal sealed record SlotHolding(EvacuationState? Evacuation, bool Asking);

/// <param name="UnknownSince">the store has not answered since; then the rest is as it was before. Null: it answers</param>
/// <param name="Problem">why it does not answer; empty when it does</param>
/// <param name="AsOf">when the rest was read; null: never so far</param>
internal sealed record FleetLockView(string Store, DateTimeOffset? UnknownSince, string Problem, DateTimeOffset? AsOf, FleetPicture Picture)
{
    public static FleetPicture Nothing { get; } = new([], [], []);
}
