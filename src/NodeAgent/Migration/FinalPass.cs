namespace Evacuator.NodeAgent.Migration;

/// <summary>The turn to freeze a container, given back when it is released or thawed.</summary>
internal sealed class FinalPass : IDisposable
{
    private SemaphoreSlim? _turns;

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

    public void Dispose() => Interlocked.Exchange(ref _turns, null)?.Release();
}
