using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Power;

/// <summary>The System that is controlled and the Chassis around it, found by their links.</summary>
internal sealed class MachineView(IResourceReader reader, string systemUri)
{
    private const int MaxChassis = 8;

    public string SystemUri => systemUri;

    public Task<ReadResult> ReadSystemAsync(CancellationToken cancel) => reader.ReadAsync(systemUri, cancel);

    public Task<ReadResult> ReadAsync(string uri, CancellationToken cancel) => reader.ReadAsync(uri, cancel);

    /// <summary>URIs of the Chassis that the System links to.</summary>
    public static IReadOnlyList<string> ChassisOf(RedfishResource system) =>
        [.. system.Links("Links", "Chassis").Select(RedfishUri.WithoutFragment).DistinctBy(RedfishUri.Key).Take(MaxChassis)];

    /// <summary>
    /// Whether a Chassis holds this System and no other. An enclosure with several nodes is powered as long as any of them is, so it says nothing about one.
    /// </summary>
    public bool IsOwn(RedfishResource chassis)
    {
        IReadOnlyList<string> systems = chassis.Links("Links", "ComputerSystems");
        return systems.All(s => RedfishUri.Same(s, systemUri))
            && chassis.Text("ChassisType") is not ("Enclosure" or "Rack" or "Row" or "Pod" or "Zone" or "Shelf" or "StorageEnclosure");
    }
}
