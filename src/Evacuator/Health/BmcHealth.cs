using Evacuator.Api;
using Evacuator.Power;
using Evacuator.Redfish.Health;
using Microsoft.Extensions.Logging;

namespace Evacuator.Health;

/// <summary>What is known of the own BMC now, what it means, and what this node does about it. What cannot be asked is "cannot tell since", never "all is well".</summary>
internal sealed partial class BmcHealth(OwnBmc own, TimeProvider time, ILogger<BmcHealth> log)
{
    private volatile BmcReport _report = new(own.Url, own.Exists ? "not-asked" : "none", own.Exists ? "not asked so far" : "no [bmc] url", null, null, []);

    private volatile SignalsReport _signals = new()
    {
        Verdict = Verdict.Unknown,
        Why = own.Exists ? "the management controller was not asked so far" : "this node has no management controller: set [bmc] url",
        Since = time.GetUtcNow(),
        Signals = [],
        Gone = [],
    };

    public BmcReport Report => _report;

    public SignalsReport Signals => _signals;

    /// <summary>Why this node is no place for others' containers, in words: what would empty it, also while it is not confirmed. Null if nothing would.</summary>
    public string? Degraded { get; private set; }

    /// <param name="empties">whether this node is being emptied because of it</param>
    /// <param name="does">what this node does about it, in words</param>
    /// <param name="asksPerson">whether a person has to decide, and why; null if not</param>
    public void Remember(SignalNews news, HealthJudgement judgement, SignalMemory memory, Func<SignalJudgement, bool> empties, string does, string? asksPerson)
    {
        RememberBmc(news, judgement);
        SignalsReport before = _signals;
        bool same = before.Verdict == judgement.Verdict;
        _signals = new SignalsReport
        {
            Verdict = judgement.Verdict,
            Why = judgement.Why,
            Since = same ? before.Since : time.GetUtcNow(),
            KnownAt = news.Knowledge.KnownAt,
            Doubt = news.Knowledge.CanTell ? null : news.Knowledge.Problem,
            Listening = news.Listening is { } listening
                ? new ListeningReport(Evacuation.Words.Of(listening.Mode), listening.Reason, listening.Hearing, listening.Since, listening.LastEvent, listening.Problem)
                : null,
            Does = does,
            AsksPerson = asksPerson,
            Signals = [.. judgement.Signals.Select(judged => SignalReport.Of(judged, memory.Signals.GetValueOrDefault(judged.Known.Signal.Key)?.Settled ?? false, empties(judged)))],
            Gone = judgement.Gone,
            Warnings = news.Warnings,
        };
        string[] grave = [.. judgement.Signals.Where(judged => judged.Rule.Action >= RuleAction.Evacuate && judged.Stage is (SignalStage.Unconfirmed or SignalStage.Confirmed))
            .Select(judged => HealthJudge.Describe(judged.Known.Signal))];
        Degraded = grave switch { [] => null, [var only] => only, [var first, ..] => $"{first}; and {grave.Length - 1} more" };
        if (!same)
            LogVerdict(log, Evacuation.Words.Of(before.Verdict), Evacuation.Words.Of(judgement.Verdict), judgement.Why);
        if (asksPerson is not null && asksPerson != before.AsksPerson)
            LogAsksPerson(log, judgement.Why, asksPerson);
    }

    private void RememberBmc(SignalNews news, HealthJudgement judgement)
    {
        BmcReport before = _report;
        (string state, string detail) = news switch
        {
            { PowerState: PowerLook.Off } => ("cannot-tell", "it says Off while this host runs: it is another machine's; correct [bmc] url or system"),
            { Knowledge.CanTell: true } => ("ok", ""),
            _ => ("cannot-tell", news.Knowledge.Problem),
        };
        DateTimeOffset since = before.State == state && before.Since is { } earlier ? earlier : time.GetUtcNow();
        _report = before with
        {
            State = state,
            Detail = detail,
            Since = since,
            PowerState = news.PowerState,
            Signals = [.. judgement.Signals.Where(judged => judged.Verdict >= Verdict.Notify && (judged.Known.Signal.Predicted || judged.Known.Signal.Severity == SignalSeverity.Critical)).Select(judged => $"{HealthJudge.Describe(judged.Known.Signal)} → {Evacuation.Words.Of(judged.Verdict)}")],
        };
        if (before.State == state)
            return;
        if (state == "ok")
            LogReachable(log, own.Url);
        else
            LogCannotTell(log, own.Url, detail);
    }

    [LoggerMessage(EventId = 290, Level = LogLevel.Information, Message = "The BMC {Url} answers, all that matters was read")]
    private static partial void LogReachable(ILogger logger, string url);

    [LoggerMessage(EventId = 291, Level = LogLevel.Warning, Message = "The BMC {Url} does not tell enough to know the health of this host: {Reason}")]
    private static partial void LogCannotTell(ILogger logger, string url, string reason);

    [LoggerMessage(EventId = 295, Level = LogLevel.Warning, Message = "The verdict on this host was {Before} and is {Now}: {Reason}")]
    private static partial void LogVerdict(ILogger logger, string before, string now, string reason);

    [LoggerMessage(EventId = 296, Level = LogLevel.Error, Message = "A person has to decide. The hardware reports: {Signal}. This node does not empty itself: {Reason}. \"evacuator start\" empties it")]
    private static partial void LogAsksPerson(ILogger logger, string signal, string reason);
}
