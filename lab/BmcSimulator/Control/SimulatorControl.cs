using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Events;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Lab.BmcSimulator.Led;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Control;

/// <summary>The hand behind the scenes: what the control socket and a test that hosts the simulator can do to it.</summary>
internal sealed class SimulatorControl(SimulatorParts parts, Action changeCertificate, Action cutConnections)
{
    /// <summary>Sends an event, after the patches that came with it.</summary>
    /// <exception cref="FormatException">It is no event.</exception>
    /// <exception cref="KeyNotFoundException">A patch names a resource that does not exist.</exception>
    public void PostEvent(JsonObject posted)
    {
        EventPayload payload = EventPayload.Parse(posted);
        foreach (ResourcePatch patch in payload.Patches)
        {
            RequireResource(patch.Uri);
        }

        // The event itself is the announcement of these patches, so they make no other one.
        foreach (ResourcePatch patch in payload.Patches)
        {
            parts.Patches.Merge(patch.Uri, patch.Body);
        }

        parts.Events.PublishEvent(payload.Event);
    }

    /// <summary>Changes any property. A changed health or LED is announced, as the BMC does when it finds out by itself.</summary>
    /// <exception cref="KeyNotFoundException">There is no such resource.</exception>
    public void Patch(string uri, JsonObject body)
    {
        uri = ResourceUri.Normalise(uri);
        string? before = RequireResource(uri).Get("Status").Get("Health").Text();
        parts.Patches.Merge(uri, body);
        if (parts.Led.IsOn(uri))
        {
            SetLed(uri, body);
        }

        string? after = parts.Model.ReadObject(uri).Get("Status").Get("Health").Text();
        if (after is not null && after != before)
        {
            parts.Events.Publish(EventRecords.HealthChanged(uri, after));
        }
    }

    /// <summary>Lets a fault happen, at once or to the requests to come.</summary>
    public void AddFault(Fault fault)
    {
        switch (fault.Kind)
        {
            case FaultKind.SubscriptionsVanish:
                parts.Subscriptions.List().ToList().ForEach(subscription => parts.Subscriptions.Remove(subscription.Id));
                break;
            case FaultKind.CertificateChanged:
                changeCertificate();
                break;
            case FaultKind.Restart:
                parts.Sessions.CloseAll();
                parts.Events.Restart();
                cutConnections();
                break;
            default:
                parts.Faults.Add(fault, fault.Kind == FaultKind.PowerStale ? parts.Power.State : null);
                break;
        }
    }

    private void SetLed(string uri, JsonObject body)
    {
        if (body.Get(IndicatorLed.Legacy).Text() is { } legacy)
        {
            parts.Led.Set(legacy);
            parts.Events.Publish(EventRecords.LedChanged(uri, IndicatorLed.Legacy, legacy));
        }
        else if (body.Get(IndicatorLed.Active).Flag() is { } active)
        {
            parts.Led.Set(active);
            parts.Events.Publish(EventRecords.LedChanged(uri, IndicatorLed.Active, active ? "true" : "false"));
        }
    }

    private JsonObject RequireResource(string uri) =>
        parts.Model.ReadObject(uri) ?? throw new KeyNotFoundException($"there is no resource {uri} in this tree");
}
