using Evacuator.Evacuation;
using Evacuator.Journal;
using static Evacuator.Journal.WitnessInput;
using static Evacuator.Journal.WitnessPhase;

namespace Evacuator.Tests.Journal;

public sealed class WitnessMachineTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    [Theory]
    [InlineData("On", NotOff)]
    [InlineData("PoweringOff", NotOff)]
    [InlineData("Unknown", CannotTell)]
    [InlineData(null, CannotTell)]
    public void Step_TimeIsOver_WhatWasReadLastDecidesAndUnknownIsNotOff(string? last, object end) =>
        Assert.Equal((WitnessPhase)end, WitnessMachine.Step(State() with { LastPowerState = last }, new Expired(), Now).Next!.Phase);

    [Fact]
    public void Step_SingleOffRead_IsNotVerified() =>
        Assert.Equal(Watching, WitnessMachine.Step(State(), new Read("Off", ""), Now).Next!.Phase);

    [Fact]
    public void Step_SeenOff_IsVerifiedAndDated()
    {
        WitnessState off = WitnessMachine.Step(State(), new SeenOff("Off in 2 reads"), Now).Next!;
        Assert.Equal((VerifiedOff, "Off", Now), (off.Phase, off.LastPowerState, off.Ended));
    }

    [Fact]
    public void Step_ForceTwiceOrWithoutPermission_IsRefused()
    {
        Assert.False(WitnessMachine.Step(State(), new Forcing(), Now).IsOk);
        WitnessState forced = WitnessMachine.Step(State() with { ForceFrom = Now }, new Forcing(), Now).Next!;
        Assert.Equal(Now, forced.Forced);
        Assert.False(WitnessMachine.Step(forced, new Forcing(), Now).IsOk);
    }

    [Theory]
    [InlineData(VerifiedOff)]
    [InlineData(NotOff)]
    [InlineData(CannotTell)]
    public void Step_WithdrawnAfterItsEnd_ChangesNothing(object end) =>
        Assert.False(WitnessMachine.Step(State() with { Phase = (WitnessPhase)end }, new Withdraw(), Now).IsOk);

    private static WitnessState State() => new()
    {
        EvacuationId = Guid.NewGuid(),
        Node = "node1",
        Phase = Watching,
        BmcUrl = "https://bmc",
        Started = Now,
        Until = Now.AddMinutes(1),
        Report = new EvacuationReport
        {
            Id = Guid.NewGuid(), Node = "node1", State = EvacuationPhase.PoweringOff, Summary = "", Trigger = TriggerKind.Operator, Reason = "", RequestedBy = "", Started = Now,
            TotalSeconds = 0, Problem = "", Containers = [], ExcludedPeers = [], Emptiness = new EmptinessProof(true, []), Power = new PowerReport(true, null, null, null, null, false), Notes = [],
        },
    };
}
