using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.Transfer;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Transfer;

/// <summary>What a batch on its way does when a container stands still.</summary>
public sealed class PageSenderTests : IDisposable
{
    private const int Bytes = 1 << 20;
    private readonly ManualTime _time = new();
    private readonly BatchBuffers _buffers = new(2);
    private readonly Wire _wire = new();

    public void Dispose() => _buffers.Dispose();

    [Fact]
    public async Task Batch_SomebodyStandsStillWhileItIsSent_StopsInTheMiddle()
    {
        Urgency urgency = new(_time);
        await using PageSender sender = await BeginAsync(urgency);
        await _wire.Started;
        IDisposable stay = urgency.Enter();
        _wire.Open();

        // It waits for no longer than that; the stay's own timer is for later.
        while (_time.NextDue != Urgency.LongestHold && _wire.Written < Bytes)
            await Task.Yield();
        Assert.InRange(_wire.Written, 1, Bytes / 4);

        stay.Dispose();
        while (_wire.Written < Bytes)
            await Task.Yield();
    }

    [Fact]
    public async Task Batch_OfWhoStandsStillItself_GoesOn()
    {
        Urgency urgency = new(_time);
        using IDisposable stay = urgency.Enter();
        await using PageSender sender = await BeginAsync(urgent: null);
        _wire.Open();

        while (_wire.Written < Bytes)
            await Task.Yield();
    }

    /// <summary>Where one freeze follows the other, every piece of a batch would else wait as long, and a peer hear nothing for minutes.</summary>
    [Fact]
    public async Task Batch_WhosePatienceHasEnded_GoesOnAsAWhole()
    {
        Urgency urgency = new(_time);
        await using PageSender sender = await BeginAsync(urgency);
        await _wire.Started;
        IDisposable first = urgency.Enter();
        _wire.Open();
        while (_time.NextDue != Urgency.LongestHold)
            await Task.Yield();
        _time.Advance(Urgency.LongestHold / 2);
        using IDisposable second = urgency.Enter();
        first.Dispose();
        _time.Advance(Urgency.LongestHold / 2);

        while (_wire.Written < Bytes)
            await Task.Yield();
        Assert.True(urgency.IsHeld);
    }

    private async Task<PageSender> BeginAsync(Urgency? urgent)
    {
        PageSender sender = new([new DuplexStream(Stream.Null, _wire)], _time);
        byte[] buffer = await _buffers.RentAsync(default);
        await sender.SendAsync(new PageBatch(_buffers, buffer, Bytes, 101, 1, [new PageRange(4096, Bytes, PageRangeKind.Data)]), default, urgent);
        return sender;
    }

    /// <summary>Takes nothing before it is opened, then everything.</summary>
    private sealed class Wire : MemoryStream
    {
        private readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously), _open = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _written;

        public Task Started => _started.Task;

        public int Written => Volatile.Read(ref _written);

        public void Open() => _open.TrySetResult();

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancel = default)
        {
            _started.TrySetResult();
            await _open.Task.WaitAsync(cancel);
            Interlocked.Add(ref _written, buffer.Length);
        }
    }
}
