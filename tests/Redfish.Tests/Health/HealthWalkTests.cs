using Evacuator.Redfish.Health;
using Evacuator.Redfish.Resources;
using Evacuator.Redfish.Tests.Resources;
using Evacuator.Testing;

namespace Evacuator.Redfish.Tests.Health;

public sealed class HealthWalkTests
{
    [Fact]
    public async Task Walk_HealthyMachine_IsCompleteAndSilent()
    {
        HealthReading reading = await ModelTree.Healthy().WalkAsync();
        Assert.Empty(reading.Signals);
        Assert.Empty(reading.Warnings);
        Assert.True(reading.IsComplete);
        Assert.Equal(AreaState.Known, reading[HealthArea.Memory].State);
        Assert.Equal(AreaState.NotOffered, reading[HealthArea.Pcie].State);
    }

    /// <summary>One part, one property: what must be said of it.</summary>
    [Theory]
    [InlineData(ModelTree.Drive, "FailurePredicted", "true", "Drive PredictedFailure Warning predicted")]
    [InlineData(ModelTree.Drive, "FailurePredicted", "\"true\"", "Drive PredictedFailure Warning predicted")]
    [InlineData(ModelTree.Drive, "StatusIndicator", "\"PredictiveFailureAnalysis\"", "Drive PredictedFailure Warning predicted")]
    [InlineData(ModelTree.Drive, "StatusIndicator", "\"Fail\"", "Drive Failed Critical present")]
    [InlineData(ModelTree.Drive, "PredictedMediaLifeLeftPercent", "8", "Drive MediaWear Warning predicted")]
    [InlineData(ModelTree.Drive, "PredictedMediaLifeLeftPercent", "\"3\"", "Drive MediaWear Critical predicted")]
    [InlineData(ModelTree.Drive, "Oem", """{"Dell":{"DellPhysicalDisk":{"PredictiveFailureState":"SmartAlertPresent"}}}""", "Drive PredictedFailure Warning predicted")]
    [InlineData(ModelTree.Drive, "Oem", """{"Supermicro":{"PercentageDriveLifeUsed":98}}""", "Drive MediaWear Critical predicted")]
    [InlineData(ModelTree.Drive, "DiskDriveStatusReasons", "[\"PredictiveFail\"]", "Drive PredictedFailure Warning predicted")]
    [InlineData(ModelTree.Metrics, "HealthData", """{"AlarmTrips":{"CorrectableECCError":true}}""", "Memory CorrectableErrorThreshold Warning predicted")]
    [InlineData(ModelTree.Metrics, "HealthData", """{"AlarmTrips":{"UncorrectableECCError":true}}""", "Memory UncorrectableError Critical present")]
    [InlineData(ModelTree.Metrics, "HealthData", """{"AlarmTrips":{"AddressParityError":true}}""", "Memory UncorrectableError Critical present")]
    [InlineData(ModelTree.Metrics, "HealthData", """{"AlarmTrips":{"Temperature":true}}""", "Memory OverTemperature Warning present")]
    [InlineData(ModelTree.Metrics, "HealthData", """{"DataLossDetected":true}""", "Memory DataLoss Critical present")]
    [InlineData(ModelTree.Dimm, "Oem", """{"Hpe":{"DIMMStatus":"DegradedCorrectableErrors"}}""", "Memory CorrectableErrorThreshold Warning predicted")]
    [InlineData(ModelTree.Dimm, "Status", """{"State":"Enabled","Health":"Critical"}""", "Memory Failed Critical present")]
    [InlineData(ModelTree.Dimm, "Oem", """{"Nvidia":{"RowRemappingFailed":true}}""", "Memory UncorrectableError Critical present")]
    [InlineData(ModelTree.Dimm, "Oem", """{"Nvidia":{"RowRemappingPending":true}}""", "Memory CorrectableErrorThreshold Warning predicted")]
    [InlineData(ModelTree.Cpu, "Status", """{"State":"Enabled","Health":"Warning"}""", "Processor Degraded Warning present")]
    [InlineData(ModelTree.Supply, "Status", """{"State":"Enabled","Health":"Critical"}""", "PowerSupply Failed Critical present")]
    [InlineData(ModelTree.Supply, "LineInputStatus", "\"LossOfInput\"", "PowerSupply InputPowerLost Warning present")]
    [InlineData(ModelTree.Fan, "Status", """{"State":"Enabled","Health":"Critical"}""", "Fan Failed Critical present")]
    [InlineData(ModelTree.Leak, "DetectorState", "\"Critical\"", "Coolant LeakDetected Critical present")]
    [InlineData(ModelTree.Sensor, "Status", """{"State":"Enabled","Health":"Critical"}""", "Temperature OverTemperature Critical present")]
    [InlineData(ModelTree.Manager, "Status", """{"State":"Enabled","Health":"Warning"}""", "Manager Degraded Warning present")]
    [InlineData(ModelTree.Chassis + "/PowerSubsystem", "PowerSupplyRedundancy", """[{"Name":"Supplies","Status":{"State":"Enabled","Health":"Critical"}}]""", "PowerSupply RedundancyLost Critical present")]
    [InlineData(ModelTree.Storage + "/Volumes/1", "Status", """{"State":"Enabled","Health":"Warning"}""", "Volume Degraded Warning present")]
    [InlineData(ModelTree.System, "Oem", """{"Hpe":{"AggregateHealthStatus":{"BiosOrHardwareHealth":{"Status":{"Health":"Critical"}}}}}""", "System Failed Critical present")]
    [InlineData(ModelTree.System, "Oem", """{"Hpe":{"AggregateHealthStatus":{"FanRedundancy":"FailedRedundant"}}}""", "Fan RedundancyLost Warning present")]
    public async Task Walk_OnePropertyIsBad_GivesOneSignal(string uri, string property, string json, string expected)
    {
        HealthReading reading = await ModelTree.Healthy().Set(uri, property, json).WalkAsync();
        Assert.Equal(expected, Text(Assert.Single(reading.Signals)));
    }

    /// <summary>What looks bad and is none.</summary>
    [Theory]
    [InlineData(ModelTree.Supply, "Status", """{"State":"Absent","Health":"Critical"}""")]
    [InlineData(ModelTree.Supply, "Status", """{"State":"disabled","Health":"Critical"}""")]
    [InlineData(ModelTree.Supply, "LineInputStatus", "\"OutOfRange\"")]
    [InlineData(ModelTree.Dimm, "Status", """{"State":"UnavailableOffline","Health":"Warning"}""")]
    [InlineData(ModelTree.Drive, "Status", """{"State":"StandbyOffline","Health":"Warning"}""")]
    [InlineData(ModelTree.Manager, "Status", """{"State":"Starting","Health":"Critical"}""")]
    [InlineData(ModelTree.Sensor, "Status", """{"State":"Absent","Health":"Critical"}""")]
    [InlineData(ModelTree.Fan, "Status", """{"Health":"Critical"}""")]
    [InlineData(ModelTree.Drive, "PredictedMediaLifeLeftPercent", "0")]
    [InlineData(ModelTree.Drive, "PredictedMediaLifeLeftPercent", "-229")]
    [InlineData(ModelTree.Drive, "PredictedMediaLifeLeftPercent", "255")]
    [InlineData(ModelTree.Drive, "FailurePredicted", "null")]
    [InlineData(ModelTree.Metrics, "HealthData", """{"PredictedMediaLifeLeftPercent":1}""")]
    [InlineData(ModelTree.Metrics, "LifeTime", """{"UncorrectableECCErrorCount":3}""")]
    [InlineData(ModelTree.System, "Status", """{"State":"Enabled","Health":"Warning","HealthRollup":"Critical"}""")]
    [InlineData(ModelTree.Storage, "Status", """{"State":"Enabled","Health":"OK","HealthRollup":"Warning"}""")]
    [InlineData(ModelTree.System, "Oem", """{"Hpe":{"AggregateHealthStatus":{"Network":{"Status":{"Health":"Warning"}},"PowerSupplyRedundancy":"NonRedundant"}}}""")]
    public async Task Walk_PropertyOnlyLooksBad_GivesNoSignal(string uri, string property, string json)
    {
        HealthReading reading = await ModelTree.Healthy().Set(uri, property, json).WalkAsync();
        Assert.Empty(reading.Signals);
    }

    [Fact]
    public async Task Walk_GarbageReading_IsNoSignal()
    {
        HealthReading reading = await ModelTree.Healthy().Status(ModelTree.Sensor, "Enabled", "Warning").Set(ModelTree.Sensor, "Reading", "-524288.199").WalkAsync();
        Assert.Empty(reading.Signals);
        Assert.Contains("-524288", Assert.Single(reading.Warnings), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Walk_EmptyBayPredictsFailure_IsNoSignal()
    {
        ModelTree tree = ModelTree.Healthy().Put(ModelTree.Drive, """{"Id":"Disk0","Name":"M.2 slot","Model":"","SerialNumber":"","FailurePredicted":true,"Status":{"State":"Enabled","Health":"Critical"}}""");
        Assert.Empty((await tree.WalkAsync()).Signals);
    }

    [Fact]
    public async Task Walk_SameDriveAtTwoUris_IsOneSignal()
    {
        ModelTree tree = ModelTree.Healthy()
            .Set(ModelTree.Drive, "FailurePredicted", "true")
            .Set(ModelTree.Chassis, "Drives", """{"@odata.id":"/redfish/v1/Chassis/1/Drives"}""")
            .Collection(ModelTree.Chassis + "/Drives", "0")
            .Put(ModelTree.Chassis + "/Drives/0", """{"Id":"0","Name":"PM1733","Model":"PM1733","SerialNumber":"s0","FailurePredicted":true,"Status":{"State":"Enabled","Health":"Critical"}}""");
        HealthReading reading = await tree.WalkAsync();
        Signal predicted = Assert.Single(reading.Signals, signal => signal.Predicted);
        Assert.Equal("Drive PredictedFailure Critical predicted", Text(predicted));
        Assert.Equal("Bay 0, Samsung PM1733, serial S0", predicted.Location.ToString());
        Assert.Equal([ModelTree.Chassis + "/Drives/0"], predicted.AlsoAt);
    }

    [Fact]
    public async Task Walk_SlotAbsentAtOneUriAndEnabledAtTheOther_IsNoSignal()
    {
        ModelTree tree = ModelTree.Healthy()
            .Put(ModelTree.Drive, """{"Id":"M2_0","Name":"M2_0","Model":"X","FailurePredicted":true,"Status":{"State":"Absent","Health":"OK"}}""")
            .Set(ModelTree.Chassis, "Links/Drives", """[{"@odata.id":"/redfish/v1/Chassis/1/Drives/Disk0"}]""")
            .Put(ModelTree.Chassis + "/Drives/Disk0", """{"Id":"M2_0","Name":"M2_0","Model":"X","FailurePredicted":true,"Status":{"State":"Enabled","Health":"OK"}}""");
        Assert.Empty((await tree.WalkAsync()).Signals);
    }

    [Fact]
    public async Task Walk_SupplyInDeprecatedAndNewResource_IsOneSignal()
    {
        ModelTree tree = ModelTree.Healthy()
            .Status(ModelTree.Supply, "Enabled", "Warning")
            .Set(ModelTree.Chassis, "Power", """{"@odata.id":"/redfish/v1/Chassis/1/Power"}""")
            .Put(ModelTree.Chassis + "/Power", """{"PowerSupplies":[{"MemberId":"0","Name":"PS 1","SerialNumber":"PSU1-7781","Oem":{"Hpe":{"BayNumber":1}},"Status":{"State":"Enabled","Health":"Warning"}}]}""");
        Signal signal = Assert.Single((await tree.WalkAsync()).Signals);
        Assert.Equal(ModelTree.Supply, signal.Evidence);
        Assert.Equal("bay 1", signal.Location.Place);
    }

    [Fact]
    public async Task Walk_ConditionTwiceOnAPart_IsOneSignalWithItsMessage()
    {
        string condition = """{"MessageId":"Power.1.0.PowerSupplyPredictiveFailure","Severity":"Warning","MessageArgs":["PSU 1"]}""";
        ModelTree tree = ModelTree.Healthy().Set(ModelTree.Supply, "Status", $$"""{"State":"Enabled","Health":"OK","Conditions":[{{condition}},{{condition}}]}""");
        Signal signal = Assert.Single((await tree.WalkAsync()).Signals);
        Assert.Equal("PowerSupply PredictedFailure Warning predicted", Text(signal));
        Assert.Equal("Power.1.0.PowerSupplyPredictiveFailure", signal.MessageId);
    }

    [Theory]
    [InlineData("Enabled", true)]
    [InlineData("Absent", false)]
    public async Task Walk_ConditionOnTheSystemNamesItsOrigin_IsJudgedByTheOriginsState(string state, bool counts)
    {
        ModelTree tree = ModelTree.Healthy()
            .Status(ModelTree.Dimm, state, "OK")
            .Set(ModelTree.System, "Status/Conditions", $$$"""[{"MessageId":"Platform.1.0.MemoryUncorrectableError","OriginOfCondition":{"@odata.id":"{{{ModelTree.Dimm}}}"}}]""");
        HealthReading reading = await tree.WalkAsync();
        Assert.Equal(counts ? ["Memory UncorrectableError Critical present"] : [], reading.Signals.Select(Text));
    }

    [Fact]
    public async Task Walk_ConditionOfUnknownIdWithFrighteningText_LeadsToNothing()
    {
        ModelTree tree = ModelTree.Healthy().Set(ModelTree.Dimm, "Status/Conditions", """[{"MessageId":"Vendor.1.0.Whatever","Severity":"Critical","Message":"SMART failure imminent, predicted"}]""");
        Assert.Empty((await tree.WalkAsync()).Signals);
    }

    [Fact]
    public async Task Walk_OriginThatNobodyLinks_IsReadAndJudged()
    {
        ModelTree tree = ModelTree.Healthy()
            .Set(ModelTree.System, "Status/Conditions", """[{"MessageId":"Vendor.1.0.Whatever","OriginOfCondition":{"@odata.id":"/redfish/v1/Systems/1/Memory/Hidden"}}]""")
            .Put("/redfish/v1/Systems/1/Memory/Hidden", """{"@odata.type":"#Memory.v1_18_0.Memory","Name":"Hidden","Status":{"State":"Enabled","Health":"Critical"}}""");
        Assert.Equal("Memory Failed Critical present", Text(Assert.Single((await tree.WalkAsync()).Signals)));
    }

    [Theory]
    [InlineData("IDRAC.2.8.MEM0005", "Memory CorrectableErrorThreshold Critical predicted")]
    [InlineData("PDR24", null)]
    [InlineData("IDRAC.2.8.PSUA0016", null)]
    [InlineData("Vendor.1.0.Whatever", null)]
    public async Task Walk_ActiveFaultOfDell_CountsIfTheTableKnowsIt(string id, string? expected)
    {
        HealthReading reading = await WithFaults("FaultList", $$$"""{"Id":"1","Severity":"Critical","MessageId":"{{{id}}}","Message":"predicted","Oem":{"Dell":{"FQDD":"DIMM.Socket.A1"} },"Links":{"OriginOfCondition":{"@odata.id":"{{{ModelTree.System}}}"} } }""").WalkAsync();
        Assert.Equal(expected is null ? [] : [expected], reading.Signals.Select(Text));
        Assert.Equal(AreaState.Known, reading[HealthArea.Faults].State);
        Assert.All(reading.Signals, signal => Assert.Equal("DIMM.Socket.A1", signal.Location.Place));
    }

    /// <summary>An open cover makes the whole machine Critical for as long as somebody works on it; only a fault that is not known leaves a doubt.</summary>
    [Theory]
    [InlineData("IDRAC.2.9.SEC0033", true)]
    [InlineData("Vendor.1.0.Whatever", false)]
    public async Task Walk_CriticalRollupWithAListOfFaults_IsExplainedByNuisancesOnly(string id, bool knows)
    {
        ModelTree tree = WithFaults("FaultList", $$$"""{"Id":"1","Severity":"Critical","MessageId":"{{{id}}}","Message":"The chassis is open while the power is off."}""")
            .Set(ModelTree.System, "Status", """{"State":"Enabled","Health":"Critical","HealthRollup":"Critical"}""");
        HealthReading reading = await tree.WalkAsync();
        Assert.Empty(reading.Signals);
        Assert.Equal(knows, reading.KnowsEssentials);
        Assert.Contains(reading.Warnings, warning => warning.Contains(id, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Walk_ActiveLogOfLenovo_IsReadByItsCommonEventId()
    {
        HealthReading reading = await WithFaults("ActiveLog", """{"Id":"1","Severity":"Warning","Message":"Failure Predicted on Drive 3","MessageArgs":["Drive 3"],"Oem":{"Lenovo":{"CommonEventID":"FQXSPSD0002G"} } }""").WalkAsync();
        Assert.Equal("Drive PredictedFailure Warning predicted", Text(Assert.Single(reading.Signals)));
    }

    [Theory]
    [InlineData("Sel")]
    [InlineData("Lclog")]
    [InlineData("IML")]
    public async Task Walk_LogOfHistory_IsNotEvenRead(string log)
    {
        ModelTree tree = WithFaults(log, """{"Id":"1","Severity":"Critical","MessageId":"MEM0001"}""");
        TreeReader reader = tree.Reader();
        HealthReading reading = await HealthWalk.RunAsync(reader, new HealthScope(ModelTree.System), null, TimeProvider.System, CancellationToken.None);
        Assert.Empty(reading.Signals);
        Assert.DoesNotContain(reader.Reads.Keys, key => key.Contains("entries", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(ReadOutcome.Timeout)]
    [InlineData(ReadOutcome.Unavailable)]
    [InlineData(ReadOutcome.Forbidden)]
    [InlineData(ReadOutcome.Malformed)]
    [InlineData(ReadOutcome.TooLarge)]
    public async Task Walk_PartIsThereButNotReadable_LeavesItsAreaInDoubt(ReadOutcome outcome)
    {
        HealthReading reading = await ModelTree.Healthy().Fail(ModelTree.Dimm, outcome).WalkAsync();
        Assert.Equal(AreaState.CannotTell, reading[HealthArea.Memory].State);
        Assert.Contains(ModelTree.Dimm, reading[HealthArea.Memory].Reason, StringComparison.Ordinal);
        Assert.False(reading.IsComplete);
        Assert.False(reading.KnowsEssentials);
        Assert.Equal(AreaState.Known, reading[HealthArea.Storage].State);
    }

    /// <summary>A module that is listed and answers 404 may be the one that failed: the others are known, the area is not.</summary>
    [Theory]
    [InlineData(ModelTree.Dimm, HealthArea.Memory)]
    [InlineData(ModelTree.Drive, HealthArea.Storage)]
    [InlineData(ModelTree.Supply, HealthArea.Power)]
    public async Task Walk_MemberAnswers404_LeavesItsAreaInDoubtAndCostsNothingElse(string part, HealthArea area)
    {
        HealthReading reading = await ModelTree.Healthy().Remove(part).WalkAsync();
        Assert.Equal(AreaState.CannotTell, reading[area].State);
        Assert.All(reading.Areas.Where(each => each.Area != area), each => Assert.NotEqual(AreaState.CannotTell, each.State));
        Assert.False(reading.KnowsEssentials);
        Assert.Contains(RedfishUri.Key(part), reading.Unread);
    }

    [Fact]
    public async Task Walk_SensorAnswers404_CostsOnlyItself()
    {
        HealthReading reading = await ModelTree.Healthy().Collection(ModelTree.Chassis + "/Sensors", "Inlet", "Gone").WalkAsync();
        Assert.Equal(AreaState.Known, reading[HealthArea.Sensors].State);
        Assert.True(reading.KnowsEssentials);
    }

    [Theory]
    [InlineData("\"Critical\"", null)]
    [InlineData("\"OK\"", AreaState.Known)]
    [InlineData("\"Absent\"", AreaState.Known)]
    [InlineData("""{"State":"Enabled","Health":"critical"}""", null)]
    [InlineData("""{"state":"Enabled","health":"CRITICAL"}""", null)]
    [InlineData("""{"State":"NotPresent","Health":"Critical"}""", AreaState.Known)]
    [InlineData("""{"State":"Enabled","Health":"Severe Fault"}""", AreaState.CannotTell)]
    [InlineData("""{"State":"Enabled","Health":"N/A"}""", AreaState.Known)]
    public async Task Walk_StatusInAnotherDialect_IsReadOrLeavesADoubt(string status, AreaState? withoutSignal)
    {
        HealthReading reading = await ModelTree.Healthy().Set(ModelTree.Dimm, "Status", status).WalkAsync();
        if (withoutSignal is null)
        {
            Assert.Equal((ComponentKind.Memory, SignalKind.Failed), (Assert.Single(reading.Signals).Component, reading.Signals[0].Kind));
        }
        else
        {
            Assert.Empty(reading.Signals);
            Assert.Equal(withoutSignal, reading[HealthArea.Memory].State);
        }
    }

    [Fact]
    public async Task Walk_RootNamesNothing_FindsWhatStandsAtTheStandardsPlaces()
    {
        ModelTree tree = ModelTree.Healthy().Put("/redfish/v1", "{}").Drop(ModelTree.System, "Links").Status(ModelTree.Supply, "Enabled", "Critical");
        SystemMatch match = await SystemMatch.FindAsync(tree.Reader(), HostIdentity.Unknown, null, CancellationToken.None);
        Assert.Equal(MatchOutcome.Unique, match.Outcome);
        Assert.Equal(ComponentKind.PowerSupply, Assert.Single((await tree.WalkAsync()).Signals).Component);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Reread_ResourceWithoutType_IsJudgedByItsPlace(bool typed)
    {
        ModelTree tree = ModelTree.Healthy().Status(ModelTree.Dimm, "Enabled", "Critical");
        if (!typed)
            tree.Drop(ModelTree.Dimm, "@odata.type");
        HealthReading reading = await HealthWalk.RereadAsync(tree.Reader(), [ModelTree.Dimm], null, TimeProvider.System, CancellationToken.None);
        Assert.Equal(ComponentKind.Memory, Assert.Single(reading.Signals).Component);
    }

    /// <summary>A service that answers each request, but takes half a minute for it.</summary>
    [Fact]
    public async Task Walk_EveryAnswerTakesHalfAMinute_EndsInTimeAndIsNotHealth()
    {
        ManualTime time = new();
        HealthReading reading = await HealthWalk.RunAsync(new SlowReader(ModelTree.Healthy().Reader(), time), new HealthScope(ModelTree.System),
            HealthWalkOptions.Default with { MaxDuration = TimeSpan.FromMinutes(3) }, time, CancellationToken.None);
        Assert.Equal(7, reading.Requests);
        Assert.False(reading.KnowsEssentials);
    }

    [Fact]
    public async Task Walk_AllMembersAnswer404_LeavesTheAreaInDoubt()
    {
        HealthReading reading = await ModelTree.Healthy().Remove(ModelTree.Dimm).Remove(ModelTree.System + "/Memory/DIMM_A2").WalkAsync();
        Assert.Equal(AreaState.CannotTell, reading[HealthArea.Memory].State);
    }

    [Fact]
    public async Task Walk_PartsSayNothing_LeavesTheAreaInDoubt()
    {
        HealthReading reading = await ModelTree.Healthy().Drop(ModelTree.Cpu, "Status").WalkAsync();
        Assert.Equal(AreaState.CannotTell, reading[HealthArea.Processors].State);
    }

    [Fact]
    public async Task Walk_CriticalWithoutState_IsDoubtNotSignal()
    {
        HealthReading reading = await ModelTree.Healthy().Set(ModelTree.Fan, "Status", """{"Health":"Critical"}""").WalkAsync();
        Assert.Equal(AreaState.CannotTell, reading[HealthArea.Cooling].State);
    }

    [Fact]
    public async Task Walk_CriticalRollupThatNothingExplains_IsDoubt()
    {
        HealthReading reading = await ModelTree.Healthy().Status(ModelTree.System, "Enabled", "Critical").WalkAsync();
        Assert.Empty(reading.Signals);
        Assert.Equal(AreaState.CannotTell, reading[HealthArea.System].State);
    }

    [Fact]
    public async Task Walk_CriticalRollupOfAnEmptyBay_IsExplained()
    {
        HealthReading reading = await ModelTree.Healthy().Status(ModelTree.System, "Enabled", "Critical").Status(ModelTree.Supply, "Absent", "Critical").WalkAsync();
        Assert.Empty(reading.Signals);
        Assert.True(reading.IsComplete);
    }

    [Fact]
    public async Task Walk_BmcStopsAnswering_GivesUpInsteadOfWaitingForEachResource()
    {
        FailingAfter reader = new(ModelTree.Healthy().Reader(), 5);
        HealthReading reading = await HealthWalk.RunAsync(reader, new HealthScope(ModelTree.System), null, TimeProvider.System, CancellationToken.None);
        Assert.Equal(5 + HealthWalkOptions.Default.MaxFailuresInARow, reader.Asked);
        Assert.False(reading.KnowsEssentials);
    }

    [Fact]
    public async Task Walk_NothingReadable_KnowsNothing()
    {
        HealthReading reading = await HealthWalk.RunAsync(new TreeReader(), new HealthScope(ModelTree.System), null, TimeProvider.System, CancellationToken.None);
        Assert.False(reading.KnowsAnything);
        Assert.Equal(AreaState.CannotTell, reading[HealthArea.System].State);
    }

    [Fact]
    public async Task Walk_RequestsBeyondTheBound_StopsAndSaysSo()
    {
        HealthReading reading = await ModelTree.Healthy().WalkAsync(new HealthWalkOptions { MaxRequests = 10 });
        Assert.Equal(10, reading.Requests);
        Assert.False(reading.KnowsEssentials);
    }

    [Fact]
    public async Task Walk_Cancelled_EndsWithTheCallersCancellation()
    {
        using CancellationTokenSource source = new();
        source.Cancel();
        await Assert.ThrowsAsync<OperationCanceledException>(
            () => HealthWalk.RunAsync(ModelTree.Healthy().Reader(), new HealthScope(ModelTree.System), null, TimeProvider.System, source.Token));
    }

    [Fact]
    public async Task Walk_EnclosureSaysContainedBy_IsWalked()
    {
        ModelTree tree = ModelTree.Healthy()
            .Collection("/redfish/v1/Chassis", "1", "Enclosure")
            .Put("/redfish/v1/Chassis/Enclosure", """{"Id":"Enclosure","Links":{"ContainedBy":{"@odata.id":"/redfish/v1/Chassis/1"} },"Thermal":{"@odata.id":"/redfish/v1/Chassis/Enclosure/Thermal"} }""")
            .Put("/redfish/v1/Chassis/Enclosure/Thermal", """{"Fans":[{"Name":"Fan E","Status":{"State":"Enabled","Health":"Critical"} }]}""");
        Assert.Equal("Fan Failed Critical present", Text(Assert.Single((await tree.WalkAsync()).Signals)));
    }

    [Fact]
    public async Task Walk_ChassisOfAnotherNode_IsNotOurs()
    {
        ModelTree tree = ModelTree.Healthy()
            .Collection("/redfish/v1/Chassis", "1", "Node1")
            .Set(ModelTree.Chassis, "Links/Contains", """[{"@odata.id":"/redfish/v1/Chassis/Node1"}]""")
            .Put("/redfish/v1/Chassis/Node1", """{"Id":"Node1","Links":{"ComputerSystems":[{"@odata.id":"/redfish/v1/Systems/2"}],"ContainedBy":{"@odata.id":"/redfish/v1/Chassis/1"} },"Thermal":{"Fans":[{"Name":"Fan N","Status":{"State":"Enabled","Health":"Critical"} }]} }""");
        Assert.Empty((await tree.WalkAsync()).Signals);
    }

    [Fact]
    public async Task Walk_ControllerInlineAndInItsCollection_IsOneSignal()
    {
        string sick = """ "Name":"Controller","Status":{"State":"Enabled","Health":"Warning"} """;
        ModelTree tree = ModelTree.Healthy()
            .Set(ModelTree.Storage, "StorageControllers", $$"""[{"@odata.id":"{{ModelTree.Storage}}#/StorageControllers/0","MemberId":"0",{{sick}}}]""")
            .Set(ModelTree.Storage, "Controllers", $$"""{"@odata.id":"{{ModelTree.Storage}}/Controllers"}""")
            .Collection(ModelTree.Storage + "/Controllers", "0")
            .Put(ModelTree.Storage + "/Controllers/0", $$"""{"Id":"0",{{sick}}}""");
        Assert.Equal("StorageController Degraded Warning present", Text(Assert.Single((await tree.WalkAsync()).Signals)));
    }

    [Fact]
    public async Task Walk_PartWithoutAPlace_IsFoundByAnIdThatNamesOne()
    {
        ModelTree tree = ModelTree.Healthy().Put(ModelTree.Drive, """{"Id":"Disk.Bay.3:Enclosure.Internal.0-1","Name":"SSD 3","Model":"X","SerialNumber":"S9","FailurePredicted":true}""");
        Assert.Equal("Disk.Bay.3:Enclosure.Internal.0-1", Assert.Single((await tree.WalkAsync()).Signals).Location.Place);
    }

    [Fact]
    public async Task Walk_SmartArrayOfOldHpe_IsWalked()
    {
        string smart = ModelTree.System + "/SmartStorage";
        ModelTree tree = ModelTree.Healthy()
            .Set(ModelTree.System, "Oem", $$$"""{"Hpe":{"Links":{"SmartStorage":{"@odata.id":"{{{smart}}}"} } } }""")
            .Put(smart, $$$"""{"Links":{"ArrayControllers":{"@odata.id":"{{{smart}}}/ArrayControllers"} },"Status":{"Health":"Warning"} }""")
            .Collection(smart + "/ArrayControllers", "0")
            .Put(smart + "/ArrayControllers/0", $$$"""{"Id":"0","Name":"P408i","Status":{"State":"Enabled","Health":"OK"},"Links":{"PhysicalDrives":{"@odata.id":"{{{smart}}}/ArrayControllers/0/DiskDrives"} } }""")
            .Collection(smart + "/ArrayControllers/0/DiskDrives", "3")
            .Put(smart + "/ArrayControllers/0/DiskDrives/3", """{"@odata.type":"#HpeSmartStorageDiskDrive.v2_1_0.HpeSmartStorageDiskDrive","Id":"3","Name":"HpeSmartStorageDiskDrive","Location":"1I:1:4","Model":"EG0600","SerialNumber":"KW1","DiskDriveStatusReasons":["PredictiveFail"],"Status":{"State":"Enabled","Health":"OK"} }""");
        Signal signal = Assert.Single((await tree.WalkAsync()).Signals);
        Assert.Equal(("Drive PredictedFailure Warning predicted", "1I:1:4"), (Text(signal), signal.Location.Place));
    }

    [Fact]
    public async Task Walk_LinksArePlainStrings_AreFollowed()
    {
        ModelTree tree = ModelTree.Healthy()
            .Set(ModelTree.System, "Memory", $"\"{ModelTree.System}/Memory\"")
            .Set(ModelTree.Storage, "Drives", $"[\"{ModelTree.Drive}\"]")
            .Status(ModelTree.Dimm, "Enabled", "Critical")
            .Set(ModelTree.Drive, "FailurePredicted", "true");
        Assert.Equal(["Memory Failed Critical present", "Drive PredictedFailure Warning predicted"], (await tree.WalkAsync()).Signals.Select(Text));
    }

    [Fact]
    public async Task Walk_TwoUnnamedItemsOfOneArray_AreTwoParts()
    {
        string fan = """{"Name":"Fan","Status":{"State":"Enabled","Health":"Critical"} }""";
        ModelTree tree = ModelTree.Healthy().Set(ModelTree.Chassis, "Thermal", $$"""{"Id":"Thermal","Fans":[{{fan}},{{fan}}]}""");
        HealthReading reading = await tree.WalkAsync();
        Assert.Equal(2, reading.Signals.Select(signal => signal.Key).Distinct().Count());
    }

    private static ModelTree WithFaults(string log, string entry) => ModelTree.Healthy()
        .Set(ModelTree.Manager, "LogServices", $$"""{"@odata.id":"{{ModelTree.Manager}}/LogServices"}""")
        .Collection(ModelTree.Manager + "/LogServices", log)
        .Put($"{ModelTree.Manager}/LogServices/{log}", $$$"""{"Id":"{{{log}}}","Entries":{"@odata.id":"{{{ModelTree.Manager}}}/LogServices/{{{log}}}/Entries"} }""")
        .Put($"{ModelTree.Manager}/LogServices/{log}/Entries", $$"""{"Members":[{{entry}}]}""");

    private static string Text(Signal signal) => $"{signal.Component} {signal.Kind} {signal.Severity} {(signal.Predicted ? "predicted" : "present")}";

    private sealed class FailingAfter(IResourceReader inner, int good) : IResourceReader
    {
        public int Asked { get; private set; }

        public Task<ReadResult> ReadAsync(string uri, CancellationToken cancel) =>
            ++Asked <= good ? inner.ReadAsync(uri, cancel) : Task.FromResult(ReadResult.Failed(ReadOutcome.Timeout, "no answer in 30 s"));
    }

    private sealed class SlowReader(IResourceReader inner, ManualTime time) : IResourceReader
    {
        public Task<ReadResult> ReadAsync(string uri, CancellationToken cancel)
        {
            time.Advance(TimeSpan.FromSeconds(30));
            return inner.ReadAsync(uri, cancel);
        }
    }
}
