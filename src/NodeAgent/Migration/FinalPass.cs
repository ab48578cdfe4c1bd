using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Migration;

/// <summary>
/// The turn to freeze a container. Kept until it runs again, there or here: on few processors a restore at the destination of one beside the freeze of the next makes both
/// longer. May be given back by several threads; only the first does anything.
/// </summary>
internal sealed class FinalPass : IDisposable
{
    /// <summary>Once others have their part in how long it stands still.</summary>
    public static readonly TimeSpan LongestEnd = TimeSpan.FromSeconds(1);

    private SemaphoreSlim? _turns;
    private IDisposable? _urgent;
    private ITimer? _end;

    private FinalPass(SemaphoreSlim turns, bool waited) => (_turns, Waited) = (turns, waited);

    /// <summary>It was not free at once: what was sent before has aged.</summary>
    public bool Waited { get; }

    public static async Task<FinalPass> TakeAsync(SemaphoreSlim turns, CancellationToken cancel)
    {
        if (turns.Wait(0, cancel))
            return new FinalPass(turns, waited: false);
        await turns.WaitAsync(cancel);
        return new FinalPass(turns, waited: true);
    }

    /// <summary>
    /// It runs, and its last rounds have the wire to themselves from now on: they tell what its freeze will get, and what the others have handed over is through before it. May be said again.
    /// </summary>
    public void GoAhead(Urgency urgency) => Replace(urgency.Enter(still: false));

    /// <summary>It is frozen from now on: everything else of this host gives way.</summary>
    public void Freeze(Urgency urgency) => Replace(urgency.Enter());

    /// <summary>Nobody comes in between the two.</summary>
    private void Replace(IDisposable stay) => Interlocked.Exchange(ref _urgent, stay)?.Dispose();

    /// <summary>What is left is not this host's alone: a peer that does not answer, or a dump that hangs, shall not keep the others waiting.</summary>
    public void EndWithin(TimeSpan time, TimeProvider clock) => _end = clock.CreateTimer(static pass => ((FinalPass)pass!).Dispose(), this, time, Timeout.InfiniteTimeSpan);

    public void Dispose()
    {
        Interlocked.Exchange(ref _urgent, null)?.Dispose();
        Interlocked.Exchange(ref _turns, null)?.Release();
        Interlocked.Exchange(ref _end, null)?.Dispose();
    }
}
