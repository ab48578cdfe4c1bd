using System.Text.Json.Nodes;

namespace Evacuator.Lab.BmcSimulator.Model;

/// <summary>Lets the rollup of system and chassis follow the health that was patched into their parts.</summary>
internal sealed class HealthRollupOverlay(ServiceLayout layout, PatchStore patches) : IResourceOverlay
{
    public JsonObject? Create(string uri) => null;

    public bool Covers(string uri) => (uri == layout.System || layout.Chassis.Contains(uri)) && patches.WorstHealth(part => IsPart(part, uri)) is not null;

    public void Apply(string uri, JsonObject resource)
    {
        if (resource.Get("Status") is JsonObject status && status.ContainsKey("HealthRollup")
            && patches.WorstHealth(part => IsPart(part, uri)) is { } worst && Health.Rank(worst) > Health.Rank(status.Get("HealthRollup").Text()))
        {
            status["HealthRollup"] = worst;
        }
    }

    // Power supplies and fans stand below the chassis but count for the system too.
    private bool IsPart(string part, string uri) =>
        ResourceUri.IsBelow(part, uri) || (uri == layout.System && layout.Chassis.Any(chassis => ResourceUri.IsBelow(part, chassis)));
}
