using Evacuator.NodeAgent.Transfer;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Transfer;

public class BandwidthTests
{
    private const int Mib = 1 << 20;

    private readonly ManualTime _time = new();

    [Fact]
    public void Take_NoLimit_NeverWaits()
    {
        Bandwidth bandwidth = new(0, _time);
        for (int i = 0; i < 100; i++)
            Assert.True(bandwidth.TakeAsync(100 * Mib, default).IsCompletedSuccessfully);
    }

    /// <summary>Three moves that send as fast as they are let: together they get the limit, each of them a third.</summary>
    [Fact]
    public async Task Take_SeveralMoves_ShareTheLimitEvenly()
    {
        Bandwidth bandwidth = new(10 * Mib, _time);
        int[] sent = new int[3];
        using CancellationTokenSource stop = new();
        // Without the test's own context, so that whoever's turn it is goes on within the clock's step, and not some time after it.
        Task[] moves = await Task.Run(() => Enumerable.Range(0, 3).Select(move => SendAsync(bandwidth, sent, move, stop.Token)).ToArray());
        // Ten seconds, in steps smaller than one piece takes.
        for (int step = 0; step < 200; step++)
            _time.Advance(TimeSpan.FromMilliseconds(50));
        await stop.CancelAsync();
        await Task.WhenAll(moves);

        Assert.InRange(sent.Sum(), 97, 103);
        Assert.All(sent, pieces => Assert.InRange(pieces, 32, 35));
    }

    [Fact]
    public async Task Charge_AFrozenContainerGoesFirst_AndTheOthersPayItBack()
    {
        Bandwidth bandwidth = new(10 * Mib, _time);
        Assert.Equal(TimeSpan.Zero, await bandwidth.TakeAsync(Mib, default));
        // Half a second of the limit, on top of the tenth that is being sent; it does not wait itself.
        bandwidth.Charge(5 * Mib);
        Task<TimeSpan> next = bandwidth.TakeAsync(Mib, default).AsTask();
        _time.Advance(TimeSpan.FromMilliseconds(590));
        Assert.False(next.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(20));
        Assert.InRange((await next).TotalMilliseconds, 595, 620);
    }

    [Fact]
    public async Task Charge_Gigabytes_HoldTheOthersForASecondAndNoLonger()
    {
        Bandwidth bandwidth = new(10 * Mib, _time);
        for (int i = 0; i < 64; i++)
            bandwidth.Charge(64 * Mib);
        Task<TimeSpan> next = bandwidth.TakeAsync(Mib, default).AsTask();
        _time.Advance(Bandwidth.LongestDebt + TimeSpan.FromMilliseconds(1));
        await next;
    }

    [Fact]
    public async Task Take_Cancelled_Ends()
    {
        Bandwidth bandwidth = new(Mib, _time);
        await bandwidth.TakeAsync(Mib, default);
        using CancellationTokenSource cancel = new();
        Task<TimeSpan> waiting = bandwidth.TakeAsync(Mib, cancel.Token).AsTask();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
    }

    private static async Task SendAsync(Bandwidth bandwidth, int[] sent, int move, CancellationToken stop)
    {
        try
        {
            while (true)
            {
                await bandwidth.TakeAsync(Bandwidth.Piece, stop);
                Interlocked.Increment(ref sent[move]);
            }
        }
        catch (OperationCanceledException)
        {
        }
    }
}
