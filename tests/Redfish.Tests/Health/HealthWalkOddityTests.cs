using Evacuator.Redfish.Health;

namespace Evacuator.Redfish.Tests.Health;

/// <summary>Parts that say too little, or two things at once.</summary>
public sealed class HealthWalkOddityTests
{
    [Fact]
    public async Task Walk_DriveWithCapacityButWithoutModelAndSerial_IsNoEmptyBay()
    {
        ModelTree tree = ModelTree.Healthy()
            .Put(ModelTree.Drive, """{"Id":"0","CapacityBytes":480103981056,"FailurePredicted":true,"Status":{"State":"Enabled","Health":"OK"}}""");
        Signal signal = Assert.Single((await tree.WalkAsync()).Signals);
        Assert.Equal((SignalKind.PredictedFailure, SignalSeverity.Warning, true), (signal.Kind, signal.Severity, signal.Predicted));
        Assert.Equal("Drives 0", signal.Name);
    }

    [Fact]
    public async Task Walk_CriticalTemperatureWithoutReading_IsNeitherSignalNorHealth()
    {
        HealthReading reading = await ModelTree.Healthy().Status(ModelTree.Sensor, "Enabled", "Critical").Set(ModelTree.Sensor, "Reading", "null").WalkAsync();
        Assert.Empty(reading.Signals);
        Assert.False(reading.IsComplete);
    }

    [Theory]
    [InlineData("""{"Id":"D1","SerialNumber":"S","Status":{"State":"Enabled","Health":"OK"},"Status":{"State":"Enabled","Health":"Critical"}}""", false)]
    [InlineData("""{"Id":"D1","SerialNumber":"S","Status":{"State":"Enabled","Health":"OK","Health":"Critical"}}""", false)]
    [InlineData("""{"Id":"D1","SerialNumber":"S","Status":{"State":"Absent","Health":"Critical"},"Status":{"State":"Enabled","Health":"Critical"}}""", false)]
    [InlineData("""{"Id":"D1","SerialNumber":"S","Status":{"State":"Enabled","Health":"OK"},"Status":{"State":"Enabled","Health":"OK"}}""", true)]
    public async Task Walk_StatusSentTwice_IsHealthOnlyIfBothAgree(string dimm, bool complete)
    {
        HealthReading reading = await ModelTree.Healthy().Raw(ModelTree.Dimm, dimm).WalkAsync();
        Assert.Empty(reading.Signals);
        Assert.Equal(complete, reading.IsComplete);
    }

    [Fact]
    public async Task Walk_PartsWithoutLabel_AreCalledByWhatTheyAre()
    {
        ModelTree tree = ModelTree.Healthy()
            .Set(ModelTree.Chassis + "/PowerSubsystem", "PowerSupplyRedundancy", """[{"RedundancyGroup":[],"Status":{"State":"Enabled","Health":"Critical"}}]""")
            .Put(ModelTree.Sensor, """{"@odata.type":"#Sensor.v1_0_0.Sensor","Id":"t0","Name":"CPU0 Die","ReadingType":"Temperature","Reading":101,"Status":{"State":"Enabled","Health":"Critical"}}""");
        HealthReading reading = await tree.WalkAsync();
        Assert.Equal(("PowerSupplyRedundancy 0", null), Told(reading, SignalKind.RedundancyLost));
        Assert.Equal(("CPU0 Die", null), Told(reading, SignalKind.OverTemperature));

        static (string, string?) Told(HealthReading reading, SignalKind kind)
        {
            Signal found = Assert.Single(reading.Signals, signal => signal.Kind == kind);
            return (found.Name, found.Location.Place);
        }
    }

    [Fact]
    public async Task Walk_LeafWithCriticalRollupAndNoHealth_IsNeitherSignalNorHealth()
    {
        HealthReading reading = await ModelTree.Healthy().Set(ModelTree.Drive, "Status", """{"State":"Enabled","HealthRollup":"Critical"}""").WalkAsync();
        Assert.Empty(reading.Signals);
        Assert.Equal(AreaState.CannotTell, reading[HealthArea.Storage].State);
    }

    [Fact]
    public async Task Walk_UnknownCriticalConditionOnHealthyPart_IsTold()
    {
        HealthReading reading = await ModelTree.Healthy()
            .Set(ModelTree.Dimm, "Status/Conditions", """[{"Severity":"Critical","MessageId":"Foo.1.0.Bar","Message":"odd"}]""").WalkAsync();
        Assert.Empty(reading.Signals);
        Assert.Contains("Foo.1.0.Bar", Assert.Single(reading.Warnings), StringComparison.Ordinal);
    }
}
