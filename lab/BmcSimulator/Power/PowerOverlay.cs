using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Power;

/// <summary>Shows the machine's power on its system and on the chassis that report one.</summary>
internal sealed class PowerOverlay(ServiceLayout layout, Func<string> state, PowerWatch watch) : IResourceOverlay
{
    public JsonObject? Create(string uri) => null;

    public bool Covers(string uri) => uri == layout.System || layout.Chassis.Contains(uri);

    public void Apply(string uri, JsonObject resource)
    {
        if (uri == layout.System || resource.ContainsKey("PowerState"))
        {
            resource["PowerState"] = state();
        }

        if (resource.ContainsKey("LastResetTime") && watch.LastStart is { } start)
        {
            resource["LastResetTime"] = Timestamp.Format(start);
        }
    }
}
