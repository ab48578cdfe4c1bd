using Evacuator.Health;
using Evacuator.Redfish.Health;

namespace Evacuator.Tests.Health;

public sealed class HealthJudgeTests
{
    private static readonly HealthKnowledge Knows = new(true, "", Signals.Start);

    [Theory]
    // What containers live on says that it will fail.
    [InlineData("Memory", "CorrectableErrorThreshold", "Warning", true, "Evacuate")]
    [InlineData("Memory", "PredictedFailure", "Critical", true, "Evacuate")]
    [InlineData("Drive", "PredictedFailure", "Warning", true, "Evacuate")]
    [InlineData("PowerSupply", "PredictedFailure", "Warning", true, "Evacuate")]
    [InlineData("Processor", "PredictedFailure", "Warning", true, "Evacuate")]
    // Or has failed.
    [InlineData("Memory", "UncorrectableError", "Critical", false, "Evacuate")]
    [InlineData("Memory", "Failed", "Critical", false, "Evacuate")]
    [InlineData("Processor", "UncorrectableError", "Critical", false, "Evacuate")]
    [InlineData("Drive", "Failed", "Critical", false, "Evacuate")]
    [InlineData("Drive", "MediaWear", "Critical", true, "Evacuate")]
    [InlineData("StorageController", "Failed", "Critical", false, "Evacuate")]
    // The host may go down.
    [InlineData("Temperature", "OverTemperature", "Critical", false, "Urgent")]
    [InlineData("Coolant", "LeakDetected", "Critical", false, "Urgent")]
    // A person should look.
    [InlineData("PowerSupply", "RedundancyLost", "Critical", false, "Notify")]
    [InlineData("Fan", "RedundancyLost", "Warning", false, "Notify")]
    [InlineData("PowerSupply", "Failed", "Critical", false, "Notify")]
    [InlineData("PowerSupply", "InputPowerLost", "Warning", false, "Notify")]
    [InlineData("Fan", "Failed", "Critical", false, "Notify")]
    [InlineData("Fan", "PredictedFailure", "Warning", true, "Notify")]
    [InlineData("Drive", "MediaWear", "Warning", true, "Notify")]
    [InlineData("Drive", "Degraded", "Warning", false, "Notify")]
    [InlineData("Temperature", "OverTemperature", "Warning", false, "Notify")]
    [InlineData("Accelerator", "Failed", "Critical", false, "Notify")]
    [InlineData("NetworkAdapter", "Failed", "Critical", false, "Notify")]
    [InlineData("Manager", "Failed", "Critical", false, "Notify")]
    [InlineData("Battery", "PredictedFailure", "Critical", true, "Notify")]
    public void OneRead_DefaultRules_MeansWhatIsShipped(string component, string kind, string severity, bool predicted, string verdict)
    {
        Signal signal = Signals.Make(Enum.Parse<ComponentKind>(component), Enum.Parse<SignalKind>(kind), Enum.Parse<SignalSeverity>(severity), predicted);
        Assert.Equal(Enum.Parse<Verdict>(verdict), HealthJudge.OfOneRead([signal], null, true, "", SignalRules.Default).Verdict);
    }

    [Fact]
    public void NoSignals_EverythingRead_IsOkAndNotEverything_IsUnknown()
    {
        Assert.Equal(Verdict.Ok, HealthJudge.OfOneRead([], [], true, "", SignalRules.Default).Verdict);
        HealthJudgement silent = HealthJudge.OfOneRead([], [], false, "memory: 503", SignalRules.Default);
        Assert.Equal((Verdict.Unknown, "memory: 503"), (silent.Verdict, silent.Why));
    }

    [Fact]
    public void Doubt_BesideASignal_DoesNotHideIt() =>
        Assert.Equal(Verdict.Evacuate, HealthJudge.OfOneRead([Signals.Dimm()], [], false, "storage: timeout", SignalRules.Default).Verdict);

    [Theory]
    // reads, events, minutes from the first read to the last, shown now, called off → stage, verdict
    [InlineData(0, 1, 0, false, false, "Announced", "Notify")]
    [InlineData(0, 9, 0, false, false, "Announced", "Notify")]
    [InlineData(1, 0, 0, true, false, "Unconfirmed", "Notify")]
    [InlineData(5, 0, 1, true, false, "Unconfirmed", "Notify")]
    [InlineData(2, 0, 2, true, false, "Confirmed", "Evacuate")]
    [InlineData(1, 1, 0, true, false, "Confirmed", "Evacuate")]
    [InlineData(9, 9, 60, false, false, "Fading", "Notify")]
    [InlineData(9, 9, 60, true, true, "Fading", "Notify")]
    public void Persistence_ReadsAndEvents_Table(int reads, int events, int minutes, bool shown, bool calledOff, string stage, string verdict)
    {
        Signal signal = Signals.Dimm() with { LastSeen = Signals.Start.AddMinutes(minutes) };
        HealthJudgement judged = HealthJudge.Judge(Facts(new KnownSignal(signal, reads, events, signal.FirstSeen, shown, calledOff)), SignalRules.Default);
        Assert.Equal((Enum.Parse<Verdict>(verdict), Enum.Parse<SignalStage>(stage)), (judged.Verdict, judged.Signals[0].Stage));
    }

    [Fact]
    public void Unconfirmed_SaysWhenAnotherReadConfirms()
    {
        HealthJudgement judged = HealthJudge.Judge(Facts(new KnownSignal(Signals.Dimm(), 1, 0, Signals.Start, true, false)), SignalRules.Default);
        Assert.Equal(Signals.Start.AddMinutes(2), judged.Signals[0].ConfirmAt);
        Assert.Contains("once it is confirmed", judged.Signals[0].Why, StringComparison.Ordinal);
    }

    [Fact]
    public void Urgent_OneRead_IsEnoughAndAMessageIsNot()
    {
        Signal hot = Signals.Make(ComponentKind.Temperature, SignalKind.OverTemperature, SignalSeverity.Critical);
        Assert.Equal(Verdict.Urgent, HealthJudge.Judge(Facts(new KnownSignal(hot, 1, 0, Signals.Start, true, false)), SignalRules.Default).Verdict);
        Assert.Equal(Verdict.Notify, HealthJudge.Judge(Facts(new KnownSignal(hot, 0, 5, Signals.Start, false, false)), SignalRules.Default).Verdict);
    }

    [Fact]
    public void Event_ByAnotherNameAboutTheSamePart_ConfirmsTheRead()
    {
        Signal read = Signals.Dimm() with { Evidence = "/redfish/v1/Memory/A1/MemoryMetrics", Part = "/redfish/v1/Memory/A1" };
        Signal told = Signals.Make(ComponentKind.Memory, SignalKind.PredictedFailure, predicted: true, name: "DIMM A1", uri: "/redfish/v1/Memory/A1/") with { Part = "/redfish/v1/Memory/A1/#DIMM A1" };
        Signal other = told with { Evidence = "/redfish/v1/Memory/A2", Part = "/redfish/v1/Memory/A2#DIMM A1" };
        KnownSignal known = new(read, 1, 0, Signals.Start, true, false);
        Assert.Equal(Verdict.Evacuate, HealthJudge.Judge(Facts(known, new KnownSignal(told, 0, 1, Signals.Start, false, false)), SignalRules.Default).Verdict);
        Assert.Equal(Verdict.Notify, HealthJudge.Judge(Facts(known, new KnownSignal(other, 0, 1, Signals.Start, false, false)), SignalRules.Default).Verdict);
    }

    [Fact]
    public void Gone_NotYetSettled_IsNotHealth()
    {
        GoneSignal gone = new("k", "predicted-failure of memory A1", Signals.Start, Signals.Start);
        HealthJudgement judged = HealthJudge.Judge(Facts() with { Gone = [gone] }, SignalRules.Default);
        Assert.Equal(Verdict.Notify, judged.Verdict);
        Assert.Contains("not shown any more", judged.Why, StringComparison.Ordinal);
    }

    [Theory]
    // Health of the other supply, whether it is there, whether it has a signal → urgent?
    [InlineData("Ok", true, false, "Notify")]
    [InlineData("None", true, false, "Notify")]
    [InlineData("Critical", true, true, "Urgent")]
    [InlineData("Ok", true, true, "Urgent")]
    [InlineData("Ok", false, false, "Urgent")]
    public void PowerSupply_Fails_UrgentWhenItIsTheLast(string otherHealth, bool otherCounts, bool otherHasSignal, string verdict)
    {
        Signal failing = Signals.Make(ComponentKind.PowerSupply, SignalKind.Failed, SignalSeverity.Critical, name: "1");
        Signal cable = Signals.Make(ComponentKind.PowerSupply, SignalKind.InputPowerLost, name: "2");
        ComponentReading[] parts =
        [
            Signals.Part(ComponentKind.PowerSupply, "1", SignalSeverity.Critical),
            Signals.Part(ComponentKind.PowerSupply, "2", Enum.Parse<SignalSeverity>(otherHealth), otherCounts),
        ];
        Assert.Equal(Enum.Parse<Verdict>(verdict), HealthJudge.OfOneRead(otherHasSignal ? [failing, cable] : [failing], parts, true, "", SignalRules.Default).Verdict);
    }

    [Fact]
    public void Rules_OwnOnesComeFirst_AndDecide()
    {
        SignalRules rules = new([
            new SignalRule { Name = "known-bad", Action = RuleAction.Ignore, Part = "sna1" },
            new SignalRule { Name = "off", Action = RuleAction.EvacuateAndPowerOff, Messages = ["PDR16"] },
            .. SignalRules.Default.All,
        ]);
        Signal drive = Signals.Make(ComponentKind.Drive, SignalKind.PredictedFailure, predicted: true, messageId: "IDRAC.2.8.PDR16");
        Assert.Equal(Verdict.Ok, HealthJudge.OfOneRead([Signals.Dimm()], [], true, "", rules).Verdict);
        Assert.Equal(Verdict.EvacuateAndPowerOff, HealthJudge.OfOneRead([Signals.Dimm(), drive], [], true, "", rules).Verdict);
        Assert.Equal(Verdict.Evacuate, HealthJudge.OfOneRead([drive with { MessageId = "PDR1016" }], [], true, "", rules).Verdict);
    }

    private static HealthFacts Facts(params KnownSignal[] signals) => new() { Knowledge = Knows, Signals = signals, Now = Signals.Start.AddHours(2) };
}
