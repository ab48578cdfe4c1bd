using System.Runtime.CompilerServices;
using Evacuator.Common.Configuration;
using Evacuator.Power;
using Evacuator.Redfish.Events;
using Evacuator.Redfish.Health;
using Evacuator.Redfish.Power;
using Evacuator.Redfish.Session;

namespace Evacuator.Health;

/// <summary>
/// Watches the own management controller with one client and one listener for as long as the service lives. A slow read of everything is the truth; an event is a reason to
/// read the parts it names at once, and never more than that.
/// </summary>
/// <remarks>
/// 1. Log in, find the host's system, listen (event stream, else posted events, else logs).
/// 2. Read everything, or the parts that an event named, or those that wait for a second read.
/// 3. Tell what is known. 4. Wait for an event, or until the next of these is due.
/// </remarks>
internal sealed partial class RedfishSignalSource(
    OwnBmc own, RedfishBmcs bmcs, EvacuatorOptions options, PushReceiver push, TimeProvider time, Random random) : ISignalSource
{
    private static readonly TimeSpan Retry = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan LongestLogPoll = TimeSpan.FromMinutes(1);

    /// <summary>Whole reads in a row that brought nothing, after which the client is made anew: the password or the certificate may have been changed.</summary>
    private const int DeafReadsAllowed = 3;

    /// <summary>Between looks at whether the listener still hears; costs the controller nothing.</summary>
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(1);

    /// <summary>A whole read may take its time before what was known counts as old.</summary>
    private static readonly TimeSpan ReadTime = TimeSpan.FromMinutes(2);

    private DateTimeOffset? _knownAt;
    private TrackerState _state = TrackerState.Empty;

    public async IAsyncEnumerable<SignalNews> WatchAsync([EnumeratorCancellation] CancellationToken token)
    {
        while (own.Exists)
        {
            string problem;
            if (own.Access(out problem) is { } access)
            {
                BmcLogin login = await bmcs.ConnectAsync(access, token).ConfigureAwait(false);
                problem = login.Problem;
                if (login.Client is { } client)
                {
                    // Logs out at the end, however it comes; after a crash the next start does, by the file in the state directory.
                    await using (client.ConfigureAwait(false))
                    {
                        await foreach (SignalNews news in ListenAsync(client, login.Scope!, token).ConfigureAwait(false))
                            yield return news;
                    }

                    continue; // It wanted a new login.
                }
            }

            yield return new SignalNews(new HealthKnowledge(false, problem, _knownAt), null, [.. _state.Signals.Values]);
            await Task.Delay(Retry, time, token).ConfigureAwait(false);
        }
    }

    private async IAsyncEnumerable<SignalNews> ListenAsync(BmcClient client, HealthScope scope, [EnumeratorCancellation] CancellationToken token)
    {
        BmcSettings settings = options.Bmc;
        BmcListener listener = new(client, new BmcListenerOptions
        {
            SystemUri = scope.Systems[0],
            PollInterval = settings.PollInterval < LongestLogPoll ? settings.PollInterval : LongestLogPoll,
            PushDestination = push.Destination,
        }, time, random);
        PowerControl power = new(client, scope.Systems[0], settings.Uuid.Length > 0 ? settings.Uuid : null, time);
        ReadSchedule schedule = new(settings.PollInterval, options.Signals.ConfirmAfter, time);
        using IDisposable pushed = push.SendTo(listener);
        // Linked: the service's stop; the end of this listening.
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(token);
        Task running = listener.RunAsync(end.Token);
        IAsyncEnumerator<BmcEvent> events = listener.ReadAllAsync(end.Token).GetAsyncEnumerator(end.Token);
        Task<bool> next = events.MoveNextAsync().AsTask();
        HealthReading? whole = null;
        PowerReading? powerReading = null;
        int deaf = 0;
        bool hearing = false;
        try
        {
            while (!running.IsCompleted)
            {
                // 2. What is due.
                ReadRequest request = schedule.Take(_state);
                if (request.Everything)
                {
                    whole = await HealthWalk.RunAsync(client, scope, null, time, token).ConfigureAwait(false);
                    _state = SignalTracker.Apply(_state, whole, TrackerOptions.Default, time.GetUtcNow()).State;
                    _knownAt = _state.LastComplete ?? _knownAt;
                    powerReading = await power.ReadPowerAsync(token).ConfigureAwait(false);
                    schedule.Done(request, covered: true);
                    deaf = whole.KnowsAnything ? 0 : deaf + 1;
                }
                else if (request.Uris.Count > 0)
                {
                    HealthReading parts = await HealthWalk.RereadAsync(client, request.Uris, null, time, token).ConfigureAwait(false);
                    _state = SignalTracker.Apply(_state, parts, TrackerOptions.Default, time.GetUtcNow()).State;
                    schedule.Done(request, covered: parts.Covered is { Count: > 0 });
                }

                // 3. What is known. Between reads only a change in the listening itself is told: a thousand events are one reason to read.
                bool hears = listener.State.Hearing;
                schedule.Pace(PaceOf(whole, listener.State));
                if (request.Everything || request.Uris.Count > 0 || hears != hearing)
                {
                    hearing = hears;
                    yield return News(whole!, powerReading!, listener, schedule);
                }

                if (deaf >= DeafReadsAllowed)
                    yield break;

                // 4. Until something happens, or something is due. All events that have come are taken at once: a storm is one reason to read.
                while (!next.IsCompleted && !running.IsCompleted && listener.State.Hearing == hearing && schedule.Wait(_state) is { Ticks: > 0 } wait)
                    await Task.WhenAny(next, running, Task.Delay(wait < Tick ? wait : Tick, time, token)).ConfigureAwait(false);
                token.ThrowIfCancellationRequested();
                while (next.IsCompleted)
                {
                    if (!await next.ConfigureAwait(false))
                        yield break;
                    Take(events.Current, schedule);
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

    private void Take(BmcEvent news, ReadSchedule schedule)
    {
        if (news.Kind == BmcEventKind.Resync)
        {
            schedule.WantEverything(news.ReceivedAt);
            return;
        }

        if (news.Record is not { IsTest: false, IsResolved: false } record)
            return;
        HealthMessage message = new(record.MessageId, record.Message, record.Origin, record.MessageArgs.Count > 0 ? record.MessageArgs[0] : null);
        TrackerStep step = SignalTracker.Apply(_state, message, TrackerOptions.Default, time.GetUtcNow());
        _state = step.State;
        if (step.NeedsRead)
            schedule.Want(news.Touched);
    }

    /// <summary>Where events are heard, nothing is open and nothing is in doubt, an idle controller is asked once a minute at most, all requests counted.</summary>
    private TimeSpan PaceOf(HealthReading? whole, ListeningState listening) =>
        whole is { KnowsEssentials: true } && _state.Signals.IsEmpty ? ReadPace.Between(whole.Requests, listening, TimeSpan.Zero) : TimeSpan.Zero;

    private SignalNews News(HealthReading whole, PowerReading power, BmcListener listener, ReadSchedule schedule)
    {
        ListeningState listening = listener.State;
        string problem = whole switch
        {
            { KnowsEssentials: true } => "",
            { KnowsAnything: true } => string.Join("; ", whole.Areas.Where(area => area.State == AreaState.CannotTell).Select(area => $"{Evacuation.Words.Of(area.Area)}: {area.Reason}")),
            _ => "no part of the machine says how it is",
        };
        return new SignalNews(new HealthKnowledge(problem.Length == 0, problem, _knownAt), power.State == PowerState.Unknown ? null : power.State.ToString(), [.. _state.Signals.Values])
        {
            Parts = whole.Components,
            Listening = listening,
            FreshUntil = schedule.WholeDue + options.Bmc.PollInterval + ReadTime,
            Warnings = [.. listener.Warnings.Concat(whole.Warnings).Take(20)],
        };
    }
}
