using Evacuator.Agent;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Health;
using Evacuator.Journal;
using Evacuator.Power;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Homecoming;

/// <summary>
/// A node that came up after its maintenance stays closed until its BMC has reported nothing critical for the soak time; then it reopens by itself, if it may. A BMC
/// that cannot be read, a finding, or a restart of this service begins the time anew. Brings nothing home: that is the operator's wish.
/// </summary>
internal sealed partial class SoakWatch(
    EvacuatorOptions options, Admission admission, EvacuationService evacuations, BmcHealth health, BootId boot, GuestBook guests, PowerHandover power, BrainTimings timings, TimeProvider time,
    ILogger<SoakWatch> log) : BackgroundService
{
    private volatile Waiting? _waiting;
    private long? _clearSince;
    private DateTimeOffset _since = time.GetUtcNow();

    /// <summary>What a closed node waits for before it reopens by itself; null when it is open or will not.</summary>
    public Waiting? Waiting => _waiting;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            await LookAsync(stoppingToken).ConfigureAwait(false);
            try
            {
                // Settles those that have been announced, while the agent still knows the moves.
                await guests.PresentAsync(stoppingToken).ConfigureAwait(false);
            }
            catch (AgentException)
            {
                // Another time.
            }

            await Task.Delay(timings.SoakPoll, time, stoppingToken).ConfigureAwait(false);
        }
    }

    internal async Task LookAsync(CancellationToken token)
    {
        if (options.Homecoming.Reopen != ReopenRule.WhenClear || admission.Closed is not { } closed || closed.BootId is null || closed.BootId == boot.Value
            || evacuations.Active is not null || evacuations.LastOwn() is not { State: EvacuationPhase.Done })
        {
            (_clearSince, _waiting) = (null, null);
            return;
        }

        TimeSpan soak = options.Homecoming.SoakTime;
        Api.BmcReport report = health.Report;
        string? problem = report.State != "ok" ? $"the BMC does not tell that this host is well ({(report.Detail.Length > 0 ? report.Detail : report.State)})"
            : report.Signals.Count > 0 ? $"the hardware still reports {string.Join("; ", report.Signals)}"
            : null;
        if (problem is not null)
        {
            Say(problem, null, $"after {Duration.Format(soak)} without any finding this node reopens; \"evacuator reopen\" does it now");
            _clearSince = null;
            return;
        }

        // The monotonic clock: one that jumps by an hour must not shorten it.
        _clearSince ??= time.GetTimestamp();
        TimeSpan left = soak - time.GetElapsedTime(_clearSince.Value);
        if (left > TimeSpan.Zero)
        {
            Say($"{Duration.Format(soak)} without any finding", time.GetUtcNow() + left, "this node reopens; \"evacuator reopen\" does it now");
            return;
        }

        if (await evacuations.ReopenAsync($"soak time ({Duration.Format(soak)} without any finding)", token).ConfigureAwait(false) is { } why)
        {
            LogNotReopened(log, why);
            return;
        }

        (_clearSince, _waiting) = (null, null);
        // The service is over: whoever walks by is not to look for this host any more. "evacuator status" goes on saying that it is lit if this fails.
        if (power.LedLitSince is not null && await power.DarkenLedAsync(token).ConfigureAwait(false) is var outcome && outcome != "off")
            LogLed(log, outcome);
    }

    private void Say(string what, DateTimeOffset? until, string next)
    {
        if (_waiting?.For != what)
            _since = time.GetUtcNow();
        _waiting = new Waiting(what, _since, until, next);
    }

    [LoggerMessage(EventId = 340, Level = LogLevel.Warning, Message = "The soak time is over, but this node could not be reopened: {Reason}")]
    private static partial void LogNotReopened(ILogger logger, string reason);

    [LoggerMessage(EventId = 341, Level = LogLevel.Warning, Message = "This node has reopened, but its locator LED is still lit: {Outcome}")]
    private static partial void LogLed(ILogger logger, string outcome);
}
