using Microsoft.Extensions.Logging;

namespace Evacuator.Lab.BmcSimulator.Power;

internal sealed partial class NodePower
{
    [LoggerMessage(101, LogLevel.Error, "switching the machine {Direction} failed")]
    private partial void LogCommandFailed(Exception error, string direction);
}
