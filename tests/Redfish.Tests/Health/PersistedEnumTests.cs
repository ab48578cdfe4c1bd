using Evacuator.Redfish.Health;

namespace Evacuator.Redfish.Tests.Health;

/// <summary>The numbers and names that stand in journals: changing one is a change of format.</summary>
public sealed class PersistedEnumTests
{
    [Fact]
    public void ComponentKind_Values_AreFrozen() => Assert.Equal(
        "Unknown=0 System=1 Chassis=2 Memory=3 Processor=4 Accelerator=5 Drive=6 Volume=7 StorageController=8 PowerSupply=9 Power=10 Fan=11 Temperature=12 Sensor=13 "
        + "PcieDevice=14 NetworkAdapter=15 Battery=16 Coolant=17 Manager=18",
        Text<ComponentKind>());

    [Fact]
    public void SignalKind_Values_AreFrozen() => Assert.Equal(
        "Unknown=0 PredictedFailure=1 Failed=2 Degraded=3 RedundancyLost=4 OverTemperature=5 UnderTemperature=6 CorrectableErrorThreshold=7 UncorrectableError=8 "
        + "MediaWear=9 DataLoss=10 LeakDetected=11 InputPowerLost=12 OutOfRange=13 Missing=14",
        Text<SignalKind>());

    [Fact]
    public void SignalSeverity_Values_AreFrozen() => Assert.Equal("None=0 Ok=1 Warning=2 Critical=3", Text<SignalSeverity>());

    private static string Text<T>()
        where T : struct, Enum => string.Join(' ', Enum.GetValues<T>().Select(value => $"{value}={Convert.ToInt32(value)}"));
}
