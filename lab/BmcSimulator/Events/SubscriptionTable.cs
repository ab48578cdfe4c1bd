using System.Globalization;
using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Events;

/// <summary>The push subscriptions. They outlive a restart.</summary>
internal sealed class SubscriptionTable(int limit, ServiceLayout layout, Action changed) : IResourceOverlay
{
    private readonly Lock _lock = new();
    private readonly List<Subscription> _subscriptions = [];
    private long _lastId;

    /// <returns>The new subscription, or null where the table is full.</returns>
    public Subscription? Add(JsonObject body)
    {
        Subscription subscription;
        lock (_lock)
        {
            if (_subscriptions.Count >= limit)
            {
                return null;
            }

            // Ids that the tree's own subscriptions bear are passed by.
            _lastId++;
            subscription = new Subscription(string.Create(CultureInfo.InvariantCulture, $"{1000 + _lastId}"), body);
            _subscriptions.Add(subscription);
        }

        changed();
        return subscription;
    }

    public bool Remove(string id)
    {
        bool removed;
        lock (_lock)
        {
            removed = _subscriptions.RemoveAll(subscription => subscription.Id == id) > 0;
        }

        changed();
        return removed;
    }

    public IReadOnlyList<Subscription> List()
    {
        lock (_lock)
        {
            return [.. _subscriptions];
        }
    }

    public bool Contains(Subscription subscription)
    {
        lock (_lock)
        {
            return _subscriptions.Contains(subscription);
        }
    }

    public string Uri(Subscription subscription) => $"{layout.Subscriptions}/{subscription.Id}";

    public bool Covers(string uri) => uri == layout.Subscriptions;

    public void Apply(string uri, JsonObject resource) => CollectionMembers.Append(resource, List().Select(Uri));

    public JsonObject? Create(string uri) =>
        layout.Subscriptions is { } collection && ResourceUri.Parent(uri) == collection
        && List().FirstOrDefault(subscription => subscription.Id == ResourceUri.Id(uri)) is { } found ? found.Show(uri) : null;

    public JsonObject Save()
    {
        lock (_lock)
        {
            return new JsonObject
            {
                ["LastId"] = _lastId,
                ["Members"] = new JsonArray([.. _subscriptions.Select(subscription => new JsonObject { ["Id"] = subscription.Id, ["Body"] = subscription.Body.DeepClone() })]),
            };
        }
    }

    public void Load(JsonNode? saved)
    {
        lock (_lock)
        {
            _lastId = (long)(saved.Get("LastId").Number() ?? 0);
            foreach (JsonNode? member in saved.Get("Members") as JsonArray ?? [])
            {
                _subscriptions.Add(new Subscription(member.Get("Id").Text()!, (JsonObject)member.Get("Body")!.DeepClone()));
            }
        }
    }
}
