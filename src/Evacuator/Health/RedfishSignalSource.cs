using System.Runtime.CompilerServices;
using Evacuator.Common.Configuration;
using Evacuator.Power;
using Evacuator.Redfish.Events;
using Evacuator.Redfish.Health;
using Evacuator.Redfish.Power;
using Evacuator.Redfish.Session;

namespace Evacuator.Health;

/// <summary>
/// Listens to the own management controller and reads it: at once, on every event, and now and then. An event is a reason to read; what a reading cannot show
/// (many controllers keep predictions in messages only) counts if the table of known messages vouches for it.
/// </summary>
internal sealed class RedfishSignalSource(OwnBmc own, RedfishBmcs bmcs, BmcSettings settings, TimeProvider time, Random random) : ISignalSource
{
    private static readonly TimeSpan Retry = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan LongestPoll = TimeSpan.FromMinutes(1);

    /// <summary>Between looks at whether the listener still hears; costs the controller nothing.</summary>
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(5);

    public async IAsyncEnumerable<SignalNews> WatchAsync([EnumeratorCancellation] CancellationToken token)
    {
        TrackerState state = TrackerState.Empty;
        while (own.Exists)
        {
            string problem;
            if (own.Access(out problem) is { } access)
            {
                BmcLogin login = await bmcs.ConnectAsync(access, token).ConfigureAwait(false);
                problem = login.Problem;
                if (login.Client is { } client)
                {
                    await using (client.ConfigureAwait(false))
                    {
                        await foreach (SignalNews news in ListenAsync(client, login.Scope!, state, after => state = after, token).ConfigureAwait(false))
                            yield return news;
                    }

                    continue; // the listener wanted a new login
                }
            }

            yield return new SignalNews(false, problem, null, Describe(state));
            await Task.Delay(Retry, time, token).ConfigureAwait(false);
        }
    }

    private async IAsyncEnumerable<SignalNews> ListenAsync(
        BmcClient client, HealthScope scope, TrackerState state, Action<TrackerState> keep, [EnumeratorCancellation] CancellationToken token)
    {
        TimeSpan poll = settings.PollInterval < LongestPoll ? settings.PollInterval : LongestPoll;
        BmcListener listener = new(client, new BmcListenerOptions { SystemUri = scope.Systems[0], PollInterval = poll }, time, random);
        PowerControl power = new(client, scope.Systems[0], settings.Uuid.Length > 0 ? settings.Uuid : null, time);
        // Linked: the service's stop; the end of this listening.
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(token);
        Task running = listener.RunAsync(end.Token);
        IAsyncEnumerator<BmcEvent> events = listener.ReadAllAsync(end.Token).GetAsyncEnumerator(end.Token);
        try
        {
            Task<bool> next = events.MoveNextAsync().AsTask();
            while (!running.IsCompleted)
            {
                // 1. Read everything; the first time too.
                HealthReading reading = await HealthWalk.RunAsync(client, scope, null, time, token).ConfigureAwait(false);
                state = SignalTracker.Apply(state, reading, TrackerOptions.Default, time.GetUtcNow()).State;
                keep(state);
                PowerReading powerReading = await power.ReadPowerAsync(token).ConfigureAwait(false);
                yield return News(state, reading, powerReading, listener.State);

                // 2. Wait for a reason to read again: an event, a change in the listening itself, or time. Take all events that have come.
                long readAt = time.GetTimestamp();
                bool heard = listener.State.Hearing;
                while (!next.IsCompleted && !running.IsCompleted && listener.State.Hearing == heard && time.GetElapsedTime(readAt) < settings.PollInterval)
                    await Task.WhenAny(next, running, Task.Delay(Tick, time, token)).ConfigureAwait(false);
                token.ThrowIfCancellationRequested();
                while (next.IsCompleted)
                {
                    if (!await next.ConfigureAwait(false))
                        yield break;
                    if (events.Current.Record is { IsTest: false, IsResolved: false } record)
                    {
                        HealthMessage message = new(record.MessageId, record.Message, record.Origin, record.MessageArgs.Count > 0 ? record.MessageArgs[0] : null);
                        state = SignalTracker.Apply(state, message, TrackerOptions.Default, time.GetUtcNow()).State;
                    }

                    next = events.MoveNextAsync().AsTask();
                }
            }

            // It ends only when cancelled, or by a defect that has to be seen.
            await running.ConfigureAwait(false);
        }
        finally
        {
            await end.CancelAsync().ConfigureAwait(false);
            await running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private static SignalNews News(TrackerState state, HealthReading reading, PowerReading power, ListeningState listening)
    {
        List<string> doubts = [];
        if (!listening.Hearing)
            doubts.Add($"events are not heard: {listening.Problem}");
        if (!reading.KnowsEssentials)
        {
            doubts.Add(reading.KnowsAnything
                ? string.Join("; ", reading.Areas.Where(area => area.State == AreaState.CannotTell).Select(area => $"{Evacuation.Words.Of(area.Area)}: {area.Reason}"))
                : "no part of the machine says how it is");
        }

        return new SignalNews(doubts.Count == 0, string.Join("; ", doubts), power.State == PowerState.Unknown ? null : power.State.ToString(), Describe(state));
    }

    private static IReadOnlyList<OpenSignal> Describe(TrackerState state) =>
    [
        .. state.Signals.Values.OrderBy(tracked => tracked.Signal.Key, StringComparer.Ordinal).Select(tracked => new OpenSignal(
            tracked.Signal.Key, tracked.Signal.Severity == SignalSeverity.Critical || tracked.Signal.Predicted,
            SignalRules.Default.For(tracked.Signal, _ => false).Action >= RuleAction.Evacuate && !tracked.IsCalledOff,
            $"{HealthJudge.Describe(tracked.Signal)}{(tracked.IsOnlyAnnounced ? " (by a message; the part itself does not show it)" : "")}")),
    ];
}
