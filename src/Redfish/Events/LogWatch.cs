using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Events;

/// <summary>The polled logs of one BMC together.</summary>
internal sealed class LogWatch
{
    private readonly List<LogPoller> _pollers;

    private LogWatch(List<LogPoller> pollers, string message)
    {
        _pollers = pollers;
        Message = message;
    }

    /// <summary>What was found, or why nothing.</summary>
    public string Message { get; }

    public bool HasLogs => _pollers.Count > 0;

    public static async Task<LogWatch> FindAsync(IResourceReader reader, string systemUri, CancellationToken cancel)
    {
        (IReadOnlyList<BmcLog> logs, IReadOnlyList<string> warnings) = await LogFinder.FindAsync(reader, systemUri, cancel).ConfigureAwait(false);
        BmcLog[] polled = [.. logs.Where(l => l.Polled)];
        string message = polled.Length > 0
            ? $"looking at {string.Join(", ", polled.Select(l => l.Id))}"
            : warnings.Count > 0 ? string.Join("; ", warnings.Take(3)) : "the service has no log that says something about hardware";
        return new LogWatch([.. polled.Select(l => new LogPoller(reader, l.EntriesUri))], message);
    }

    /// <summary>Looks at each log once and hands on what is new. Null, or why an event could have been missed.</summary>
    public async Task<string?> LookAsync(EventFunnel funnel, ListenMode via, CancellationToken cancel)
    {
        if (_pollers.Count == 0)
            return Message;
        string? problem = null;
        foreach (LogPoller poller in _pollers)
        {
            LogLook look = await poller.LookAsync(cancel).ConfigureAwait(false);
            if (!look.Read)
                problem = problem is null ? look.Message : $"{problem}; {look.Message}";
            foreach (RedfishResource entry in look.New)
                funnel.Offer(EventRecord.FromLogEntry(entry), via);
            if (look.Lost)
                funnel.Resync(look.Message, via);
        }
        return problem;
    }
}
