namespace Evacuator.Redfish.Tests.Health;

/// <summary>What a walk over one of the given trees must find, and what it must not, each with the fact in the tree that says so.</summary>
/// <param name="Tree">The folder under mockups.</param>
/// <param name="System">The system to walk.</param>
/// <param name="Signals">All signals there are, as "component|name|kind|severity|present or predicted|end of the evidence URI".</param>
/// <param name="Silent">Parts that look bad and are none, as "end of the URI: why".</param>
/// <param name="Present">Parts that count, as "component count".</param>
/// <param name="Essentials">Whether what containers live on can be told.</param>
public sealed record TreeExpectation(string Tree, string System, string[] Signals, string[] Silent, string[] Present, bool Essentials = true)
{
    public override string ToString() => Tree;
}

/// <summary>Reviewed by hand against the trees' own files.</summary>
public static class TreeExpectations
{
    public static TreeExpectation[] All { get; } =
    [
        new("csm-gigabyte", "/redfish/v1/Systems/Self",
            Signals: [],
            Silent: ["/Power#/PowerControl/0: Health Critical, but State Disabled"],
            Present: ["Memory 16", "Processor 2", "Temperature 17"]),

        // The host is off: State Disabled and StandbyOffline everywhere, collections empty. Nothing is known, and that is not health.
        new("csm-openbmc-stock", "/redfish/v1/Systems/system",
            Signals: [],
            Silent: ["/Systems/system: off"],
            Present: ["Memory 0", "Drive 0", "Fan 0"],
            Essentials: false),

        new("dell-idrac9-xr8620t", "/redfish/v1/Systems/System.Embedded.1",
            Signals: [],
            Silent:
            [
                "/PowerSupplies/PSU.ChassisSlot.2-2-2: Health Critical for ever, because the bay is empty (State Absent)",
                "/Power#/PowerSupplies/1: the same in the deprecated resource",
                "/PSU.ChassisSlot.2-2-2/Metrics: Health Critical copied from the empty bay",
                "/Systems/System.Embedded.1: HealthRollup Critical because of the empty bay",
                "/ThermalSubsystem: Health Critical because of the empty bay",
                "/PowerSupplies/PSU.ChassisSlot.1-1-1: LineInputStatus OutOfRange of a supply that is OK",
                "/FaultList/Entries/Fault_03200002_1: PSUA0016, a part that is absent",
                "/FaultList/Entries/Fault_03200003_1: HWC8010, configuration",
                "/FaultList/Entries/Fault_03200004_1: FAN0030, configuration",
            ],
            Present: ["Memory 8", "Processor 1", "Accelerator 1", "Volume 2"]),

        new("dmtf-public-localstorage", "/redfish/v1/Systems/437XR1138R2",
            Signals: ["PowerSupply|Power Supply Bay|Degraded|Warning|present|/Power#/PowerSupplies/0"],
            Silent: [],
            Present: ["Memory 3", "Drive 4", "Volume 3", "StorageController 1"]),

        new("dmtf-public-rackmount1", "/redfish/v1/Systems/437XR1138R2",
            Signals:
            [
                "PowerSupply|Power Supply Bay 1|PredictedFailure|Warning|predicted|/PowerSupplies/Bay1",
                "PowerSupply|Power Supply Bay 1|Degraded|Warning|present|/PowerSupplies/Bay1",
                // Another serial number than Bay1 has, so it cannot be taken for the same supply.
                "PowerSupply|Power Supply Bay|Degraded|Warning|present|/Power#/PowerSupplies/0",
                "Temperature|CPU #1 Temperature|OverTemperature|Warning|present|/Sensors/CPU1Temp",
                "Drive|SATA Bay 2|Degraded|Warning|present|/SimpleStorage/1#/Devices/1",
            ],
            Silent:
            [
                "/Systems/437XR1138R2: its condition is the sensor's, told once",
                "/Processors/CPU1: Health OK; its condition is the sensor's, told once",
                "/PowerSupplies/Bay1/Metrics: Health copied from the supply",
            ],
            Present: ["Memory 3", "Battery 1", "Accelerator 1"]),

        new("dmtf-public-tower", "/redfish/v1/Systems/437XR1238R2",
            // At two URIs, one serial number.
            Signals: ["PowerSupply|Power Supply Bay 1|Degraded|Warning|present|/PowerSupplies/Bay1"],
            Silent: ["/Power#/PowerSupplies/0: the same supply in the deprecated resource"],
            Present: ["Memory 8", "Processor 8", "Accelerator 2", "Drive 10", "Volume 5", "PcieDevice 9"]),

        new("hpe-ilo-dl325_gen10plus_fc", "/redfish/v1/Systems/1",
            Signals: [],
            Silent:
            [
                "/Chassis/1/Devices/1: an adapter whose link is down; its NetworkAdapter is OK",
                "/Chassis/1/Devices/4: the same",
                "/AggregateHealthStatus/Network: the sum of these",
            ],
            Present: ["Memory 4", "Processor 1", "Drive 2", "PowerSupply 2", "Fan 6"]),

        new("hpe-ilo-dl360_gen12", "/redfish/v1/Systems/1",
            Signals: [],
            Silent: ["/Drives/0: StandbyOffline", "/Drives/1: StandbyOffline"],
            Present: ["Memory 16", "Processor 2", "Drive 0", "PowerSupply 2"]),

        // The RAID lists two drives that the tree does not have: how they are is not known.
        new("lenovo-xcc-bmclib", "/redfish/v1/Systems/1",
            Signals: [],
            Silent: [],
            Present: ["Memory 0", "PowerSupply 2", "Volume 1", "StorageController 1"],
            Essentials: false),

        // The host is off: every fan and temperature is Absent.
        new("supermicro-x10sdv", "/redfish/v1/Systems/1",
            Signals: [],
            Silent: [],
            Present: ["Memory 4", "Processor 1", "Fan 0", "Temperature 0"]),

        new("sushy-tools-fake", "/redfish/v1/Systems/27946b59-9e44-4fa7-8e91-f3527a1ef094",
            Signals: [],
            Silent: [],
            Present: ["Fan 2", "Temperature 2", "Memory 0"]),
    ];
}
