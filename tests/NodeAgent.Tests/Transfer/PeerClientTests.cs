using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Tests.Transfer;

/// <summary>A peer that answers the network and has no time for a handshake.</summary>
public sealed class PeerClientTests : IDisposable
{
    private readonly PeerClient _peer;
    private int _connects;

    public PeerClientTests() => _peer = new PeerClient("192.0.2.1", 7361, new SocketsHttpHandler
    {
        ConnectTimeout = TimeSpan.FromMilliseconds(200),
        SslOptions = new() { TargetHost = "peer" },
        ConnectCallback = async (_, cancel) =>
        {
            Interlocked.Increment(ref _connects);
            await Task.Delay(Timeout.InfiniteTimeSpan, cancel);
            throw new InvalidOperationException();
        },
    }, Guid.NewGuid(), "token", "c1");

    public void Dispose() => _peer.Dispose();

    [Fact]
    public async Task Ask_NoConnectionInTime_IsAFailedConnectionAndNotCancelled()
    {
        HttpRequestException failed = await Assert.ThrowsAnyAsync<HttpRequestException>(() => _peer.AskAsync(default));

        Assert.Equal("192.0.2.1:7361 took no connection within 0.2 s", failed.Message);
        Assert.Equal(1, _connects);
    }

    [Fact]
    public async Task OpenTree_NoConnectionInTime_IsTriedThreeTimes()
    {
        await Assert.ThrowsAnyAsync<HttpRequestException>(() => _peer.OpenTreeAsync(0, default));

        Assert.Equal(3, _connects);
    }

    [Fact]
    public async Task OpenTree_Cancelled_IsCancelled()
    {
        using CancellationTokenSource cancel = new();
        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _peer.OpenTreeAsync(0, cancel.Token));
    }
}
