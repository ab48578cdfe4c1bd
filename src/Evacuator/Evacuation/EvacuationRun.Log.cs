using Evacuator.Journal;
using Microsoft.Extensions.Logging;

namespace Evacuator.Evacuation;

// Event ids 200-219.
internal sealed partial class EvacuationRun
{
    [LoggerMessage(EventId = 200, Level = LogLevel.Information, Message = "Evacuation {Id}: {Phase}")]
    private static partial void LogPhase(ILogger logger, Guid id, EvacuationPhase phase);

    [LoggerMessage(EventId = 201, Level = LogLevel.Warning, Message = "Evacuation {Id} ended as {Phase}: {Summary}")]
    private static partial void LogEnd(ILogger logger, Guid id, EvacuationPhase phase, string summary);

    [LoggerMessage(EventId = 202, Level = LogLevel.Warning, Message = "{Container} cannot be moved and keeps running here: {Reason}")]
    private static partial void LogBlocked(ILogger logger, string container, string reason);

    [LoggerMessage(EventId = 203, Level = LogLevel.Warning, Message = "Appeared while the node is being emptied: {Containers}")]
    private static partial void LogAppeared(ILogger logger, string containers);
}
