using System.Text.Json.Nodes;

namespace Evacuator.Lab.BmcSimulator.Model;

/// <summary>The managers' DateTime runs.</summary>
internal sealed class ManagerClockOverlay(ServiceLayout layout, TimeProvider time) : IResourceOverlay
{
    public JsonObject? Create(string uri) => null;

    public bool Covers(string uri) => layout.Managers.Contains(uri);

    public void Apply(string uri, JsonObject resource)
    {
        if (resource.ContainsKey("DateTime"))
        {
            resource["DateTime"] = Timestamp.Format(time.GetUtcNow());
        }
    }
}
