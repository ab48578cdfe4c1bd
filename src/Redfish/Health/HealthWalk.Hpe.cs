using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Health;

// What HPE says in its own resources: the aggregate on the system, DIMMStatus, and the Smart Array tree of iLO 4 and 5.
public sealed partial class HealthWalk
{
    private static readonly (string Name, HealthArea Area)[] Aggregates =
    [
        ("Fans", HealthArea.Cooling), ("Memory", HealthArea.Memory), ("Network", HealthArea.Network), ("PowerSupplies", HealthArea.Power),
        ("Processors", HealthArea.Processors), ("Storage", HealthArea.Storage), ("SmartStorageBattery", HealthArea.Power), ("Temperatures", HealthArea.Cooling),
    ];

    private static RedfishResource? Hpe(RedfishResource resource, params string[] path) =>
        resource.Child(["Oem", "Hpe", .. path]) ?? resource.Child(["Oem", "Hp", .. path]);

    private void HpeAggregate(RedfishResource system, Part part)
    {
        if (Hpe(system, "AggregateHealthStatus") is not { } aggregate)
            return;
        foreach ((string name, HealthArea area) in Aggregates)
            _findings.Rollup(area, $"{aggregate.Uri}/{name}", SignalSeverities.Parse(aggregate.Text(name, "Status", "Health")));
        // The only one without a resource of its own beneath.
        SignalSeverity board = SignalSeverities.Parse(aggregate.Text("BiosOrHardwareHealth", "Status", "Health"));
        if (board >= SignalSeverity.Warning)
            part.Raise(board == SignalSeverity.Critical ? SignalKind.Failed : SignalKind.Degraded, board, $"BiosOrHardwareHealth is {board}", isExplicit: true);
        foreach ((string name, ComponentKind kind) in (ReadOnlySpan<(string, ComponentKind)>)[("FanRedundancy", ComponentKind.Fan), ("PowerSupplyRedundancy", ComponentKind.PowerSupply)])
            if (aggregate.Text(name)?.Equals("FailedRedundant", StringComparison.OrdinalIgnoreCase) == true)
                _findings.Group(HealthAreas.Of(kind), kind, $"{aggregate.Uri}/{name}", name, null)
                    .Raise(SignalKind.RedundancyLost, SignalSeverity.Warning, $"{name} is FailedRedundant", isExplicit: true);
    }

    private static void HpeMemory(Part part, RedfishResource memory)
    {
        string status = memory.Text("Oem", "Hpe", "DIMMStatus") ?? memory.Text("Oem", "Hp", "DIMMStatus") ?? memory.Text("DIMMStatus") ?? "";
        if (status.StartsWith("Degraded", StringComparison.OrdinalIgnoreCase) && !status.Contains("Uncorrectable", StringComparison.OrdinalIgnoreCase))
            part.Raise(SignalKind.CorrectableErrorThreshold, SignalSeverity.Warning, $"DIMMStatus is {status}", predicted: true, isExplicit: true);
        else if (status.Contains("Uncorrectable", StringComparison.OrdinalIgnoreCase) || status.Equals("MapOutError", StringComparison.OrdinalIgnoreCase))
            part.Raise(SignalKind.UncorrectableError, SignalSeverity.Critical, $"DIMMStatus is {status}", isExplicit: true);
    }

    private async Task SmartStorageAsync(RedfishResource system)
    {
        string? link = system.Link("Oem", "Hpe", "Links", "SmartStorage") ?? system.Link("Oem", "Hp", "Links", "SmartStorage");
        if (link is null || await ReadAsync(HealthArea.Storage, link) is not { } smart)
            return;
        _findings.Rollup(HealthArea.Storage, smart);
        foreach (RedfishResource controller in await MembersAsync(HealthArea.Storage, smart, "Links", "ArrayControllers"))
        {
            Controller(controller);
            foreach (RedfishResource drive in await MembersAsync(HealthArea.Storage, controller, "Links", "PhysicalDrives"))
                Drive(drive);
            foreach (RedfishResource volume in await MembersAsync(HealthArea.Storage, controller, "Links", "LogicalDrives"))
                Leaf(HealthArea.Storage, ComponentKind.Volume, volume);
        }
    }
}
