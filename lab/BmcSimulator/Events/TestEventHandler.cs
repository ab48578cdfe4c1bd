using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Http;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Events;

/// <summary>The action EventService.SubmitTestEvent.</summary>
internal sealed class TestEventHandler(ServiceLayout layout, EventHub events) : IRedfishHandler
{
    public async Task<RedfishReply?> TryHandleAsync(RedfishRequest request)
    {
        if (!request.IsPost(layout.SubmitTestEvent))
        {
            return null;
        }

        if (await request.ReadBodyAsync() is not { } parameters)
        {
            return RedfishError.MalformedJson();
        }

        if (parameters.Get("MessageId").Text() is null)
        {
            return RedfishError.ActionParameterMissing("EventService.SubmitTestEvent", "MessageId");
        }

        events.Publish(EventRecords.Test(parameters));
        return RedfishReply.NoContent;
    }
}
