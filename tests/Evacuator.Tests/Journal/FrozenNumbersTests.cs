using Evacuator.Homecoming;
using Evacuator.Journal;

namespace Evacuator.Tests.Journal;

/// <summary>Numbers in journals that exist already: they may be added to, never changed.</summary>
public sealed class FrozenNumbersTests
{
    [Fact]
    public void EvacuationPhase_Numbers_AreThoseOfExistingJournals() => Assert.Equal(
        "None=0 Closing=1 Planning=2 Moving=3 Proving=4 ArrangingPowerOff=5 PoweringOff=6 Done=7 Failed=8 Cancelling=9 Cancelled=10", Numbers<EvacuationPhase>());

    [Fact]
    public void MovePhase_Numbers_AreThoseOfExistingJournals() => Assert.Equal(
        "None=0 Planned=1 Reserving=2 Moving=3 Moved=4 Stayed=5 Blocked=6 Cancelled=7 Unknown=8 Gone=9", Numbers<MovePhase>());

    [Fact]
    public void MoveMode_Numbers_AreThoseOfExistingJournals() => Assert.Equal("None=0 Live=1 StopAndStart=2 Rehearsal=3", Numbers<Evacuator.Common.AgentApi.MoveMode>());

    [Fact]
    public void MoveRung_Numbers_AreThoseOfExistingJournals() => Assert.Equal("None=0 Live=1 LiveSlowed=2 PostCopy=3 Stopped=4", Numbers<Evacuator.Common.AgentApi.MoveRung>());

    [Fact]
    public void WitnessPhase_Numbers_AreThoseOfExistingJournals() => Assert.Equal(
        "None=0 Watching=1 VerifiedOff=2 NotOff=3 Withdrawn=4 CannotTell=5", Numbers<WitnessPhase>());

    [Fact]
    public void TriggerKind_Numbers_AreThoseOfExistingJournals() => Assert.Equal("None=0 Operator=1 Signal=2 Window=3 Shutdown=4", Numbers<TriggerKind>());

    [Fact]
    public void HomecomingPhase_Numbers_AreThoseOfExistingJournals() => Assert.Equal(
        "None=0 Planning=1 Moving=2 Done=3 Partial=4 Failed=5 Cancelling=6 Cancelled=7", Numbers<HomecomingPhase>());

    [Fact]
    public void HomecomingStep_Numbers_AreThoseOfExistingJournals() => Assert.Equal(
        ("None=0 Waiting=1 Moving=2 Done=3 Failed=4 Skipped=5 Unknown=6", "None=0 MakeRoom=1 BringHome=2 SendHome=3"), (Numbers<HomecomingStepPhase>(), Numbers<HomecomingStepKind>()));

    private static string Numbers<T>() where T : struct, Enum =>
        string.Join(' ', Enum.GetValues<T>().Select(value => $"{value}={Convert.ToInt32(value, null)}"));
}
