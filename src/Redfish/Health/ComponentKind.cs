namespace Evacuator.Redfish.Health;

/// <summary>What a signal is about. The numbers are persisted: never renumber.</summary>
public enum ComponentKind
{
    Unknown = 0,
    System = 1,
    Chassis = 2,
    Memory = 3,
    Processor = 4,

    /// <summary>A GPU, FPGA or other processor that is not a CPU.</summary>
    Accelerator = 5,
    Drive = 6,
    Volume = 7,
    StorageController = 8,
    PowerSupply = 9,

    /// <summary>Power beyond the supplies: rails, voltage regulators, distribution.</summary>
    Power = 10,
    Fan = 11,
    Temperature = 12,

    /// <summary>A sensor that measures neither heat, rotation nor power.</summary>
    Sensor = 13,
    PcieDevice = 14,
    NetworkAdapter = 15,
    Battery = 16,

    /// <summary>Liquid cooling: leak detectors, pumps.</summary>
    Coolant = 17,
    Manager = 18,
}
