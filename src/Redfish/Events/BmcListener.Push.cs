namespace Evacuator.Redfish.Events;

// The push subscription.
public sealed partial class BmcListener
{
    private volatile bool _pushArrived;
    private volatile bool _testExpected;

    /// <summary>
    /// Takes the body of a POST that the BMC sent to the push destination. Quick, and never throws: answer the BMC with 200 whatever comes back.
    /// </summary>
    /// <returns>How many events were in it.</returns>
    public int AcceptPush(ReadOnlyMemory<byte> body)
    {
        EventPayload payload = EventPayload.Parse(body);
        // Even an unreadable body shows that the way is open.
        _pushArrived = true;
        if (_testExpected && payload.Records.Count > 0 && payload.Records.All(r => r.IsTest))
        {
            // Ours, once: a later one is somebody else's and worth showing.
            _testExpected = false;
            return payload.Records.Count;
        }
        Take(payload, ListenMode.Push);
        if (State.Mode == ListenMode.Push)
            Hearing(ListenMode.Push, State.Reason);
        return payload.Records.Count;
    }

    /// <summary>Looks after the subscription until the service refuses it or never calls. Returns why; null when a stream is to be tried again.</summary>
    private async Task<string?> PushAsync(EventOffer offer, string reason, CancellationToken cancel)
    {
        // 1. Subscribe.
        PushResult result = await _push!.EnsureAsync(offer.Service!, cancel).ConfigureAwait(false);
        if (!result.IsAlive)
            return $"{reason}; a subscription is not possible: {result.Message}";
        _pushArrived = false;
        _testExpected = true;
        bool tested = await _push.SubmitTestAsync(offer.Service!, cancel).ConfigureAwait(false);
        _testExpected = tested;
        long began = _time.GetTimestamp(), verified = began;
        string how = $"{reason}; subscribed";
        _funnel.Resync("the subscription began; what happened before it is not known", ListenMode.Push);

        // 2. Until a delivery proves the way, the logs are looked at as well.
        int failures = 0;
        TimeSpan step = _options.PollInterval < _options.LivenessInterval ? _options.PollInterval : _options.LivenessInterval;
        while (true)
        {
            if (_pushArrived)
            {
                if (failures == 0)
                    Hearing(ListenMode.Push, how);
            }
            else if (tested && _time.GetElapsedTime(began) >= _options.PushProofWithin)
            {
                await _push.DeleteAsync(cancel).ConfigureAwait(false);
                return $"{reason}; the BMC took a subscription and a test event but never called {_options.PushDestination!.Authority}: check its route and the host's firewall";
            }
            else
            {
                string? problem = await LookAtLogsAsync(ListenMode.Push, cancel).ConfigureAwait(false);
                if (problem is null)
                    Hearing(ListenMode.Push, $"{how}; no delivery yet, so the logs are looked at as well");
                else
                    Deaf(problem, ListenMode.Push, $"{how}; no delivery yet");
            }

            await Wait(_pushArrived ? _options.LivenessInterval : Shorter(step, tested ? _options.PushProofWithin - _time.GetElapsedTime(began) : step), cancel).ConfigureAwait(false);

            // 3. Services lose subscriptions over restarts and failed deliveries.
            if (_time.GetElapsedTime(verified) < _options.LivenessInterval)
                continue;
            verified = _time.GetTimestamp();
            result = await _push.VerifyAsync(offer.Service!, cancel).ConfigureAwait(false);
            switch (result.Outcome)
            {
                case PushOutcome.Kept:
                    failures = 0;
                    break;
                case PushOutcome.Created:
                    failures = 0;
                    _funnel.Resync(result.Message.Length > 0 ? result.Message : "the subscription had to be made anew", ListenMode.Push);
                    break;
                case PushOutcome.Refused:
                    return $"{reason}; the subscription was lost and cannot be made again: {result.Message}";
                default:
                    failures++;
                    Deaf(result.Message, ListenMode.Push, how);
                    break;
            }
            // A stream is better, and may be there by now (a firmware update).
            if (offer.StreamUri is not null && _time.GetElapsedTime(began) >= _options.RetryBetterAfter)
                return null;
        }
    }

    private static TimeSpan Shorter(TimeSpan a, TimeSpan b)
    {
        TimeSpan shorter = a < b ? a : b;
        return shorter > TimeSpan.FromSeconds(1) ? shorter : TimeSpan.FromSeconds(1);
    }
}
