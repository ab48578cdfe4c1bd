using Evacuator.Agent;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Fleet.Locks;
using Evacuator.Journal;
using Evacuator.Notices;
using Evacuator.Redfish.Health;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Health;

/// <summary>Judges what the hardware says, and empties this node if its rules, its settings and the fleet allow it. The same signal acts once, over restarts and reboots.</summary>
/// <remarks>
/// 1. News, or time has passed. 2. What is remembered: first sight, gone since. 3. The verdict. 4. May this node act by itself? 5. May the fleet spare it?
/// 6. Start. Whatever keeps it from acting is told and tried again while the signal stays.
/// </remarks>
internal sealed partial class SignalWatch(
    ISignalSource source, BmcHealth health, SignalRules rules, IFleetLock fleetLock, EvacuationService evacuations, Admission admission, AgentClient agent, NoticeBook notices,
    JournalStore journal, EvacuatorOptions options, BrainTimings timings, TimeProvider time, ILogger<SignalWatch> log) : BackgroundService
{
    private const string Fact = "signals";

    /// <summary>Written by the first release.</summary>
    private const string OldFact = "signals-first-seen";

    private readonly TimeSpan _confirmAfter = ReadSchedule.ConfirmAfter(options.Bmc.PollInterval, options.Signals.ConfirmAfter);
    private SignalMemory _memory = SignalMemory.Empty;
    private string _said = "";

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        _memory = SignalMemory.Read(journal.Fact(Fact), journal.Fact(OldFact));
        IAsyncEnumerator<SignalNews> all = source.WatchAsync(stoppingToken).GetAsyncEnumerator(stoppingToken);
        await using (all.ConfigureAwait(false))
        {
            Task<bool> next = all.MoveNextAsync().AsTask();
            SignalNews? news = null;
            try
            {
                while (true)
                {
                    // 1.
                    try
                    {
                        if (!await next.WaitAsync(timings.SignalRecheck, time, stoppingToken).ConfigureAwait(false))
                            return;
                        news = all.Current;
                        await ConsiderAsync(news, isNews: true, stoppingToken).ConfigureAwait(false);
                        next = all.MoveNextAsync().AsTask();
                    }
                    catch (TimeoutException) when (!next.IsCompleted)
                    {
                        if (news is not null)
                            await ConsiderAsync(news, isNews: false, stoppingToken).ConfigureAwait(false);
                    }
                }
            }
            finally
            {
                // An enumerator must not be disposed of while it is on its way; it ends with the same token.
                await ((Task)next).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private async Task ConsiderAsync(SignalNews news, bool isNews, CancellationToken token)
    {
        DateTimeOffset now = time.GetUtcNow();
        news = Aged(news, now);
        // 2.
        if (isNews)
            Remember(_memory.After(news, options.Signals.Settle, now));
        // 3.
        HealthJudgement judgement = HealthJudge.Judge(
            new HealthFacts
            {
                Knowledge = news.Knowledge,
                Signals = [.. news.Signals.Select(tracked => KnownSignal.Of(tracked, _memory.Signals.TryGetValue(tracked.Signal.Key, out RememberedSignal? remembered) ? remembered.FirstSeen : now))],
                Gone = _memory.Gone,
                Parts = news.Parts,
                ConfirmAfter = _confirmAfter,
                Settle = options.Signals.Settle,
                Now = now,
            },
            rules);
        // 4. to 6.
        (string does, string? asks) = await ActAsync(judgement, token).ConfigureAwait(false);
        health.Remember(news, judgement, _memory, Empties, does, options.Evacuation.OnCriticalSignal == SignalAction.Ignore ? null : asks);
    }

    /// <summary>What was known long ago is not known now: the source may hang in a controller that answers a byte a minute.</summary>
    private static SignalNews Aged(SignalNews news, DateTimeOffset now) =>
        news.Knowledge is { CanTell: true, KnownAt: { } at } && now > news.FreshUntil
            ? news with { Knowledge = news.Knowledge with { CanTell = false, Problem = $"the last read of everything was at {at:u}" } }
            : news;

    private async Task<(string Does, string? AsksPerson)> ActAsync(HealthJudgement judgement, CancellationToken token)
    {
        bool evacuating = evacuations.Active is not null;
        bool empty = judgement.Verdict >= Verdict.Evacuate && !evacuating && await IsEmptyAndClosedAsync(token).ConfigureAwait(false);
        // What was known while a person or an evacuation was at the node does not empty it again when it is opened.
        if (evacuating || empty)
            Settle(judgement.Signals.Where(judged => judged.Rule.Action >= RuleAction.Evacuate));

        SignalJudgement[] grave = [.. judgement.Signals.Where(judged => judged.Verdict >= Verdict.Evacuate)];
        SignalJudgement? cause = grave.FirstOrDefault(judged => !IsSettled(judged));
        Verdict verdict = evacuating || empty ? judgement.Verdict : cause?.Verdict ?? Verdict.Notify;
        EvacuationState? last = journal.Evacuations(20).FirstOrDefault(evacuation => evacuation.Trigger.Kind == TriggerKind.Signal);
        GateAnswer answer = AutomaticGate.Decide(verdict, new GateFacts(
            options.Evacuation.OnCriticalSignal, evacuating, empty, last?.Ended, admission.Reopened, options.Signals.CoolDown, time.GetUtcNow()));
        if (cause is not null)
            Say(cause, answer);
        switch (answer.Outcome)
        {
            case GateOutcome.AskPerson:
                return AskPerson(cause!, answer, answer.Why);
            case GateOutcome.Nothing when evacuating && grave.Any(Empties):
                return ("it is being emptied because of this", null);
            case GateOutcome.Nothing when cause is null && grave.Length > 0 && !evacuating && !empty:
                return ("nothing more: its signals were dealt with by an evacuation, or were there when it was opened", null);
            case GateOutcome.Nothing:
                return (answer.Why, null);
        }

        // 5.
        if (await fleetLock.AskShareAsync(token).ConfigureAwait(false) is { } held)
            return AskPerson(cause!, answer, held);
        // 6.
        try
        {
            return Start(cause!, answer.Power);
        }
        finally
        {
            fleetLock.EndAsk();
        }
    }

    /// <summary>Told once for each finding, over restarts; the journal of the service has every change of the reason.</summary>
    private (string Does, string? AsksPerson) AskPerson(SignalJudgement cause, GateAnswer answer, string why)
    {
        if (options.Evacuation.OnCriticalSignal != SignalAction.Ignore)
        {
            notices.Raise(notices.Make(NoticeKind.NeedsPerson, $"{_memory.TriggerOf(cause.Known.Signal.Key)}/held",
                $"the hardware of {options.Node.Name} says that it has to be emptied ({HealthJudge.Describe(cause.Known.Signal)}), and a person has to decide: {why}. \"evacuator start\" there empties it"));
        }

        return ($"it would empty itself{Off(answer)}, but a person has to decide: {why}", why);
    }

    private (string Does, string? AsksPerson) Start(SignalJudgement cause, bool power)
    {
        string text = HealthJudge.Describe(cause.Known.Signal);
        Trigger trigger = new()
        {
            Kind = TriggerKind.Signal,
            Key = _memory.TriggerOf(cause.Known.Signal.Key),
            Reason = text,
            Fault = FaultOf(cause.Known.Signal),
            RequestedBy = "signal",
            PowerOff = power,
        };
        StartResult result = evacuations.Start(trigger);
        // Getting the containers out matters more than the power.
        if (result.Id is null && power && evacuations.Active is null)
        {
            LogWithoutPowerOff(log, result.Text);
            result = evacuations.Start(trigger with { PowerOff = false });
        }

        return result.Id is not null ? ("it is being emptied", null) : ($"it could not be emptied: {result.Text}", result.Text);
    }

    /// <summary>What a technician is to look for, and where.</summary>
    private static Fault FaultOf(Signal signal) => new(
        string.Join(", ", ((string?[])[signal.Name, signal.Location.Model, signal.Location.PartNumber is { } number ? $"part {number}" : null,
            signal.Location.SerialNumber is { } serial ? $"serial {serial}" : null]).OfType<string>()),
        signal.Location.Place, signal.Location.PartNumber, signal.Location.SerialNumber);

    /// <summary>Whether the evacuation that is under way was begun because of it.</summary>
    private bool Empties(SignalJudgement judged) =>
        _memory.Signals.ContainsKey(judged.Known.Signal.Key) && evacuations.Active?.State.Trigger.Key == _memory.TriggerOf(judged.Known.Signal.Key);

    private bool IsSettled(SignalJudgement judged)
    {
        string key = judged.Known.Signal.Key;
        return _memory.Signals.TryGetValue(key, out RememberedSignal? remembered) && (remembered.Settled || journal.EvacuationByTrigger(_memory.TriggerOf(key)) is not null);
    }

    private void Settle(IEnumerable<SignalJudgement> judged) => Remember(_memory.WithSettled(judged.Select(each => each.Known.Signal.Key)));

    private void Remember(SignalMemory after)
    {
        bool same = after.SameAs(_memory);
        _memory = after;
        if (same)
            return;
        journal.SetFact(Fact, after.Write());
    }

    /// <summary>Once for each finding and what is done about it.</summary>
    private void Say(SignalJudgement cause, GateAnswer answer)
    {
        string text = HealthJudge.Describe(cause.Known.Signal);
        string said = $"{cause.Known.Signal.Key} {answer.Outcome}";
        if (said == _said || options.Evacuation.OnCriticalSignal == SignalAction.Ignore)
            return;
        _said = said;
        LogSignal(log, text, Words.Of(cause.Verdict), Words.Of(options.Evacuation.OnCriticalSignal));
    }

    private static string Off(GateAnswer answer) => answer.Power ? " and power off" : "";

    /// <summary>A node that has been emptied already has nothing to save.</summary>
    private async Task<bool> IsEmptyAndClosedAsync(CancellationToken token)
    {
        if (admission.Closed is null)
            return false;
        try
        {
            return (await agent.GetContainersAsync(token).ConfigureAwait(false)).Count == 0;
        }
        catch (AgentException)
        {
            return false;
        }
    }

    [LoggerMessage(EventId = 292, Level = LogLevel.Error, Message = "The hardware reports: {Signal}. The verdict is {Verdict}, on-critical-signal is {Setting}")]
    private static partial void LogSignal(ILogger logger, string signal, string verdict, string setting);

    [LoggerMessage(EventId = 294, Level = LogLevel.Error, Message = "The evacuation for a hardware signal could not be started as configured: {Reason}. It is done without power-off")]
    private static partial void LogWithoutPowerOff(ILogger logger, string reason);
}
