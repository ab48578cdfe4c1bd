using System.Runtime.CompilerServices;
using Evacuator.Redfish.Session;

namespace Evacuator.Redfish.Events;

/// <summary>
/// Listens to one BMC in the best way it offers: event stream, else push subscription, else looking at its logs; and knows when it is deaf.
/// Hands on reasons to read (<see cref="ReadAllAsync"/>, one reader), never findings.
/// </summary>
/// <remarks>
/// 1. Read what is offered. 2. Stream: open, settle, read; renew by age; a cheap read tells quiet from dead. 3. Refused: push: ensure, prove by a test event, verify on a timer.
/// 4. Refused, or no place to be pushed to: poll the logs. 5. From a lesser way, try the better ones again after a while.
/// </remarks>
public sealed partial class BmcListener
{
    private readonly BmcClient _client;
    private readonly BmcListenerOptions _options;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly EventFunnel _funnel;
    private readonly PushSubscription? _push;
    private readonly Lock _lock = new();
    private ListeningState _state;
    private DateTimeOffset _lastCertain;
    private int _running;

    /// <param name="client">The BMC; shared with other readers.</param>
    /// <param name="options">How to listen.</param>
    /// <param name="time">Clock of all waits.</param>
    /// <param name="random">Source of jitter; may be shared.</param>
    public BmcListener(BmcClient client, BmcListenerOptions options, TimeProvider time, Random random)
    {
        _client = client;
        _options = options;
        _time = time;
        _random = random;
        _funnel = new EventFunnel(time);
        _push = options.PushDestination is { } destination ? new PushSubscription(client, destination, options.Context) : null;
        _lastCertain = time.GetUtcNow();
        _state = new ListeningState(ListenMode.None, "not started", false, _lastCertain, null, "not started");
    }

    /// <summary>How the listening stands now.</summary>
    public ListeningState State
    {
        get
        {
            lock (_lock)
                return _state with { LastEvent = _funnel.LastEvent };
        }
    }

    /// <summary>What the service says keeps events from coming.</summary>
    public IReadOnlyList<string> Warnings { get; private set; } = [];

    /// <summary>Events as they come, until cancelled. For one reader.</summary>
    public async IAsyncEnumerable<BmcEvent> ReadAllAsync([EnumeratorCancellation] CancellationToken cancel)
    {
        await foreach (BmcEvent next in _funnel.ReadAllAsync(cancel).ConfigureAwait(false))
            yield return next;
    }

    /// <summary>Listens until cancelled; never ends for what a BMC does. At the end the subscription is deleted; the session belongs to the client.</summary>
    public async Task RunAsync(CancellationToken cancel)
    {
        if (Interlocked.Exchange(ref _running, 1) != 0)
            throw new InvalidOperationException("this listener runs already");
        Backoff backoff = NewBackoff();
        try
        {
            while (true)
            {
                (EventOffer? offer, string message) = await EventOffer.ReadAsync(_client, _push is not null, cancel).ConfigureAwait(false);
                if (offer is null)
                {
                    Deaf(message);
                    await Wait(backoff.Next(), cancel).ConfigureAwait(false);
                    continue;
                }
                backoff.Reset();
                Warnings = offer.Warnings;
                string reason = offer.Reason;
                bool better = false;
                if (offer.StreamUri is not null)
                {
                    reason = await StreamAsync(offer, cancel).ConfigureAwait(false);
                    better = true;
                }
                if (_push is not null && offer.Service is not null)
                {
                    string? ended = await PushAsync(offer, reason, cancel).ConfigureAwait(false);
                    if (ended is null)
                    {
                        // The stream is tried again; events must not come both ways for ever.
                        await _push.DeleteAsync(cancel).ConfigureAwait(false);
                        continue;
                    }
                    reason = ended;
                    better = true;
                }
                await PollAsync(better ? reason : offer.Reason, _options.RetryBetterAfter, cancel).ConfigureAwait(false);
            }
        }
        finally
        {
            await UnsubscribeAsync().ConfigureAwait(false);
            Deaf("stopped");
        }
    }

    // Not cancellable by the caller, who is stopping, but bounded: a subscription left behind makes the BMC call a place where nobody listens.
    private async Task UnsubscribeAsync()
    {
        if (_push?.Uri is null)
            return;
        using CancellationTokenSource limit = new(_client.Options.Timeouts.Logout, _time);
        try
        {
            await _push.DeleteAsync(limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
        {
            // Stays at the BMC; the next start finds it by its destination.
        }
    }

    private void Hearing(ListenMode mode, string reason, string? problem = null)
    {
        lock (_lock)
        {
            _lastCertain = _time.GetUtcNow();
            bool same = _state.Hearing && _state.Mode == mode;
            _state = new ListeningState(mode, reason, true, same ? _state.Since : _lastCertain, null, problem);
        }
    }

    private void Deaf(string problem, ListenMode? mode = null, string? reason = null)
    {
        lock (_lock)
        {
            DateTimeOffset since = _state.Hearing ? _lastCertain : _state.Since;
            _state = new ListeningState(mode ?? _state.Mode, reason ?? _state.Reason, false, since, null, problem);
        }
    }

    private void Take(EventPayload payload, ListenMode via)
    {
        foreach (EventRecord record in payload.Records)
            _funnel.Offer(record, via);
        if (payload.Lost)
            _funnel.Resync(payload.Problem.Length > 0 ? $"an event could not be read: {payload.Problem}" : "the BMC lost events", via);
    }

    private Backoff NewBackoff() => new(_options.RetryFirst, _options.RetryLast, _random);

    private Task Wait(TimeSpan span, CancellationToken cancel) => Task.Delay(span, _time, cancel);
}
