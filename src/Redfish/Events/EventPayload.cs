using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Events;

/// <summary>What arrived in one piece: by push, or as one event of a stream.</summary>
public enum PayloadKind
{
    Unreadable = 0,
    Events = 1,

    /// <summary>Telemetry; services send it to the same place.</summary>
    MetricReport = 2,

    /// <summary>Readable, but nothing in it that is an event.</summary>
    Empty = 3,
}

/// <summary>One payload taken apart.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Records">Its events.</param>
/// <param name="Lost">Events are missing: the service says so (EventBufferExceeded), or there were more than are taken. Only a full read tells what happened.</param>
/// <param name="Problem">What is wrong with it; empty when nothing is.</param>
public sealed record EventPayload(PayloadKind Kind, IReadOnlyList<EventRecord> Records, bool Lost, string Problem)
{
    /// <summary>Largest payload looked at, in bytes; bursts of hundreds of records stay below it.</summary>
    public const int MaxBytes = 1024 * 1024;

    /// <summary>Most records taken from one payload.</summary>
    public const int MaxRecords = 1000;

    public static EventPayload Parse(ReadOnlyMemory<byte> body)
    {
        if (body.Length > MaxBytes)
            return new EventPayload(PayloadKind.Unreadable, [], true, $"{body.Length} bytes, more than the {MaxBytes} that are taken");
        if (RedfishResource.TryParse(body, "", null, out string problem) is not { } root)
            return new EventPayload(PayloadKind.Unreadable, [], true, problem);
        string type = root.ODataType ?? "";
        if (type.Contains("MetricReport", StringComparison.OrdinalIgnoreCase) || (!root.Has("Events") && root.Has("MetricValues")))
            return new EventPayload(PayloadKind.MetricReport, [], false, "");

        // "Events" is an array by the schema, an object on some nodes; others call it "Alerts". A service may also send one record bare.
        IReadOnlyList<RedfishResource> items = root.Items("Events");
        if (items.Count == 0)
            items = root.Items("Alerts");
        if (items.Count == 0 && (root.Has("MessageId") || root.Has("OriginOfCondition")))
            items = [root];
        string? context = root.Text("Context");
        List<EventRecord> records = [.. items.Take(MaxRecords).Select(i => EventRecord.FromEvent(i, context))];
        bool lost = items.Count > MaxRecords || records.Any(r => r.MessageKey.Equals("EventBufferExceeded", StringComparison.OrdinalIgnoreCase));
        return new EventPayload(records.Count > 0 ? PayloadKind.Events : PayloadKind.Empty, records, lost, "");
    }
}
