namespace Evacuator.Redfish.Events;

// Looking at the logs: what must always work.
public sealed partial class BmcListener
{
    // A service without logs will hardly get one, but one that is starting will.
    private static readonly TimeSpan NoLogsWait = TimeSpan.FromMinutes(5);

    private LogWatch? _logs;

    /// <summary>Polls the logs for a while. Ends so that what is offered can be looked at again.</summary>
    private async Task PollAsync(string reason, TimeSpan duration, CancellationToken cancel)
    {
        long began = _time.GetTimestamp();
        while (_time.GetElapsedTime(began) < duration)
        {
            string? problem = await LookAtLogsAsync(ListenMode.Poll, cancel).ConfigureAwait(false);
            string how = $"{reason}; {_logs!.Message}";
            if (problem is null)
                Hearing(ListenMode.Poll, how);
            else
                Deaf(problem, ListenMode.Poll, how);
            await Wait(_logs.HasLogs || _options.PollInterval > NoLogsWait ? _options.PollInterval : NoLogsWait, cancel).ConfigureAwait(false);
        }
    }

    /// <summary>One look at each log, whose bookmarks outlive a change of mode. Null, or why an event could have been missed.</summary>
    private async Task<string?> LookAtLogsAsync(ListenMode via, CancellationToken cancel)
    {
        if (_logs is null or { HasLogs: false })
        {
            bool first = _logs is null;
            _logs = await LogWatch.FindAsync(_client, _options.SystemUri, cancel).ConfigureAwait(false);
            if (first || _logs.HasLogs)
            {
                string? baseline = await _logs.LookAsync(_funnel, via, cancel).ConfigureAwait(false);
                _funnel.Resync("the logs are looked at from here on; what happened before is not known", via);
                return baseline;
            }
        }
        return await _logs.LookAsync(_funnel, via, cancel).ConfigureAwait(false);
    }
}
