using System.Text.Json.Nodes;

namespace Evacuator.Lab.BmcSimulator.Model;

/// <summary>Changes to properties, by URI. They outlive a restart. Objects merge; arrays and null replace what was there, as in a Redfish PATCH.</summary>
internal sealed class PatchStore(Action changed) : IResourceOverlay
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, JsonObject> _patches = new(StringComparer.Ordinal);
    private readonly HashSet<string> _removed = new(StringComparer.Ordinal);

    public void Merge(string uri, JsonObject patch)
    {
        lock (_lock)
        {
            if (_patches.TryGetValue(uri, out JsonObject? existing))
            {
                Merge(existing, patch);
            }
            else
            {
                _patches[uri] = (JsonObject)patch.DeepClone();
            }
        }

        changed();
    }

    /// <summary>From now on the resource answers 404, though links to it remain.</summary>
    public void Remove(string uri)
    {
        lock (_lock)
        {
            _removed.Add(uri);
        }

        changed();
    }

    /// <summary>Back to the factory state, removed resources included.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            _patches.Clear();
            _removed.Clear();
        }

        changed();
    }

    public bool IsRemoved(string uri)
    {
        lock (_lock)
        {
            return _removed.Contains(uri);
        }
    }

    public bool Covers(string uri)
    {
        lock (_lock)
        {
            return _patches.ContainsKey(uri);
        }
    }

    public JsonObject? Create(string uri) => null;

    public void Apply(string uri, JsonObject resource)
    {
        lock (_lock)
        {
            if (_patches.TryGetValue(uri, out JsonObject? patch))
            {
                Merge(resource, patch);
            }
        }
    }

    /// <summary>The worst Status.Health that patches gave to resources chosen by <paramref name="where"/>; null where none did.</summary>
    public string? WorstHealth(Func<string, bool> where)
    {
        lock (_lock)
        {
            return _patches.Where(patch => where(patch.Key))
                .Select(patch => patch.Value.Get("Status").Get("Health").Text())
                .MaxBy(Health.Rank);
        }
    }

    public JsonObject Save()
    {
        lock (_lock)
        {
            return new JsonObject
            {
                ["Patches"] = new JsonObject(_patches.Select(patch => KeyValuePair.Create(patch.Key, (JsonNode?)patch.Value.DeepClone()))),
                ["Removed"] = new JsonArray([.. _removed.Select(uri => JsonValue.Create(uri))]),
            };
        }
    }

    public void Load(JsonNode? saved)
    {
        lock (_lock)
        {
            foreach ((string uri, JsonNode? patch) in saved.Get("Patches") as JsonObject ?? [])
            {
                _patches[uri] = (JsonObject)patch!.DeepClone();
            }

            _removed.UnionWith(saved.Get("Removed").Texts());
        }
    }

    private static void Merge(JsonObject target, JsonObject patch)
    {
        foreach ((string name, JsonNode? value) in patch)
        {
            if (value is JsonObject inner && target.Get(name) is JsonObject existing)
            {
                Merge(existing, inner);
            }
            else
            {
                target[name] = value?.DeepClone();
            }
        }
    }
}
