using System.Text;
using System.Text.Json.Nodes;
using Evacuator.Redfish.Health;
using Evacuator.Redfish.Resources;
using Evacuator.Redfish.Tests.Resources;

namespace Evacuator.Redfish.Tests.Health;

/// <summary>A small healthy server of the project's own, which tests make sick. It shows each kind of part once or twice.</summary>
internal sealed class ModelTree
{
    public const string System = "/redfish/v1/Systems/1";
    public const string Chassis = "/redfish/v1/Chassis/1";
    public const string Dimm = System + "/Memory/DIMM_A1";
    public const string Metrics = Dimm + "/MemoryMetrics";
    public const string Cpu = System + "/Processors/CPU1";
    public const string CpuMetrics = Cpu + "/ProcessorMetrics";
    public const string Storage = System + "/Storage/RAID1";
    public const string Drive = Storage + "/Drives/Disk0";
    public const string Supply = Chassis + "/PowerSubsystem/PowerSupplies/PSU1";
    public const string Fan = Chassis + "/ThermalSubsystem/Fans/Fan1";
    public const string Leak = Chassis + "/ThermalSubsystem/LeakDetection/LeakDetectors/Tray";
    public const string Sensor = Chassis + "/Sensors/Inlet";
    public const string Manager = "/redfish/v1/Managers/bmc";

    private const string Ok = """ "Status":{"State":"Enabled","Health":"OK"} """;

    private readonly Dictionary<string, JsonObject> _resources = [];
    private readonly List<Action<TreeReader>> _faults = [];

    private ModelTree()
    {
    }

    public static ModelTree Healthy()
    {
        ModelTree tree = new();
        tree.Put("/redfish/v1", """{"@odata.type":"#ServiceRoot.v1_16_0.ServiceRoot","Systems":{"@odata.id":"/redfish/v1/Systems"},"Chassis":{"@odata.id":"/redfish/v1/Chassis"},"Managers":{"@odata.id":"/redfish/v1/Managers"}}""");
        tree.Collection("/redfish/v1/Systems", "1");
        tree.Put(System, $$$"""{"@odata.type":"#ComputerSystem.v1_20_0.ComputerSystem","Id":"1","Name":"System","UUID":"9a0f27f2-6b43-4b0e-8f52-0d6f3a1c2b11","SerialNumber":"EVA0001","PowerState":"On",{{{Ok}}},"Memory":{"@odata.id":"{{{System}}}/Memory"},"Processors":{"@odata.id":"{{{System}}}/Processors"},"Storage":{"@odata.id":"{{{System}}}/Storage"},"Links":{"Chassis":[{"@odata.id":"{{{Chassis}}}"}],"ManagedBy":[{"@odata.id":"{{{Manager}}}"}]},"Actions":{"#ComputerSystem.Reset":{"target":"{{{System}}}/Actions/ComputerSystem.Reset"} } }""");
        tree.Collection(System + "/Memory", "DIMM_A1", "DIMM_A2");
        foreach (string name in (string[])["A1", "A2"])
        {
            tree.Put($"{System}/Memory/DIMM_{name}", $$$"""{"@odata.type":"#Memory.v1_18_0.Memory","Id":"DIMM_{{{name}}}","Name":"DIMM {{{name}}}","DeviceLocator":"PROC 1 DIMM {{{name}}}","CapacityMiB":32768,"MemoryType":"DRAM","PartNumber":"MTC20","SerialNumber":"4F2A{{{name}}}",{{{Ok}}},"Metrics":{"@odata.id":"{{{System}}}/Memory/DIMM_{{{name}}}/MemoryMetrics"}}""");
            tree.Put($"{System}/Memory/DIMM_{name}/MemoryMetrics", """{"@odata.type":"#MemoryMetrics.v1_7_0.MemoryMetrics","Id":"MemoryMetrics","HealthData":{"AlarmTrips":{"CorrectableECCError":false,"UncorrectableECCError":false,"AddressParityError":false,"SpareBlock":false,"Temperature":false},"DataLossDetected":null},"LifeTime":{"CorrectableECCErrorCount":17,"UncorrectableECCErrorCount":0}}""");
        }
        tree.Collection(System + "/Processors", "CPU1");
        tree.Put(Cpu, $$$"""{"@odata.type":"#Processor.v1_19_0.Processor","Id":"CPU1","Name":"CPU 1","Socket":"Proc 1","ProcessorType":"CPU","Model":"EPYC",{{{Ok}}},"Metrics":{"@odata.id":"{{{CpuMetrics}}}"}}""");
        tree.Put(CpuMetrics, """{"@odata.type":"#ProcessorMetrics.v1_6_0.ProcessorMetrics","Id":"ProcessorMetrics","CorrectableCoreErrorCount":0,"UncorrectableCoreErrorCount":0}""");
        tree.Collection(System + "/Storage", "RAID1");
        tree.Put(Storage, $$$"""{"@odata.type":"#Storage.v1_15_0.Storage","Id":"RAID1","Name":"RAID",{{{Ok}}},"StorageControllers":[{"@odata.id":"{{{Storage}}}#/StorageControllers/0","MemberId":"0","Name":"Controller",{{{Ok}}}}],"Drives":[{"@odata.id":"{{{Drive}}}"},{"@odata.id":"{{{Storage}}}/Drives/Disk1"}],"Volumes":{"@odata.id":"{{{Storage}}}/Volumes"}}""");
        tree.Put(Drive, $$$"""{"@odata.type":"#Drive.v1_18_0.Drive","Id":"Disk0","Name":"Disk 0","Model":"PM1733","Manufacturer":"Samsung","SerialNumber":"S0","MediaType":"SSD","Protocol":"NVMe","FailurePredicted":false,"PredictedMediaLifeLeftPercent":97,"PhysicalLocation":{"PartLocation":{"ServiceLabel":"Bay 0"}},{{{Ok}}}}""");
        tree.Put(Storage + "/Drives/Disk1", $$$"""{"@odata.type":"#Drive.v1_18_0.Drive","Id":"Disk1","Name":"Disk 1","Model":"ST2000","SerialNumber":"S1","MediaType":"HDD","FailurePredicted":false,"PredictedMediaLifeLeftPercent":0,{{{Ok}}}}""");
        tree.Collection(Storage + "/Volumes", "1");
        tree.Put(Storage + "/Volumes/1", $$$"""{"@odata.type":"#Volume.v1_10_0.Volume","Id":"1","Name":"Volume 1",{{{Ok}}}}""");
        tree.Collection("/redfish/v1/Chassis", "1");
        tree.Put(Chassis, $$$"""{"@odata.type":"#Chassis.v1_25_0.Chassis","Id":"1","Name":"Chassis",{{{Ok}}},"PowerSubsystem":{"@odata.id":"{{{Chassis}}}/PowerSubsystem"},"ThermalSubsystem":{"@odata.id":"{{{Chassis}}}/ThermalSubsystem"},"Sensors":{"@odata.id":"{{{Chassis}}}/Sensors"},"Links":{"ComputerSystems":[{"@odata.id":"{{{System}}}"}]}}""");
        tree.Put(Chassis + "/PowerSubsystem", $$$"""{"@odata.type":"#PowerSubsystem.v1_1_0.PowerSubsystem","Id":"PowerSubsystem","Name":"Power",{{{Ok}}},"PowerSupplies":{"@odata.id":"{{{Chassis}}}/PowerSubsystem/PowerSupplies"},"PowerSupplyRedundancy":[{"Name":"Supplies",{{{Ok}}}}]}""");
        tree.Collection(Chassis + "/PowerSubsystem/PowerSupplies", "PSU1", "PSU2");
        foreach (string name in (string[])["PSU1", "PSU2"])
            tree.Put($"{Chassis}/PowerSubsystem/PowerSupplies/{name}", $$$"""{"@odata.type":"#PowerSupply.v1_5_0.PowerSupply","Id":"{{{name}}}","Name":"{{{name}}}","Model":"P800","SerialNumber":"{{{name}}}-7781",{{{Ok}}}}""");
        tree.Put(Chassis + "/ThermalSubsystem", $$"""{"@odata.type":"#ThermalSubsystem.v1_3_0.ThermalSubsystem","Id":"ThermalSubsystem","Name":"Thermal",{{Ok}},"Fans":{"@odata.id":"{{Chassis}}/ThermalSubsystem/Fans"},"LeakDetection":{"@odata.id":"{{Chassis}}/ThermalSubsystem/LeakDetection"} }""");
        tree.Collection(Chassis + "/ThermalSubsystem/Fans", "Fan1");
        tree.Put(Fan, $$$"""{"@odata.type":"#Fan.v1_5_0.Fan","Id":"Fan1","Name":"Fan 1",{{{Ok}}}}""");
        tree.Put(Chassis + "/ThermalSubsystem/LeakDetection", $$"""{"@odata.type":"#LeakDetection.v1_0_0.LeakDetection","Id":"LeakDetection","Name":"Leaks",{{Ok}},"LeakDetectors":{"@odata.id":"{{Chassis}}/ThermalSubsystem/LeakDetection/LeakDetectors"} }""");
        tree.Collection(Chassis + "/ThermalSubsystem/LeakDetection/LeakDetectors", "Tray");
        tree.Put(Leak, $$$"""{"@odata.type":"#LeakDetector.v1_0_0.LeakDetector","Id":"Tray","Name":"Tray","DetectorState":"OK",{{{Ok}}}}""");
        tree.Collection(Chassis + "/Sensors", "Inlet");
        tree.Put(Sensor, $$$"""{"@odata.type":"#Sensor.v1_9_0.Sensor","Id":"Inlet","Name":"Inlet","ReadingType":"Temperature","ReadingUnits":"Cel","Reading":24,{{{Ok}}}}""");
        tree.Collection("/redfish/v1/Managers", "bmc");
        tree.Put(Manager, $$$"""{"@odata.type":"#Manager.v1_19_0.Manager","Id":"bmc","Name":"BMC",{{{Ok}}}}""");
        return tree;
    }

    public ModelTree Put(string uri, string json)
    {
        JsonObject resource = JsonNode.Parse(json)!.AsObject();
        resource["@odata.id"] ??= uri;
        _resources[uri] = resource;
        return this;
    }

    /// <summary>What is answered byte by byte, for what no JSON writer makes.</summary>
    public ModelTree Raw(string uri, string json)
    {
        _faults.Add(reader => reader.Put(uri, json));
        return this;
    }

    /// <summary>Sets one property, by its path with slashes, to a JSON value.</summary>
    public ModelTree Set(string uri, string path, string json)
    {
        JsonObject target = _resources[uri];
        string[] names = path.Split('/');
        foreach (string name in names[..^1])
            target = (target[name] ??= new JsonObject()).AsObject();
        target[names[^1]] = JsonNode.Parse(json);
        return this;
    }

    public ModelTree Status(string uri, string state, string health) => Set(uri, "Status", $$$"""{"State":"{{{state}}}","Health":"{{{health}}}"}""");

    public ModelTree Remove(string uri)
    {
        _resources.Remove(uri);
        return this;
    }

    public ModelTree Drop(string uri, string path)
    {
        JsonObject target = _resources[uri];
        string[] names = path.Split('/');
        foreach (string name in names[..^1])
            target = target[name]!.AsObject();
        target.Remove(names[^1]);
        return this;
    }

    public ModelTree Fail(string uri, ReadOutcome outcome)
    {
        _faults.Add(reader => reader.Fail(uri, outcome, outcome.ToString()));
        return this;
    }

    public ModelTree Collection(string uri, params string[] ids) =>
        Put(uri, $$"""{"@odata.type":"#{{RedfishUri.LastSegment(uri)}}Collection.Collection","Members":[{{string.Join(',', ids.Select(id => $$"""{"@odata.id":"{{uri}}/{{id}}"}"""))}}]}""");

    public TreeReader Reader()
    {
        TreeReader reader = new();
        foreach ((string uri, JsonObject resource) in _resources)
            reader.Put(uri, Encoding.UTF8.GetBytes(resource.ToJsonString()));
        foreach (Action<TreeReader> fault in _faults)
            fault(reader);
        return reader;
    }

    public Task<HealthReading> WalkAsync(HealthWalkOptions? options = null) =>
        HealthWalk.RunAsync(Reader(), new HealthScope(System), options, TimeProvider.System, CancellationToken.None);
}
