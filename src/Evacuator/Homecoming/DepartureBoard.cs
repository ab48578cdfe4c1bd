using System.Collections.Immutable;
using Evacuator.Evacuation;

namespace Evacuator.Homecoming;

/// <summary>
/// The departures that are under way. An evacuation that begins takes everything over: those that have not begun to move are called off, those under way are undone or,
/// if it is too late for that, run to their end first.
/// </summary>
internal sealed class DepartureBoard(BrainTimings timings, TimeProvider time)
{
    private ImmutableDictionary<Guid, OpenDeparture> _open = ImmutableDictionary<Guid, OpenDeparture>.Empty;

    public IReadOnlyCollection<OpenDeparture> Open => [.. _open.Values];

    /// <summary>False if it is there already, or another one of the same container is.</summary>
    public bool TryAdd(OpenDeparture departure)
    {
        Guid id = departure.Ledger.Departure.Id;
        string container = departure.Ledger.Departure.Move.Name;
        return ImmutableInterlocked.Update(ref _open, open =>
            open.ContainsKey(id) || open.Values.Any(other => other.Ledger.Departure.Move.Name == container) ? open : open.Add(id, departure));
    }

    public OpenDeparture? Find(Guid id) => _open.GetValueOrDefault(id);

    public void Remove(Guid id) => ImmutableInterlocked.TryRemove(ref _open, id, out _);

    public async Task StandDownAsync(Action<Waiting?> say, CancellationToken token)
    {
        DateTimeOffset since = time.GetUtcNow();
        while (Open is { Count: > 0 } open)
        {
            foreach (OpenDeparture departure in open)
                departure.Cancel();
            say(new Waiting($"containers that are on their way home to come to an end: {string.Join(", ", open.Select(departure => departure.Ledger.Departure.Move.Name))}", since, null, "then a plan is made"));
            await Task.Delay(timings.Retry, time, token).ConfigureAwait(false);
        }

        say(null);
    }
}

/// <summary>A departure that has not ended, and the way to call it off.</summary>
internal sealed class OpenDeparture(DepartureLedger ledger)
{
    private readonly CancellationTokenSource _cancel = new();

    public DepartureLedger Ledger => ledger;

    public CancellationToken CancelRequested => _cancel.Token;

    /// <summary>False if it has ended.</summary>
    public bool Cancel()
    {
        if (!ledger.TryCancel())
            return false;
        _cancel.Cancel();
        return true;
    }
}
