using Microsoft.Extensions.Logging;

namespace Evacuator.Lab.BmcSimulator.Events;

internal sealed partial class PushDelivery
{
    [LoggerMessage(201, LogLevel.Warning, "an event could not be delivered to subscription {Id}: {Why}")]
    private partial void LogNotDelivered(string why, string id);

    [LoggerMessage(202, LogLevel.Warning, "deliveries to subscription {Id} keep failing; its policy is {Policy}")]
    private partial void LogGaveUp(string id, string policy);
}
