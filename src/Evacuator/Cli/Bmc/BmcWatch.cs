using Evacuator.Evacuation;
using Evacuator.Redfish.Events;
using Evacuator.Redfish.Health;
using Evacuator.Redfish.Session;

namespace Evacuator.Cli.Bmc;

/// <summary>
/// Follows one machine: events as they come, and what readings after them show. A whole reading at the start, after a gap in the listening, and now and then; after an event
/// only of the parts that it names.
/// </summary>
internal sealed class BmcWatch(BmcClient client, HealthScope scope, TimeSpan fullRead, TimeProvider time, Random random, Action<WatchLine> tell)
{
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(1);

    private TrackerState _state = TrackerState.Empty;
    private ListeningState? _listening;
    private string _verdict = "";
    private int _cost;

    /// <summary>Ends with the token's cancellation.</summary>
    public async Task RunAsync(CancellationToken token)
    {
        BmcListener listener = new(client, new BmcListenerOptions { SystemUri = scope.Systems[0] }, time, random);
        // Linked: the caller's stop; the end of this watch.
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(token);
        Task running = listener.RunAsync(end.Token);
        IAsyncEnumerator<BmcEvent> events = listener.ReadAllAsync(end.Token).GetAsyncEnumerator(end.Token);
        try
        {
            Task<bool> next = events.MoveNextAsync().AsTask();
            bool everything = true;
            HashSet<string> parts = [];
            while (true)
            {
                if (everything)
                    await ReadEverythingAsync(token).ConfigureAwait(false);
                else if (parts.Count > 0)
                    Apply(await HealthWalk.RereadAsync(client, parts, null, time, token).ConfigureAwait(false));
                everything = false;
                parts.Clear();

                long readAt = time.GetTimestamp();
                while (!next.IsCompleted && !running.IsCompleted && time.GetElapsedTime(readAt) < ReadPace.Between(_cost, listener.State, fullRead))
                {
                    TellListening(listener.State);
                    await Task.WhenAny(next, Task.Delay(Tick, time, token)).ConfigureAwait(false);
                    token.ThrowIfCancellationRequested();
                }

                if (running.IsCompleted)
                    await running.ConfigureAwait(false);
                everything = !next.IsCompleted;
                while (next.IsCompleted)
                {
                    if (!await next.ConfigureAwait(false))
                        return;
                    everything |= Take(events.Current, parts);
                    next = events.MoveNextAsync().AsTask();
                }
            }
        }
        finally
        {
            await end.CancelAsync().ConfigureAwait(false);
            await running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    // True when it asks for reading everything.
    private bool Take(BmcEvent heard, HashSet<string> parts)
    {
        if (heard.Record is not { } record)
        {
            Tell("listening", "resync", null, null, null, heard.Reason);
            return true;
        }

        string what = record.IsTest ? "test" : record.IsResolved ? "resolved" : Words.Of(record.Severity);
        Tell("event", what, record.MessageId, record.Origin, null, heard.Count > 1 ? $"{record.Message} (and {heard.Count - 1} like it)" : record.Message ?? "");
        if (record.IsTest || record.IsResolved)
            return false;
        HealthMessage message = new(record.MessageId, record.Message, record.Origin, record.MessageArgs.Count > 0 ? record.MessageArgs[0] : null);
        TrackerStep step = SignalTracker.Apply(_state, message, TrackerOptions.Default, time.GetUtcNow());
        TellChanges(step);
        parts.UnionWith(heard.Touched);
        return step.NeedsRead && heard.Touched.Count == 0;
    }

    private async Task ReadEverythingAsync(CancellationToken token)
    {
        HealthReading reading = await HealthWalk.RunAsync(client, scope, null, time, token).ConfigureAwait(false);
        _cost = reading.Requests;
        Apply(reading);
        string verdict = ProbeVerdict.Of(reading);
        if (verdict != _verdict)
            Tell("verdict", verdict, null, null, null, string.Join("; ", reading.Areas.Where(area => area.State == AreaState.CannotTell).Select(area => $"cannot tell about {Words.Of(area.Area)}: {area.Reason}")));
        _verdict = verdict;
        foreach (string warning in reading.Warnings)
            Tell("warning", "read", null, null, null, warning);
    }

    private void Apply(HealthReading reading) => TellChanges(SignalTracker.Apply(_state, reading, TrackerOptions.Default, time.GetUtcNow()));

    private void TellChanges(TrackerStep step)
    {
        _state = step.State;
        foreach (SignalChange change in step.Changes)
        {
            Signal signal = change.Signal.Signal;
            string text = $"{Words.Of(signal.Severity)} {Words.Of(signal.Kind)}{(signal.Predicted ? " (predicted)" : "")} of {Words.Of(signal.Component)} {signal.Location.Place ?? signal.Name}: {signal.Text} ({change.Why})";
            Tell("signal", Words.Of(change.Kind), signal.MessageId, signal.Evidence, signal.Key, text);
        }
    }

    private void TellListening(ListeningState now)
    {
        if (_listening is { } before && before.Mode == now.Mode && before.Hearing == now.Hearing)
            return;
        _listening = now;
        if (now.Mode != ListenMode.None || now.Problem is not "not started")
            Tell("listening", now.Hearing ? Words.Of(now.Mode) : "deaf", null, null, null, now.Hearing ? now.Reason : now.Problem ?? now.Reason);
    }

    private void Tell(string kind, string what, string? messageId, string? uri, string? key, string text) =>
        tell(new WatchLine(time.GetUtcNow(), kind, what, messageId, uri, key, text));
}

/// <summary>One line of "bmc watch".</summary>
/// <param name="Kind">event, signal, listening, verdict or warning</param>
/// <param name="What">an event's severity, or test or resolved; a signal's appeared, worsened or cleared; sse, poll or deaf; the verdict</param>
/// <param name="Uri">what it is about</param>
/// <param name="Key">the same for one signal as long as it lasts</param>
internal sealed record WatchLine(DateTimeOffset At, string Kind, string What, string? MessageId, string? Uri, string? Key, string Text);
