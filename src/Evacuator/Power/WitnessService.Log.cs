using Evacuator.Journal;
using Microsoft.Extensions.Logging;

namespace Evacuator.Power;

// Event ids 250-259.
internal sealed partial class WitnessService
{
    [LoggerMessage(EventId = 250, Level = LogLevel.Information, Message = "{Node} is going down: watching its BMC {Url} until {Until:u}")]
    private static partial void LogWatching(ILogger logger, string node, string url, DateTimeOffset until);

    [LoggerMessage(EventId = 251, Level = LogLevel.Warning, Message = "Watch over {Node} ended as {Phase}: {Detail}")]
    private static partial void LogEnd(ILogger logger, string node, WitnessPhase phase, string detail);

    [LoggerMessage(EventId = 252, Level = LogLevel.Warning, Message = "{Node} did not go down in time: forcing it off: {Outcome}")]
    private static partial void LogForced(ILogger logger, string node, string outcome);

    [LoggerMessage(EventId = 253, Level = LogLevel.Warning, Message = "What was seen of {Node} could not be signed: {Reason}")]
    private static partial void LogNotSigned(ILogger logger, string node, string reason);
}
