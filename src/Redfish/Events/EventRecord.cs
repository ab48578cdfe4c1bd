using System.Security.Cryptography;
using System.Text;
using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Events;

/// <summary>One event or log entry in one form, whatever form it came in. Every property may be missing in what BMCs send.</summary>
public sealed record EventRecord
{
    private const int MaxArgs = 16;
    private const int MaxText = 512;

    // Said by the test buttons of the services seen; a real fault has none of them.
    private static readonly string[] TestTexts = ["test event", "this is a test message", "this is a test event", "this is a test event message", "test message"];

    /// <summary>As sent; on Lenovo logs, which have none, the CommonEventID. Null when there is none at all.</summary>
    public string? MessageId { get; init; }

    /// <summary>What follows the last dot of the message id: "TMP0110" of "IDRAC.2.8.TMP0110". Empty without an id.</summary>
    public string MessageKey { get; init; } = "";

    public EventSeverity Severity { get; init; }

    public string? Message { get; init; }

    public IReadOnlyList<string> MessageArgs { get; init; } = [];

    /// <summary>The resource it says it is about; null when it says nothing usable.</summary>
    public string? Origin { get; init; }

    /// <summary>Resources worth reading again because of it, the origin first.</summary>
    public IReadOnlyList<string> Touched { get; init; } = [];

    /// <summary>The BMC's time, where it is one that can be; never to be believed, only to order events of one BMC.</summary>
    public DateTimeOffset? BmcTime { get; init; }

    public string? EventType { get; init; }

    /// <summary>A type number on iDRAC, a counter on OpenBMC: no key for anything.</summary>
    public string? EventId { get; init; }

    /// <summary>Sent to try the way, not because something happened.</summary>
    public bool IsTest { get; init; }

    /// <summary>The entry is marked as dealt with (Resolved, or Repaired on HPE).</summary>
    public bool IsResolved { get; init; }

    /// <summary>From a record of an Event's array.</summary>
    public static EventRecord FromEvent(RedfishResource record, string? context)
    {
        string? id = record.Text("MessageId");
        string? message = Cut(record.Text("Message"));
        string? origin = Uri(record.Link("OriginOfCondition"));
        return new EventRecord
        {
            MessageId = id,
            MessageKey = KeyOf(id),
            Severity = Worse(Parse(record.Text("Severity")), Parse(record.Text("MessageSeverity"))),
            Message = message,
            MessageArgs = [.. record.Texts("MessageArgs").Take(MaxArgs).Select(a => Cut(a)!)],
            Origin = origin,
            Touched = Distinct(origin, Uri(record.Link("Oem", "Hpe", "Resource")), Uri(record.Link("Oem", "Hp", "Resource")), Uri(record.Link("LogEntry"))),
            BmcTime = EventTime.Parse(record.Text("EventTimestamp")),
            EventType = record.Text("EventType"),
            EventId = record.Text("EventId"),
            IsTest = LooksLikeTest(id, message, record.Text("EventId"), record.Text("Context") ?? context),
            IsResolved = record.Flag("Resolved") == true,
        };
    }

    /// <summary>From an entry of a log.</summary>
    public static EventRecord FromLogEntry(RedfishResource entry)
    {
        // Lenovo's entries carry the id elsewhere, under names that differ by generation.
        string? id = entry.Text("MessageId") ?? entry.Text("Oem", "Lenovo", "CommonEventID") ?? entry.Text("Oem", "Lenovo", "EventID");
        string? message = Cut(entry.Text("Message"));
        string? origin = Uri(entry.Link("Links", "OriginOfCondition") ?? entry.Link("OriginOfCondition"));
        return new EventRecord
        {
            MessageId = id,
            MessageKey = KeyOf(id),
            Severity = Parse(entry.Text("Severity")),
            Message = message,
            MessageArgs = [.. entry.Texts("MessageArgs").Take(MaxArgs).Select(a => Cut(a)!)],
            Origin = origin,
            Touched = Distinct(origin),
            BmcTime = EventTime.Parse(entry.Text("EventTimestamp") ?? entry.Text("Created")),
            EventType = entry.Text("EntryType"),
            EventId = entry.Text("Id"),
            IsTest = LooksLikeTest(id, message, entry.Text("EventId"), null),
            IsResolved = entry.Flag("Resolved") == true || entry.Flag("Oem", "Hpe", "Repaired") == true,
        };
    }

    /// <summary>
    /// What makes two deliveries one event: id, origin, arguments, text, the BMC's time and what it says of itself. Not EventId or MemberId, which services reuse and renumber.
    /// </summary>
    public ulong Identity
    {
        get
        {
            string text = string.Join('\n', [MessageKey, RedfishUri.Key(Origin ?? ""), string.Join('\t', MessageArgs), MessageArgs.Count == 0 ? Message ?? "" : "", BmcTime?.UtcTicks.ToString(null, null) ?? "",
                $"{Severity} {IsResolved}"]);
            return BitConverter.ToUInt64(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
        }
    }

    private static string KeyOf(string? id) => id is null ? "" : id[(id.LastIndexOf('.') + 1)..].Trim();

    // Old iLO names the tree of its first API: /rest/v1/Chassis/1.
    private static string? Uri(string? link)
    {
        if (link is null || link.Length > 1024)
            return null;
        return link.StartsWith("/rest/v1/", StringComparison.OrdinalIgnoreCase) ? "/redfish" + link[5..] : link;
    }

    private static IReadOnlyList<string> Distinct(params ReadOnlySpan<string?> uris)
    {
        List<string> distinct = [];
        foreach (string? uri in uris)
            if (uri is not null && !distinct.Any(d => RedfishUri.Same(d, uri)))
                distinct.Add(uri);
        return distinct;
    }

    private static bool LooksLikeTest(string? id, string? message, string? eventId, string? context)
    {
        string key = KeyOf(id);
        return key.StartsWith("TestEvent", StringComparison.OrdinalIgnoreCase)
            || key.StartsWith("TestMessage", StringComparison.OrdinalIgnoreCase)
            || key.StartsWith("TestAlert", StringComparison.OrdinalIgnoreCase)
            || key.StartsWith("TST", StringComparison.Ordinal) && key.Length == 6
            || context == PushSubscription.TestContext
            || eventId is not null && (eventId.Equals("TestEventId", StringComparison.OrdinalIgnoreCase) || eventId == PushSubscription.TestEventId)
            || message is not null && TestTexts.Contains(message.TrimEnd('.', '!').ToLowerInvariant());
    }

    private static EventSeverity Parse(string? text) => text?.ToLowerInvariant() switch
    {
        "ok" or "informational" or "information" or "info" or "normal" => EventSeverity.Ok,
        "warning" or "caution" => EventSeverity.Warning,
        "critical" or "fatal" or "error" => EventSeverity.Critical,
        _ => EventSeverity.Unknown,
    };

    private static EventSeverity Worse(EventSeverity left, EventSeverity right) => left > right ? left : right;

    private static string? Cut(string? text) => text?.Length > MaxText ? text[..MaxText] : text;
}
