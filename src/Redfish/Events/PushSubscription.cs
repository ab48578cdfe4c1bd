using System.Text.Json.Nodes;
using Evacuator.Redfish.Resources;
using Evacuator.Redfish.Session;

namespace Evacuator.Redfish.Events;

/// <summary>How a subscription stands.</summary>
internal enum PushOutcome
{
    Unset = 0,

    /// <summary>It was there already and is alive.</summary>
    Kept = 1,

    /// <summary>It was created, or brought back to life: events of the time without it are lost.</summary>
    Created = 2,

    /// <summary>The service takes no subscription from us.</summary>
    Refused = 3,

    /// <summary>Not known: the BMC did not answer.</summary>
    Unknown = 4,
}

/// <summary>Outcome of looking after the subscription, with the reason where it is not alive.</summary>
internal sealed record PushResult(PushOutcome Outcome, string Message)
{
    public bool IsAlive => Outcome is PushOutcome.Kept or PushOutcome.Created;
}

/// <summary>
/// Our one subscription at a BMC: found again by its destination, made with what the service says it can select by and reduced when it refuses, looked after, and deleted at the end.
/// Stale ones of ours (same place, other secret) are deleted first, because BMCs have room for few.
/// </summary>
internal sealed class PushSubscription
{
    /// <summary>Context of events that we asked to be sent as a test.</summary>
    public const string TestContext = "evacuator-test";

    /// <summary>EventId of events that we asked to be sent as a test; echoed by most services.</summary>
    public const string TestEventId = "evacuator-test";

    private const int MaxReductions = 8;

    // Nothing in these is about hardware, and some of them flood.
    private static readonly string[] NoiseRegistries = ["httpstatus", "security", "taskevent", "jobevent", "syncagent", "license", "update", "accountsecurity", "telemetry", "heartbeat", "ilosecurity"];

    // What a strict service may not know, newest first; the rest is what every version of the standard has.
    private static readonly string[] Droppable = ["VerifyCertificate", "DeliveryRetryPolicy", "SubscriptionType", "EventFormatType", "RegistryPrefixes", "EventTypes"];

    private readonly BmcClient _client;
    private readonly Uri _destination;
    private readonly string _place;
    private readonly string _context;
    private string? _uri;

    /// <param name="client">The BMC.</param>
    /// <param name="destination">Where the BMC is to post: https, and its last path segment is the secret.</param>
    /// <param name="context">Names us, the same at every start.</param>
    public PushSubscription(BmcClient client, Uri destination, string context)
    {
        _client = client;
        _destination = destination;
        string text = destination.AbsoluteUri;
        _place = text[..(text.LastIndexOf('/') + 1)];
        _context = context;
    }

    /// <summary>URI of the subscription; null when there is none.</summary>
    public string? Uri => _uri;

    /// <summary>Finds, cleans up and if need be creates.</summary>
    public async Task<PushResult> EnsureAsync(RedfishResource eventService, CancellationToken cancel)
    {
        if (eventService.Link("Subscriptions") is not { } collection)
            return new PushResult(PushOutcome.Refused, $"{eventService.Uri} has no Subscriptions");
        CollectionResult all = await CollectionReader.ReadAsync(_client, collection, new CollectionLimits(MaxPages: 8, MaxMembers: 128), cancel).ConfigureAwait(false);
        if (all.Outcome is not ReadOutcome.Found)
            return new PushResult(PushOutcome.Unknown, string.Join("; ", all.Warnings));
        _uri = null;
        foreach (RedfishResource subscription in all.Members.Where(IsOurs))
        {
            if (_uri is null && IsCurrent(subscription) && !IsDead(subscription))
                _uri = subscription.Uri;
            else
                await _client.DeleteAsync(subscription.Uri, cancel).ConfigureAwait(false);
        }
        return _uri is not null
            ? new PushResult(PushOutcome.Kept, "")
            : await CreateAsync(collection, eventService, cancel).ConfigureAwait(false);
    }

    /// <summary>One read: is it still there and alive? When not, it is made anew.</summary>
    public async Task<PushResult> VerifyAsync(RedfishResource eventService, CancellationToken cancel)
    {
        if (_uri is null)
            return await EnsureAsync(eventService, cancel).ConfigureAwait(false);
        ReadResult read = await _client.ReadAsync(_uri, cancel).ConfigureAwait(false);
        if (read.Resource is { } subscription && IsCurrent(subscription))
        {
            if (!IsDead(subscription))
                return new PushResult(PushOutcome.Kept, "");
            // iDRAC suspends a subscription after failed deliveries; Resume exists in newer schemas only.
            if (subscription.Link("Actions", "#EventDestination.ResumeSubscription", "target") is { } resume
                && (await _client.PostAsync(resume, [], cancel).ConfigureAwait(false)).Succeeded)
                return new PushResult(PushOutcome.Created, "the BMC had suspended the subscription");
            return await EnsureAsync(eventService, cancel).ConfigureAwait(false);
        }
        if (read.Resource is null && read.Outcome != ReadOutcome.NotFound)
            return new PushResult(PushOutcome.Unknown, read.Message);
        PushResult result = await EnsureAsync(eventService, cancel).ConfigureAwait(false);
        return result.Outcome == PushOutcome.Created ? result with { Message = "the BMC had lost the subscription" } : result;
    }

    public async Task DeleteAsync(CancellationToken cancel)
    {
        if (_uri is { } uri && (await _client.DeleteAsync(uri, cancel).ConfigureAwait(false)) is { Error: BmcError.None or BmcError.NotFound })
            _uri = null;
    }

    /// <summary>Asks the BMC to send a test event; it is known by <see cref="TestEventId"/> or <see cref="TestContext"/>. False when the service cannot or may not.</summary>
    public async Task<bool> SubmitTestAsync(RedfishResource eventService, CancellationToken cancel)
    {
        if (eventService.Link("Actions", "#EventService.SubmitTestEvent", "target") is not { } target)
            return false;
        JsonObject full = new()
        {
            ["EventId"] = TestEventId,
            ["EventType"] = "Alert",
            ["Severity"] = "OK",
            ["Message"] = "Test Event",
            ["MessageId"] = "ResourceEvent.1.3.TestMessage",
            ["MessageArgs"] = new JsonArray(),
            ["OriginOfCondition"] = eventService.Uri,
        };
        BmcReply reply = await _client.PostAsync(target, full, cancel).ConfigureAwait(false);
        if (reply.Error is BmcError.Rejected)
            reply = await _client.PostAsync(target, new JsonObject { ["MessageId"] = "ResourceEvent.1.3.TestMessage" }, cancel).ConfigureAwait(false);
        return reply.Succeeded;
    }

    private async Task<PushResult> CreateAsync(string collection, RedfishResource eventService, CancellationToken cancel)
    {
        JsonObject body = Body(eventService);
        BmcReply reply = await _client.PostAsync(collection, body, cancel).ConfigureAwait(false);
        for (int i = 0; i < MaxReductions && reply.Error is BmcError.Rejected && Reduce(body, reply.Named, eventService); i++)
            reply = await _client.PostAsync(collection, body, cancel).ConfigureAwait(false);
        if (reply.Succeeded)
        {
            _uri = reply.Location ?? reply.Resource?.Link("@odata.id") ?? await FindAsync(collection, cancel).ConfigureAwait(false);
            return new PushResult(PushOutcome.Created, "");
        }
        // Where the answer was lost the subscription may exist: the next look finds it by its destination.
        return reply.Error is BmcError.Timeout or BmcError.Unreachable or BmcError.Overloaded or BmcError.ServerFailed or BmcError.SessionTableFull
            && !reply.HasMessage("EventSubscriptionLimitExceeded")
            ? new PushResult(PushOutcome.Unknown, reply.Message)
            : new PushResult(PushOutcome.Refused, reply.Message);
    }

    private JsonObject Body(RedfishResource eventService)
    {
        JsonObject body = new()
        {
            ["Destination"] = _destination.AbsoluteUri,
            ["Protocol"] = "Redfish",
            ["Context"] = _context,
            ["SubscriptionType"] = "RedfishEvent",
            // Where it may be said: the fleet's authority is not installed in a BMC, and what it posts is a reason to read and no secret.
            ["VerifyCertificate"] = false,
            // bmcweb deletes a subscription after failed deliveries unless told otherwise.
            ["DeliveryRetryPolicy"] = "RetryForever",
        };
        if (eventService.Texts("EventFormatTypes").Contains("Event"))
            body["EventFormatType"] = "Event";
        // Sent back exactly as listed: AMI wants its version numbers, others have none.
        IReadOnlyList<string> registries = eventService.Texts("RegistryPrefixes");
        string[] useful = [.. registries.Where(r => !NoiseRegistries.Any(n => r.StartsWith(n, StringComparison.OrdinalIgnoreCase)))];
        if (useful.Length > 0)
            body["RegistryPrefixes"] = Texts(useful);
        else if (registries.Count == 0 && eventService.Texts("EventTypesForSubscription").Contains("Alert"))
            body["EventTypes"] = Texts("Alert");
        return body;
    }

    /// <summary>Takes out of the body what the service named, else the newest that is left. False when nothing is left to take.</summary>
    private static bool Reduce(JsonObject body, IReadOnlyList<string> named, RedfishResource eventService)
    {
        string[] victims = [.. Droppable.Where(d => body.ContainsKey(d) && named.Contains(d, StringComparer.OrdinalIgnoreCase))];
        if (victims.Length == 0)
            victims = [.. Droppable.Where(body.ContainsKey).Take(1)];
        foreach (string victim in victims)
            body.Remove(victim);
        // Without registries, the old selector may do.
        if (victims.Contains("RegistryPrefixes") && eventService.Texts("EventTypesForSubscription").Contains("Alert"))
            body["EventTypes"] = Texts("Alert");
        return victims.Length > 0;
    }

    private async Task<string?> FindAsync(string collection, CancellationToken cancel)
    {
        CollectionResult all = await CollectionReader.ReadAsync(_client, collection, new CollectionLimits(MaxPages: 8, MaxMembers: 128), cancel).ConfigureAwait(false);
        return all.Members.FirstOrDefault(IsCurrent)?.Uri;
    }

    private bool IsCurrent(RedfishResource subscription) => subscription.Text("Destination") == _destination.AbsoluteUri;

    // Not every service gives the context back, and a destination may have moved to another address: either one tells.
    private bool IsOurs(RedfishResource subscription) =>
        subscription.Text("Context") == _context || subscription.Text("Destination")?.StartsWith(_place, StringComparison.OrdinalIgnoreCase) == true;

    private static bool IsDead(RedfishResource subscription) => subscription.Text("Status", "State") is "Disabled" or "Absent" or "UnavailableOffline";

    private static JsonArray Texts(params ReadOnlySpan<string> texts)
    {
        JsonArray array = [];
        foreach (string text in texts)
            array.Add(JsonValue.Create(text));
        return array;
    }
}
