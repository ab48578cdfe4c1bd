using System.Net.Sockets;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Journal;
using Evacuator.NodeAgent.Migration;

namespace Evacuator.NodeAgent.Tests.Migration;

/// <summary>Whether another destination may be tried: it would freeze the container again.</summary>
public sealed class BlameTests
{
    [Theory]
    // The connection failed, and it runs here.
    [InlineData(BlockerCode.PeerUnreachable, true, true, false, BlockerCode.PeerUnreachable)]
    [InlineData(BlockerCode.PeerUnreachable, true, false, false, BlockerCode.PeerUnreachable)]
    // It does not run here any more: nobody may take it.
    [InlineData(BlockerCode.PeerUnreachable, false, true, false, null)]
    // The freeze ran out, by the destination's fault only if that cannot be told anything either.
    [InlineData(null, true, false, true, BlockerCode.PeerUnreachable)]
    [InlineData(null, true, true, true, null)]
    [InlineData(null, false, false, true, null)]
    // Cancelled, or undone by a restart: nobody's fault, whether the destination answers or not.
    [InlineData(null, true, false, false, null)]
    // What was known before is not guessed at.
    [InlineData(BlockerCode.NameTaken, true, false, true, BlockerCode.NameTaken)]
    public void BlockerAtEnd_IsTheDestinationsOnlyWhereThatIsCertain(BlockerCode? before, bool runs, bool told, bool ranOut, BlockerCode? after)
    {
        Blocker? blocker = SourceMove.BlockerAtEnd(Record(before), runs, told, ranOut);

        Assert.Equal(after, blocker?.Code);
        Assert.Equal(after is null ? null : "why", blocker?.Text);
    }

    /// <summary>A connection that the other side closed looks like one that broke: that side has to say so.</summary>
    [Theory]
    [InlineData(BlockerCode.PeerUnreachable, "it has grown", null, "node2 took no more of its memory: it has grown")]
    [InlineData(null, "it has grown", null, "node2 took no more of its memory: it has grown")]
    [InlineData(BlockerCode.PeerUnreachable, null, BlockerCode.PeerUnreachable, "why")]
    [InlineData(BlockerCode.NameTaken, "it has grown", BlockerCode.NameTaken, "why")]
    public void WithRefusal_IsWhatTheRecordSaysAndNoOtherPeerIsTried(BlockerCode? before, string? refused, BlockerCode? after, string detail)
    {
        SourceRecord record = SourceMove.WithRefusal(Record(before), refused);

        Assert.Equal((after, detail), (record.Blocker?.Code, record.Detail));
    }

    [Fact]
    public void IsOfTheLink_AFileOfThisHost_IsNot()
    {
        Assert.True(SourceMove.IsOfTheLink(new HttpRequestException("refused")));
        Assert.True(SourceMove.IsOfTheLink(new IOException("stream", new SocketException((int)SocketError.ConnectionReset))));
        Assert.False(SourceMove.IsOfTheLink(new IOException("no space left on device")));
        Assert.False(SourceMove.IsOfTheLink(new TimeoutException()));
        Assert.False(SourceMove.IsOfTheLink(new OperationCanceledException()));
    }

    private static SourceRecord Record(BlockerCode? blocker) => new()
    {
        Request = new MoveRequest
        {
            MoveId = Guid.NewGuid(), EvacuationId = Guid.NewGuid(), Container = "c1", DestinationNode = "node2", DestinationAddress = "node2:7361", Token = "t", FreezeBudgetMs = 1000,
        },
        Phase = SourcePhase.Reverting, BootId = "now", Detail = "why", Started = DateTimeOffset.UnixEpoch, Updated = DateTimeOffset.UnixEpoch,
        Blocker = blocker is { } code ? new Blocker(code, "why") : null,
    };
}
