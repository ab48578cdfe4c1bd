using Evacuator.Api;
using Evacuator.Power;
using Microsoft.Extensions.Logging;

namespace Evacuator.Health;

/// <summary>What is known of the own BMC now. What cannot be asked is "cannot tell since", never "all is well".</summary>
internal sealed partial class BmcHealth(OwnBmc own, TimeProvider time, ILogger<BmcHealth> log)
{
    private volatile BmcReport _report = new(own.Url, own.Exists ? "not-asked" : "none", own.Exists ? "not asked so far" : "no [bmc] url", null, null, []);

    public BmcReport Report => _report;

    public void Remember(SignalNews news)
    {
        BmcReport before = _report;
        (string state, string detail) = news switch
        {
            { PowerState: PowerLook.Off } => ("cannot-tell", "it says Off while this host runs: it is another machine's; correct [bmc] url or system"),
            { CanTell: true } => ("ok", ""),
            _ => ("cannot-tell", news.Problem),
        };
        DateTimeOffset since = before.State == state && before.Since is { } earlier ? earlier : time.GetUtcNow();
        _report = before with
        {
            State = state,
            Detail = detail,
            Since = since,
            PowerState = news.PowerState,
            Signals = [.. news.Open.Where(signal => signal.Critical).Select(signal => signal.Text)],
        };
        if (before.State == state)
            return;
        if (state == "ok")
            LogReachable(log, own.Url);
        else
            LogCannotTell(log, own.Url, detail);
    }

    [LoggerMessage(EventId = 290, Level = LogLevel.Information, Message = "The BMC {Url} answers, events are heard")]
    private static partial void LogReachable(ILogger logger, string url);

    [LoggerMessage(EventId = 291, Level = LogLevel.Warning, Message = "The BMC {Url} does not tell enough to know the health of this host: {Reason}")]
    private static partial void LogCannotTell(ILogger logger, string url, string reason);
}
