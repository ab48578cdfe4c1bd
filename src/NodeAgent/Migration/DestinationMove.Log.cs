using Evacuator.Common.AgentApi;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Migration;

internal sealed partial class DestinationMove
{
    [LoggerMessage(1207, LogLevel.Warning, "memory of {Container} from {Source} refused")]
    private static partial void LogPagesRefused(ILogger log, Exception e, string container, string source);

    [LoggerMessage(1208, LogLevel.Information, "{Container} has all of its memory: {Megabytes} MiB filled in {Milliseconds:0} ms, {Faults} faults answered meanwhile")]
    private static partial void LogFilled(ILogger log, string container, long megabytes, double milliseconds, long faults);

    [LoggerMessage(1209, LogLevel.Critical, "the memory of {Container} could not be filled in")]
    private static partial void LogFillFailed(ILogger log, Exception e, string container);

    [LoggerMessage(1212, LogLevel.Warning, "{Container}: its memory will travel with the images, while it stands still: {Reason}")]
    private static partial void LogNoEngine(ILogger log, string container, string reason);

    [LoggerMessage(1213, LogLevel.Critical, "memory of {Container} that systemd kept cannot be taken up again")]
    private static partial void LogMemoryLost(ILogger log, Exception e, string container);

    [LoggerMessage(1201, LogLevel.Warning, "{Container} from {Source} refused: {Reasons}")]
    private static partial void LogRefused(ILogger log, string container, string source, string reasons);

    [LoggerMessage(1202, LogLevel.Information, "{Container} from {Source} runs here, {Milliseconds:0} ms after its release")]
    private static partial void LogRunning(ILogger log, string container, string source, double milliseconds);

    [LoggerMessage(1203, LogLevel.Error, "{Container} could not be restored: {Reason}")]
    private static partial void LogRestoreFailed(ILogger log, string container, string reason);

    [LoggerMessage(1204, LogLevel.Error, "what a failed restore of {Container} left could not be removed")]
    private static partial void LogCleanUpFailed(ILogger log, Exception e, string container);

    [LoggerMessage(1205, LogLevel.Information, "{Container} from {Source} forgotten: {Reason}")]
    private static partial void LogForgotten(ILogger log, string container, string source, string reason);

    [LoggerMessage(1206, LogLevel.Warning, "{Container}: inbound move {MoveId} was in phase {Phase} when the agent ended (host restarted since: {Rebooted}); going on with it")]
    private static partial void LogRecovering(ILogger log, string container, Guid moveId, DestinationPhase phase, bool rebooted);
}
