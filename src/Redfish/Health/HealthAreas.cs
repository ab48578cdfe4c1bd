namespace Evacuator.Redfish.Health;

internal static class HealthAreas
{
    /// <summary>The area that kinds of parts belong to. Sensors of any kind are read for the area Sensors, whatever they measure.</summary>
    public static HealthArea Of(ComponentKind kind) => kind switch
    {
        ComponentKind.Memory => HealthArea.Memory,
        ComponentKind.Processor or ComponentKind.Accelerator => HealthArea.Processors,
        ComponentKind.Drive or ComponentKind.Volume or ComponentKind.StorageController => HealthArea.Storage,
        ComponentKind.PowerSupply or ComponentKind.Power or ComponentKind.Battery => HealthArea.Power,
        ComponentKind.Fan or ComponentKind.Temperature or ComponentKind.Coolant => HealthArea.Cooling,
        ComponentKind.Sensor => HealthArea.Sensors,
        ComponentKind.PcieDevice => HealthArea.Pcie,
        ComponentKind.NetworkAdapter => HealthArea.Network,
        ComponentKind.Manager => HealthArea.Managers,
        _ => HealthArea.System,
    };
}
