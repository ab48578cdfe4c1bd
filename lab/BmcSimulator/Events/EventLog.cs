using System.Globalization;
using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Events;

/// <summary>The event log as log entries without address: a ring of limited length. It outlives a restart.</summary>
internal sealed class EventLog(int limit, Action changed, TimeProvider time)
{
    private readonly Lock _lock = new();
    private readonly List<JsonObject> _entries = [];
    private long _lastId;

    public void Append(JsonObject record)
    {
        lock (_lock)
        {
            _entries.Add(ToEntry_NeedsLock(record));
            if (_entries.Count > limit)
            {
                _entries.RemoveAt(0);
            }
        }

        changed();
    }

    public void Clear()
    {
        lock (_lock)
        {
            _entries.Clear();
            _lastId = 0; // Ids start again, as on many BMCs.
        }

        changed();
    }

    /// <summary>Oldest first. Entries never change: who wants another one makes a copy.</summary>
    public IReadOnlyList<JsonObject> List()
    {
        lock (_lock)
        {
            return [.. _entries];
        }
    }

    public JsonObject? Find(string id) => List().FirstOrDefault(entry => entry.Get("Id").Text() == id);

    public JsonObject Save()
    {
        lock (_lock)
        {
            return new JsonObject { ["LastId"] = _lastId, ["Entries"] = new JsonArray([.. _entries.Select(entry => entry.DeepClone())]) };
        }
    }

    public void Load(JsonNode? saved)
    {
        lock (_lock)
        {
            _lastId = (long)(saved.Get("LastId").Number() ?? 0);
            _entries.AddRange((saved.Get("Entries") as JsonArray ?? []).OfType<JsonObject>().Select(entry => (JsonObject)entry.DeepClone()));
        }
    }

    private JsonObject ToEntry_NeedsLock(JsonObject record)
    {
        string id = (++_lastId).ToString(CultureInfo.InvariantCulture);
        var entry = new JsonObject
        {
            ["@odata.type"] = "#LogEntry.v1_15_0.LogEntry",
            ["Id"] = id,
            ["Name"] = "Log Entry " + id,
            ["EntryType"] = "Event",
            ["Created"] = record.Get("EventTimestamp").Text() ?? Timestamp.Format(time.GetUtcNow()),
            ["Severity"] = (record.Get("Severity") ?? record.Get("MessageSeverity"))?.DeepClone(),
            ["Message"] = record.Get("Message")?.DeepClone(),
            ["MessageId"] = record.Get("MessageId")?.DeepClone(),
            ["Resolved"] = false,
        };
        if (record.Get("MessageArgs") is { } args)
        {
            entry["MessageArgs"] = args.DeepClone();
        }

        if ((record.Get("OriginOfCondition").Link() ?? record.Get("OriginOfCondition").Text()) is { } origin)
        {
            entry["Links"] = new JsonObject { ["OriginOfCondition"] = CollectionMembers.Link(origin) };
        }

        return entry;
    }
}
