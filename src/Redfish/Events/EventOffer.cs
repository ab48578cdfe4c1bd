using Evacuator.Redfish.Resources;
using Evacuator.Redfish.Session;

namespace Evacuator.Redfish.Events;

/// <summary>What a service offers for being told of events.</summary>
/// <param name="Mode">The best way that is open to us.</param>
/// <param name="Reason">Why it is that one.</param>
/// <param name="StreamUri">Where events stream from; null when they do not.</param>
/// <param name="Service">The EventService; null when there is none or it is switched off.</param>
/// <param name="Warnings">What keeps events from coming although they are offered.</param>
public sealed record EventOffer(ListenMode Mode, string Reason, string? StreamUri, RedfishResource? Service, IReadOnlyList<string> Warnings)
{
    /// <summary>Two reads: the root and the EventService. Null with a message when the BMC did not answer, so nothing is known.</summary>
    /// <param name="reader">The BMC.</param>
    /// <param name="canBePushedTo">Whether we have a place that the BMC can post to.</param>
    /// <param name="cancel">The caller's wish to stop.</param>
    public static async Task<(EventOffer? Offer, string Message)> ReadAsync(IResourceReader reader, bool canBePushedTo, CancellationToken cancel)
    {
        ReadResult root = await reader.ReadAsync(BmcClient.RootUri, cancel).ConfigureAwait(false);
        if (root.Resource is not { } entry)
            return (null, root.Message);
        if (entry.Link("EventService") is not { } uri)
            return (Poll("the service has no EventService"), "");
        ReadResult read = await reader.ReadAsync(uri, cancel).ConfigureAwait(false);
        if (read.Resource is not { } service)
        {
            return read.Outcome is ReadOutcome.NotFound or ReadOutcome.Forbidden or ReadOutcome.Malformed or ReadOutcome.TooLarge
                ? (Poll($"the EventService cannot be used: {read.Message}"), "")
                : (null, read.Message);
        }
        // iDRAC tells of alerts that are switched off by a condition of the service.
        List<string> warnings = [.. service.Items("Status", "Conditions").Select(c => c.Text("Message")).OfType<string>().Take(4)];
        if (service.Flag("ServiceEnabled") == false)
            return (new EventOffer(ListenMode.Poll, "the EventService is switched off (ServiceEnabled is false); switch it on at the BMC to be told at once", null, null, warnings), "");
        string? stream = service.Link("ServerSentEventUri");
        bool pushes = service.Link("Subscriptions") is not null;
        return (stream, pushes, canBePushedTo) switch
        {
            (not null, _, _) => (new EventOffer(ListenMode.Sse, "the service streams events", stream, service, warnings), ""),
            (null, true, true) => (new EventOffer(ListenMode.Push, "the service has no event stream but takes subscriptions", null, service, warnings), ""),
            (null, true, false) => (new EventOffer(ListenMode.Poll, "the service has no event stream, and no place is configured that it could post to", null, service, warnings), ""),
            _ => (new EventOffer(ListenMode.Poll, "the EventService has neither stream nor subscriptions", null, service, warnings), ""),
        };
    }

    private static EventOffer Poll(string reason) => new(ListenMode.Poll, reason, null, null, []);
}
