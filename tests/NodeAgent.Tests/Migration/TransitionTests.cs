using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Migration;

namespace Evacuator.NodeAgent.Tests.Migration;

public class TransitionTests
{
    [Fact]
    public void Source_OnceReleased_LeavesOnlyByTheDestinationsWordOrItsEnd()
    {
        SourceInput[] ways = [.. Enum.GetValues<SourceInput>().Where(input => SourceTransitions.Next(SourcePhase.Released, input) is not null)];

        Assert.Equal([SourceInput.PeerRuns, SourceInput.PeerFetches, SourceInput.PeerFailed, SourceInput.PeerGone], ways);
        Assert.False(SourceTransitions.CanAbort(SourcePhase.Released));
    }

    [Fact]
    public void Source_Serving_IsReachedAfterTheReleaseAloneAndLeftByTheDestinationsWordOrItsEnd()
    {
        SourcePhase[] before = [.. Enum.GetValues<SourcePhase>().Where(phase => Enum.GetValues<SourceInput>().Any(input => SourceTransitions.Next(phase, input) == SourcePhase.Serving))];
        SourceInput[] ways = [.. Enum.GetValues<SourceInput>().Where(input => SourceTransitions.Next(SourcePhase.Serving, input) is not null)];

        Assert.Equal([SourcePhase.Released], before);
        Assert.Equal([SourceInput.PeerRuns, SourceInput.PeerFailed, SourceInput.PeerGone], ways);
        Assert.False(SourceTransitions.CanAbort(SourcePhase.Serving));
    }

    [Fact]
    public void Source_Released_IsReachedFromFreezingAlone()
    {
        SourcePhase[] before = [.. Enum.GetValues<SourcePhase>().Where(phase => Enum.GetValues<SourceInput>().Any(input => SourceTransitions.Next(phase, input) == SourcePhase.Released))];

        Assert.Equal([SourcePhase.Freezing], before);
    }

    [Fact]
    public void Destination_Failed_IsForEver() =>
        Assert.All(Enum.GetValues<DestinationInput>(), input => Assert.Null(DestinationTransitions.Next(DestinationPhase.Failed, input)));

    [Fact]
    public void Destination_Running_EndsOnlyWithAHostThatHadPartOfIt()
    {
        DestinationInput[] ways = [.. Enum.GetValues<DestinationInput>().Where(input => DestinationTransitions.Next(DestinationPhase.Running, input) is not null)];

        Assert.Equal([DestinationInput.LostByReboot, DestinationInput.SourceLost], ways);
    }

    [Theory]
    [InlineData(SourcePhase.None, 0)]
    [InlineData(SourcePhase.Accepted, 1)]
    [InlineData(SourcePhase.Copying, 2)]
    [InlineData(SourcePhase.Freezing, 3)]
    [InlineData(SourcePhase.Released, 4)]
    [InlineData(SourcePhase.Removing, 5)]
    [InlineData(SourcePhase.Moved, 6)]
    [InlineData(SourcePhase.Reverting, 7)]
    [InlineData(SourcePhase.Stayed, 8)]
    [InlineData(SourcePhase.Serving, 9)]
    public void SourcePhase_InTheJournal_KeepsItsNumber(SourcePhase phase, int number) => Assert.Equal(number, (int)phase);

    [Theory]
    [InlineData(DestinationPhase.None, 0)]
    [InlineData(DestinationPhase.Announced, 1)]
    [InlineData(DestinationPhase.Receiving, 2)]
    [InlineData(DestinationPhase.Ready, 3)]
    [InlineData(DestinationPhase.Resuming, 4)]
    [InlineData(DestinationPhase.Running, 5)]
    [InlineData(DestinationPhase.Failed, 6)]
    public void DestinationPhase_InTheJournal_KeepsItsNumber(DestinationPhase phase, int number) => Assert.Equal(number, (int)phase);
}
