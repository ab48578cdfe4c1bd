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
    public void WitnessPhase_Numbers_AreThoseOfExistingJournals() => Assert.Equal(
        "None=0 Watching=1 VerifiedOff=2 NotOff=3 Withdrawn=4 CannotTell=5", Numbers<WitnessPhase>());

    [Fact]
    public void TriggerKind_Numbers_AreThoseOfExistingJournals() => Assert.Equal("None=0 Operator=1 Signal=2", Numbers<TriggerKind>());

    private static string Numbers<T>() where T : struct, Enum =>
        string.Join(' ', Enum.GetValues<T>().Select(value => $"{value}={Convert.ToInt32(value, null)}"));
}
