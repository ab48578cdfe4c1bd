using Evacuator.Journal;
using Microsoft.Extensions.Logging;

namespace Evacuator.Evacuation;

// Event ids 220-239.
internal sealed partial class ContainerRun
{
    [LoggerMessage(EventId = 220, Level = LogLevel.Information, Message = "{Container}: {Phase} (destination {Destination}, frozen {FreezeMs} ms) {Detail}")]
    private static partial void LogEnd(ILogger logger, string container, MovePhase phase, string? destination, double? freezeMs, string detail);

    [LoggerMessage(EventId = 221, Level = LogLevel.Warning, Message = "{Container}: {Peer} does not take it: {Reason}")]
    private static partial void LogRefused(ILogger logger, string container, string peer, string reason);

    [LoggerMessage(EventId = 222, Level = LogLevel.Warning, Message = "{Container}: {Peer} could not be told to forget its reservation, it expires there: {Reason}")]
    private static partial void LogNotForgotten(ILogger logger, string container, string peer, string reason);
}
