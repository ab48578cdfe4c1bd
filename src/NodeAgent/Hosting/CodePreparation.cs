using System.Diagnostics;
using System.Reflection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Hosting;

/// <summary>Prepares the code of moves once the agent is up, on a thread that takes only what processors nobody else wants.</summary>
internal sealed partial class CodePreparation(TimeProvider time, ILogger<CodePreparation> log) : BackgroundService
{
    private const int LastOfAll = 19;

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Task.Factory.StartNew(() => Prepare(stoppingToken), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private void Prepare(CancellationToken stop)
    {
        _ = Interop.SetOwnNiceness(LastOfAll);
        long start = time.GetTimestamp();
        try
        {
            LogPrepared(log, AsyncCode.Prepare(Assembly.GetExecutingAssembly(), stop), time.GetElapsedTime(start).TotalMilliseconds);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // Another runtime, with other names inside: the first freeze is a little longer.
            LogUnprepared(log, e);
        }
    }

    [LoggerMessage(1902, LogLevel.Debug, "{Count} async methods prepared in {Milliseconds:0} ms")]
    private static partial void LogPrepared(ILogger log, int count, double milliseconds);

    [LoggerMessage(1903, LogLevel.Warning, "the code of moves could not be prepared: the first freeze will be longer than others")]
    private static partial void LogUnprepared(ILogger log, Exception e);
}
