using Evacuator.Common.AgentApi;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Migration;

internal sealed partial class SourceMove
{
    [LoggerMessage(1101, LogLevel.Information, "{Container}: pass {Pass} over its files sent {Bytes} bytes in {Milliseconds:0} ms")]
    private static partial void LogPass(ILogger log, string container, int pass, long bytes, double milliseconds);

    [LoggerMessage(1102, LogLevel.Information, "{Container} moved to {Destination}: frozen for {FreezeMs:0} ms, {Megabytes} MiB sent")]
    private static partial void LogMoved(ILogger log, string container, string destination, double freezeMs, long megabytes);

    [LoggerMessage(1109, LogLevel.Error, "{Container}: the move failed in a way that nobody foresaw")]
    private static partial void LogUnexpected(ILogger log, Exception e, string container);

    [LoggerMessage(1103, LogLevel.Warning, "{Container} goes back to running here: {Reason}")]
    private static partial void LogReverting(ILogger log, string container, string reason);

    [LoggerMessage(1104, LogLevel.Warning, "{Container} stayed: {Reason}")]
    private static partial void LogStayed(ILogger log, string container, string reason);

    [LoggerMessage(1123, LogLevel.Information, "{Container} was rehearsed: frozen for {FreezeMs:0} ms, and goes on")]
    private static partial void LogRehearsed(ILogger log, string container, double freezeMs);

    [LoggerMessage(1105, LogLevel.Warning, "{Container}: move {MoveId} was in phase {Phase} when the agent ended; going on with it")]
    private static partial void LogRecovering(ILogger log, string container, Guid moveId, SourcePhase phase);

    [LoggerMessage(1106, LogLevel.Error, "{Container} has moved, but what is left of it here could not be removed; trying again")]
    private static partial void LogRemoveFailed(ILogger log, Exception e, string container);

    [LoggerMessage(1114, LogLevel.Warning, "{Container}: its memory will travel with the images, while it stands still: {Reason}")]
    private static partial void LogNoEngine(ILogger log, string container, string reason);

    [LoggerMessage(1108, LogLevel.Information, "{Destination} could not be told to forget a move; its lease will end it")]
    private static partial void LogForgetFailed(ILogger log, Exception e, string destination);

    [LoggerMessage(1113, LogLevel.Warning, "{Container}: {Destination} was declared gone for good ({Word}); it is this host's again")]
    private static partial void LogPeerGone(ILogger log, string container, string destination, string word);

    [LoggerMessage(1124, LogLevel.Information, "{Container} has the wire to itself: what others had handed over was through after {Milliseconds:0} ms ({Kilobytes} KiB are left; the wire takes {Speed:0.0} MB/s)")]
    private static partial void LogDrained(ILogger log, string container, double milliseconds, long kilobytes, double speed);

    [LoggerMessage(1115, LogLevel.Warning, "{Container} has moved, and {Path} could not be set aside: start nothing from there")]
    private static partial void LogNotSetAside(ILogger log, Exception e, string container, string path);

    [LoggerMessage(1121, LogLevel.Critical, "{Container} was stopped to be moved, the move was undone, and it cannot be started again here: {Reason}")]
    private static partial void LogNotStarted(ILogger log, string container, string reason);
}
