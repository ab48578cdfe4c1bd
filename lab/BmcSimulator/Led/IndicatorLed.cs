using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Led;

/// <summary>The locator LED: one lamp, shown on the system and its chassis by one or both of two properties. A write to either sets all of them.</summary>
internal sealed class IndicatorLed(ServiceLayout layout, Func<string, JsonObject?> read, PatchStore patches)
{
    public const string Legacy = "IndicatorLED";
    public const string Active = "LocationIndicatorActive";

    public bool IsOn(string uri) => uri == layout.System || layout.Chassis.Contains(uri);

    /// <param name="legacy">Lit, Blinking or Off.</param>
    public void Set(string legacy)
    {
        foreach (string uri in layout.System is null ? layout.Chassis : [layout.System, .. layout.Chassis])
        {
            JsonObject? resource = read(uri);
            var patch = new JsonObject();
            if (resource.Get(Legacy) is not null)
            {
                patch[Legacy] = legacy;
            }

            if (resource.Get(Active) is not null)
            {
                patch[Active] = legacy != "Off";
            }

            if (patch.Count > 0)
            {
                patches.Merge(uri, patch);
            }
        }
    }

    public void Set(bool active) => Set(active ? "Blinking" : "Off");
}
