using Microsoft.Extensions.Logging;

namespace Evacuator.Evacuation;

// Event ids 260-279.
internal sealed partial class EvacuationService
{
    [LoggerMessage(EventId = 260, Level = LogLevel.Warning, Message = "Evacuation {Id} requested by {By}: {Reason} (ticket {Ticket}, power off: {PowerOff})")]
    private static partial void LogStarted(ILogger logger, Guid id, string by, string reason, string? ticket, bool powerOff);

    [LoggerMessage(EventId = 261, Level = LogLevel.Warning, Message = "Evacuation {Id} is being cancelled by {By}")]
    private static partial void LogCancelled(ILogger logger, Guid id, string by);

    [LoggerMessage(EventId = 262, Level = LogLevel.Warning, Message = "Reopened by {By}: this node takes containers again")]
    private static partial void LogReopened(ILogger logger, string by);

    [LoggerMessage(EventId = 263, Level = LogLevel.Critical, Message = "Evacuation {Id} broke by an internal error")]
    private static partial void LogDefect(ILogger logger, Guid id, Exception exception);

    [LoggerMessage(EventId = 265, Level = LogLevel.Information, Message = "Evacuation {Id}: {Container} is tried again, asked by {User}")]
    private static partial void LogRetried(ILogger logger, Guid id, string container, string user);
}
