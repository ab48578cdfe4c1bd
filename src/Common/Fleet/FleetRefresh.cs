using Evacuator.Common.Configuration;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Common.Fleet;

/// <summary>Looks at this node's certificate files now and then: one that was renewed, or put there by a new join, is used from the next handshake on.</summary>
public sealed partial class FleetRefresh(FleetTls tls, TimeProvider time, ILogger<FleetRefresh> log) : BackgroundService
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    private string _told = "";

    /// <summary>One look.</summary>
    internal void Look()
    {
        (bool replaced, IReadOnlyList<ConfigurationMistake> mistakes) = tls.Reload();
        string problem = string.Join("; ", mistakes);
        if (replaced)
            LogReplaced(log, tls.ExpiresAt);
        // Once, not every ten seconds.
        else if (problem.Length > 0 && problem != _told)
            LogKept(log, problem, tls.ExpiresAt);
        _told = problem;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            await Task.Delay(Interval, time, stoppingToken).ConfigureAwait(false);
            Look();
        }
    }

    [LoggerMessage(EventId = 120, Level = LogLevel.Information, Message = "a new certificate is in use; it expires at {ExpiresAt:u}")]
    private static partial void LogReplaced(ILogger logger, DateTimeOffset expiresAt);

    [LoggerMessage(EventId = 121, Level = LogLevel.Warning, Message = "the certificate files cannot be used, the earlier certificate stays in use until {ExpiresAt:u}: {Problem}")]
    private static partial void LogKept(ILogger logger, string problem, DateTimeOffset expiresAt);
}
