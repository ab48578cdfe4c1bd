using Evacuator.Api;
using Evacuator.Common.Hosting;
using Evacuator.Fleet;
using Evacuator.Power;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Health;

/// <summary>Whether the own BMC can be asked, and what it says about the power. What cannot be asked is "cannot tell since", never "all is well".</summary>
internal sealed partial class BmcHealth(OwnBmc own, IBmcs bmcs, TimeProvider time, Heartbeat<BmcHealth> heartbeat, ILogger<BmcHealth> log) : BackgroundService
{
    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(1);

    private volatile BmcReport _report = new(own.Url, own.Exists ? "not-asked" : "none", own.Exists ? "not asked so far" : "no [bmc] url", null, null, []);

    public BmcReport Report => _report;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        TimeSpan pause = own.Settings.PollInterval < LongestPause ? own.Settings.PollInterval : LongestPause;
        while (true)
        {
            if (own.Exists)
                await LookAsync(stoppingToken).ConfigureAwait(false);
            heartbeat.Beat();
            await Task.Delay(pause, time, stoppingToken).ConfigureAwait(false);
        }
    }

    private async Task LookAsync(CancellationToken token)
    {
        if (own.Access(out string problem) is not { } access)
        {
            Remember("cannot-tell", problem, null);
            return;
        }

        BmcOpening opening = await bmcs.OpenAsync(access, token).ConfigureAwait(false);
        if (opening.Bmc is not { } bmc)
        {
            Remember("cannot-tell", opening.Problem, null);
            return;
        }

        await using (bmc.ConfigureAwait(false))
        {
            PowerLook look = await bmc.ReadPowerAsync(token).ConfigureAwait(false);
            if (look.State == PowerLook.Unknown)
                Remember("cannot-tell", look.Message, null);
            else if (look.State == PowerLook.Off)
                Remember("cannot-tell", $"it says Off while this host runs: it is another machine's; correct [bmc] url or system", look.State);
            else
                Remember("ok", "", look.State);
        }
    }

    private void Remember(string state, string detail, string? power)
    {
        BmcReport before = _report;
        DateTimeOffset since = before.State == state && before.Since is { } earlier ? earlier : time.GetUtcNow();
        _report = before with { State = state, Detail = detail, Since = since, PowerState = power };
        if (before.State == state)
            return;
        if (state == "ok")
            LogReachable(log, own.Url);
        else
            LogCannotTell(log, own.Url, detail);
    }

    [LoggerMessage(EventId = 290, Level = LogLevel.Information, Message = "The BMC {Url} answers")]
    private static partial void LogReachable(ILogger logger, string url);

    [LoggerMessage(EventId = 291, Level = LogLevel.Warning, Message = "The BMC {Url} cannot be asked, so the health of this host is not known and it cannot be powered off with proof: {Reason}")]
    private static partial void LogCannotTell(ILogger logger, string url, string reason);
}
