using Evacuator.Lab.BmcSimulator.Http;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Events;

/// <summary>The action LogService.ClearLog.</summary>
internal sealed class EventLogHandler(ServiceLayout layout, EventLog log) : IRedfishHandler
{
    public Task<RedfishReply?> TryHandleAsync(RedfishRequest request)
    {
        if (!request.IsPost(layout.ClearLogTarget))
        {
            return Task.FromResult<RedfishReply?>(null);
        }

        log.Clear();
        return Task.FromResult<RedfishReply?>(RedfishReply.NoContent);
    }
}
