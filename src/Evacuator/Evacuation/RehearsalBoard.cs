namespace Evacuator.Evacuation;

/// <summary>The rehearsal that is under way, if any: an evacuation calls it off and waits for its end, so that the container is free to move.</summary>
internal sealed class RehearsalBoard(BrainTimings timings, TimeProvider time)
{
    private volatile Turn? _turn;

    public Turn Begin() => _turn = new Turn(this);

    public async Task StandDownAsync(CancellationToken token)
    {
        while (_turn is { } turn)
        {
            turn.Call();
            await Task.Delay(timings.MovePoll, time, token).ConfigureAwait(false);
        }
    }

    internal sealed class Turn(RehearsalBoard board) : IDisposable
    {
        private readonly CancellationTokenSource _called = new();

        /// <summary>Somebody wants the container.</summary>
        public CancellationToken Called => _called.Token;

        // The source is not disposed: Call may come at the same time as the end.
        public void Call() => _called.Cancel();

        public void Dispose() => board._turn = null;
    }
}
