using System.Net;
using System.Net.Sockets;
using Evacuator.NodeAgent.Transfer;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Transfer;

/// <summary>What the kernel tells of connections, over loopback, and what is made of it.</summary>
public sealed class WireTests : IDisposable
{
    private readonly ManualTime _time = new();
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly Wire _wire;

    public WireTests()
    {
        _wire = new Wire(_time);
        _listener.Start();
    }

    public void Dispose() => _listener.Dispose();

    /// <summary>Whose offset is wrong shows another number here.</summary>
    [Fact]
    public async Task Counters_OfAConnection_AreWhatWasSent()
    {
        (NetworkStream stream, Socket peer) = await ConnectAsync();
        await using (stream)
        using (peer)
        {
            ulong before = TcpCounters.Read(stream.Socket)!.Value.Acknowledged;
            await stream.WriteAsync(new byte[100_000]);
            await ReceiveAsync(peer, 100_000);
            await UntilAsync(() => TcpCounters.Read(stream.Socket) is { Unacknowledged: 0, Unsent: 0 });
            Assert.Equal(100_000UL, TcpCounters.Read(stream.Socket)!.Value.Acknowledged - before);

            int handed = Fill(stream.Socket);
            TcpCounters full = TcpCounters.Read(stream.Socket)!.Value;
            Assert.InRange(full.Unsent, 1, 2 * PeerConnection.Unsent);
            ulong got = full.Acknowledged - before - 100_000;
            // The first segment of all counts as a byte that was acknowledged and not sent.
            Assert.InRange((ulong)(full.Unsent + full.Unacknowledged) + got, (ulong)handed - 1, (ulong)handed);
        }
    }

    [Fact]
    public async Task Drain_PeerTakesWhatWasHandedOver_EndsThen()
    {
        (NetworkStream stream, Socket peer) = await ConnectAsync();
        await using (stream)
        using (peer)
        {
            int handed = Fill(stream.Socket);
            Assert.True(_wire.Queued > 0);
            Task drained = _wire.DrainAsync(TimeSpan.FromSeconds(1), default);
            Assert.False(drained.IsCompleted);

            await ReceiveAsync(peer, handed);
            await UntilAsync(() => _wire.Queued == 0);
            _time.Advance(TimeSpan.FromMilliseconds(5));
            await drained;
        }
    }

    /// <summary>A peer that takes nothing, as one that gives way itself, must not keep a container from its turn.</summary>
    [Fact]
    public async Task Drain_PeerTakesNothing_EndsWithItsPatience()
    {
        (NetworkStream stream, Socket peer) = await ConnectAsync();
        await using (stream)
        using (peer)
        {
            Fill(stream.Socket);
            Task drained = _wire.DrainAsync(TimeSpan.FromSeconds(1), default);
            await using IAsyncDisposable waits = _time.PassWaits(TimeSpan.FromSeconds(1));
            await drained;
            Assert.True(_wire.Queued > 0);
        }
    }

    [Fact]
    public async Task Connection_Closed_CountsNoMore()
    {
        (NetworkStream stream, Socket peer) = await ConnectAsync();
        using (peer)
        {
            Fill(stream.Socket);
            Assert.True(_wire.Queued > 0);
            await stream.DisposeAsync();
            Assert.Equal(0, _wire.Queued);
        }
    }

    [Fact]
    public void Shared_ByTwoMovesUntilOneEnds()
    {
        IDisposable first = _wire.Use();
        Assert.False(_wire.IsShared);
        IDisposable second = _wire.Use();
        Assert.True(_wire.IsShared);
        second.Dispose();
        second.Dispose();
        Assert.False(_wire.IsShared);
        first.Dispose();
    }

    [Fact]
    public void Speed_OfWindowsThatWereFullThroughout_IsTheirMiddle()
    {
        LinkSpeed speed = new();
        Assert.Equal(0, speed.BytesPerSecond);
        // Not known whether more could have gone through.
        speed.Add(100, LinkSpeed.Window, isFull: false);
        speed.Add(1_000_000, LinkSpeed.Window, isFull: true);
        Assert.Equal(0, speed.BytesPerSecond);

        speed.Add(3_000_000, LinkSpeed.Window, isFull: true);
        Assert.Equal(6_000_000, speed.BytesPerSecond);
        // A peer that reads nothing for a while, and a burst.
        speed.Add(0, LinkSpeed.Window, isFull: true);
        speed.Add(3_100_000, LinkSpeed.Window, isFull: true);
        speed.Add(9_000_000, LinkSpeed.Window, isFull: true);
        speed.Add(3_100_000, LinkSpeed.Window, isFull: true);
        Assert.Equal(6_200_000, speed.BytesPerSecond);
    }

    /// <summary>A link that became narrow is believed after some seconds.</summary>
    [Fact]
    public void Speed_OfALinkThatBecomesNarrow_FollowsIt()
    {
        LinkSpeed speed = new();
        for (int i = 0; i < 100; i++)
            speed.Add(50_000_000, LinkSpeed.Window, isFull: true);
        for (int i = 0; i < 6; i++)
            speed.Add(3_000_000, LinkSpeed.Window, isFull: true);

        Assert.Equal(6_000_000, speed.BytesPerSecond);
    }

    private async Task<(NetworkStream Stream, Socket Peer)> ConnectAsync()
    {
        DnsEndPoint there = new(IPAddress.Loopback.ToString(), ((IPEndPoint)_listener.LocalEndpoint).Port);
        Stream stream = await PeerConnection.OpenAsync(there, PeerConnection.Patience, default, _wire);
        return ((NetworkStream)stream, await _listener.AcceptSocketAsync());
    }

    /// <returns>bytes that the kernel took until it took no more</returns>
    private static int Fill(Socket socket)
    {
        byte[] piece = new byte[16 * 1024];
        int handed = 0;
        socket.Blocking = false;
        while (true)
        {
            int taken = socket.Send(piece, SocketFlags.None, out SocketError error);
            if (error != SocketError.Success)
                return handed;
            handed += taken;
        }
    }

    private static async Task ReceiveAsync(Socket peer, int bytes)
    {
        byte[] buffer = new byte[64 * 1024];
        while (bytes > 0)
            bytes -= await peer.ReceiveAsync(buffer.AsMemory(0, Math.Min(bytes, buffer.Length)));
    }

    /// <summary>What was received is acknowledged a moment later.</summary>
    private static async Task UntilAsync(Func<bool> condition)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(20));
        while (!condition())
        {
            limit.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }
}
