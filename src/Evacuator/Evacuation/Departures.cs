namespace Evacuator.Evacuation;

/// <summary>
/// Lets some of many go at once, in their order, but only so many to one place: one whose place is full waits, and those behind it go before it if theirs is not.
/// </summary>
/// <param name="destinationOf">where it goes as of now; null: not known, and then nothing speaks against it</param>
/// <param name="parallel">at once</param>
/// <param name="perPlace">at once to one place; 0: any number</param>
internal sealed class Departures<T>(IEnumerable<T> inOrder, Func<T, string?> destinationOf, int parallel, int perPlace)
    where T : class
{
    private readonly List<T> _waiting = [.. inOrder];
    private readonly Dictionary<Task, T> _under = [];

    /// <summary>Returns when all have gone. The first that throws calls the others off, and is thrown when they have ended.</summary>
    public async Task RunAsync(Func<T, CancellationToken, Task> go, CancellationToken stop)
    {
        // Linked: the caller's stop; the failure of one.
        using CancellationTokenSource all = CancellationTokenSource.CreateLinkedTokenSource(stop);
        Task? broken = null;
        while (_under.Count > 0 || (broken is null && _waiting.Count > 0 && !stop.IsCancellationRequested))
        {
            while (broken is null && !stop.IsCancellationRequested && Next() is { } next)
            {
                _waiting.Remove(next);
                _under[Task.Run(() => go(next, all.Token), CancellationToken.None)] = next;
            }

            if (_under.Count == 0)
                continue;
            Task ended = await Task.WhenAny(_under.Keys).ConfigureAwait(false);
            _under.Remove(ended);
            if (ended.IsCompletedSuccessfully || broken is not null)
                continue;
            broken = ended;
            await all.CancelAsync().ConfigureAwait(false);
        }

        if (broken is not null)
            await broken.ConfigureAwait(false);
        stop.ThrowIfCancellationRequested();
    }

    private T? Next()
    {
        if (_under.Count >= parallel)
            return null;
        if (perPlace == 0)
            return _waiting.FirstOrDefault();
        Dictionary<string, int> busy = _under.Values.Select(destinationOf).OfType<string>().GroupBy(place => place).ToDictionary(place => place.Key, place => place.Count());
        return _waiting.FirstOrDefault(each => destinationOf(each) is not { } place || busy.GetValueOrDefault(place) < perPlace);
    }
}
