using System.Globalization;
using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Events;

/// <summary>
/// Every event goes through here: it is numbered, written into the log, and handed to the streams and to the subscriptions.
/// What a posted event says is sent as it is said; only members that are missing altogether are filled in.
/// </summary>
internal sealed class EventHub(EventLog log, SseBroadcast streams, PushDelivery push, TimeProvider time)
{
    private readonly Lock _lock = new();
    private long _lastId;

    public void Publish(JsonObject record) => PublishEvent(new JsonObject { ["Events"] = new JsonArray(record) });

    public void PublishEvent(JsonObject payload)
    {
        // One at a time: every listener sees the same order, and the log has it too. All three only queue.
        lock (_lock)
        {
            string id = Complete_NeedsLock(payload);
            foreach (JsonObject record in Records(payload))
            {
                log.Append(record);
            }

            streams.Send(id, payload);
            push.Send(payload);
        }
    }

    /// <summary>Event ids start again, and what was sent before cannot be asked for any more.</summary>
    public void Restart()
    {
        lock (_lock)
        {
            _lastId = 0;
            streams.Forget();
        }
    }

    // Some services send one record instead of a list; that form passes through here too.
    private static IEnumerable<JsonObject> Records(JsonObject payload) => payload.Get("Events") switch
    {
        JsonArray list => list.OfType<JsonObject>(),
        JsonObject single => [single],
        _ => [],
    };

    private string Complete_NeedsLock(JsonObject payload)
    {
        string id = (++_lastId).ToString(CultureInfo.InvariantCulture);
        payload.TryAdd("@odata.type", "#Event.v1_9_0.Event");
        payload.TryAdd("Id", id);
        payload.TryAdd("Name", "Event");
        int member = 0;
        foreach (JsonObject record in Records(payload))
        {
            record.TryAdd("EventId", id);
            record.TryAdd("EventTimestamp", Timestamp.Format(time.GetUtcNow()));
            record.TryAdd("MemberId", (member++).ToString(CultureInfo.InvariantCulture));
        }

        return id;
    }
}
