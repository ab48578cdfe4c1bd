using System.Buffers.Binary;
using System.Threading.Channels;
using Evacuator.NodeAgent.Memory;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// The source's end of the memory streams: batches go over whichever connection is free next. One connection takes what one processor core can
/// encrypt. Calls one at a time. Owns the streams.
/// </summary>
internal sealed class PageSender : IAsyncDisposable
{
    private readonly Lane[] _lanes;
    private readonly CancellationTokenSource _stop = new();
    private Channel<Queued>? _queue;
    private Task[] _writing = [];
    private uint _voids;
    private int _round;

    /// <param name="streams">at least one, at most <see cref="PageFrame.MaxLanes"/></param>
    /// <param name="compress">the destination understands it, and it may be done where it pays</param>
    public PageSender(IReadOnlyList<Stream> streams, TimeProvider? time = null, bool compress = false) =>
        _lanes = [.. streams.Select(stream => new Lane(stream, time ?? TimeProvider.System, compress))];

    /// <summary>Bytes put on the wire.</summary>
    public long BytesSent => _lanes.Sum(lane => lane.Sent);

    /// <summary>Takes over a batch; it is disposed when it is on the wire. Waits while all connections are busy.</summary>
    /// <param name="urgent">what it gives way to on its way; null: to nothing</param>
    /// <exception cref="IOException">a connection broke; the sending is over</exception>
    public async ValueTask SendAsync(PageBatch batch, CancellationToken cancel, Urgency? urgent = null)
    {
        if (batch.Data.IsEmpty)
        {
            using (batch)
                await _lanes[0].WriteAsync(new Queued(batch, _voids, urgent), cancel);
            _voids++;
            return;
        }
        _queue ??= StartRound();
        try
        {
            await _queue.Writer.WriteAsync(new Queued(batch, _voids, urgent), cancel);
        }
        catch (ChannelClosedException e) when (e.InnerException is not null)
        {
            batch.Dispose();
            throw new IOException("a memory stream broke", e.InnerException);
        }
        catch (OperationCanceledException)
        {
            batch.Dispose();
            throw;
        }
    }

    /// <summary>Ends a round and waits until the destination holds all of it.</summary>
    /// <returns>what arrived damaged and has to be sent again</returns>
    public async Task<IReadOnlyList<DamagedPages>> EndRoundAsync(CancellationToken cancel)
    {
        if (_queue is { } queue)
        {
            _queue = null;
            _ = queue.Writer.TryComplete();
            await Task.WhenAll(_writing).WaitAsync(cancel);
        }
        int round = ++_round;
        IReadOnlyList<DamagedPages>[] damaged = await Task.WhenAll(_lanes.Select(lane => lane.EndRoundAsync(round, cancel)));
        return [.. damaged.SelectMany(pages => pages)];
    }

    public async ValueTask DisposeAsync()
    {
        _ = _queue?.Writer.TryComplete();
        await _stop.CancelAsync();
        foreach (Lane lane in _lanes)
            await lane.DisposeAsync();
        foreach (Task writing in _writing)
            // Why it broke was told to whoever waited for it; here it only has to be over.
            await ((Task)writing).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    private Channel<Queued> StartRound()
    {
        // One batch a connection waits beside the one that is being written: reading the next overlaps with sending.
        Channel<Queued> queue = Channel.CreateBounded<Queued>(new BoundedChannelOptions(_lanes.Length) { SingleWriter = true });
        _writing = [.. _lanes.Select(lane => Task.Run(() => WriteAllAsync(lane, queue)))];
        return queue;
    }

    private async Task WriteAllAsync(Lane lane, Channel<Queued> queue)
    {
        try
        {
            await foreach (Queued queued in queue.Reader.ReadAllAsync(_stop.Token))
                using (queued.Batch)
                    await lane.WriteAsync(queued, _stop.Token);
        }
        catch (Exception e)
        {
            // Whoever waits for room must not wait for a connection that is gone.
            _ = queue.Writer.TryComplete(e);
            while (queue.Reader.TryRead(out Queued left))
                left.Batch.Dispose();
            throw;
        }
    }

    /// <param name="After">batches without data that go before it</param>
    private readonly record struct Queued(PageBatch Batch, uint After, Urgency? Urgent);

    private sealed class Lane(Stream stream, TimeProvider time, bool compress) : IAsyncDisposable
    {
        /// <summary>Less is sent at once in any case.</summary>
        private const int LeastCompressed = 64 * 1024;

        /// <summary>What goes out between two looks at who is more urgent: a whole batch, on each connection of each move, stands before a frozen container for 0.2 s at 50 Mbit/s.</summary>
        private const int Piece = 128 * 1024;

        private readonly CompressionChoice _choice = new(compress);
        private byte[] _packed = [];
        private readonly byte[] _head = new byte[PageFrame.HeadBytes + PageFrame.MaxRanges * 16];
        private readonly SemaphoreSlim _writing = new(1);
        private long _sent;

        public long Sent => Volatile.Read(ref _sent);

        public async Task WriteAsync(Queued queued, CancellationToken cancel)
        {
            await _writing.WaitAsync(cancel);
            try
            {
                PageBatch batch = queued.Batch;
                (ushort kind, ReadOnlyMemory<byte> data) = Pack(batch.Data);
                int head = PageFrame.Write(_head, kind, batch.Pid, batch.Ranges, data.Length, batch.Checksum, queued.After);
                long start = time.GetTimestamp();
                await stream.WriteAsync(_head.AsMemory(0, head), cancel);
                Volatile.Write(ref _sent, _sent + head);
                TimeSpan held = await WriteAsync(data, queued.Urgent, cancel);
                _choice.Sent(head + data.Length, time.GetElapsedTime(start) - held);
            }
            finally
            {
                _writing.Release();
            }
        }

        /// <returns>how long it gave way</returns>
        private async Task<TimeSpan> WriteAsync(ReadOnlyMemory<byte> data, Urgency? urgent, CancellationToken cancel)
        {
            TimeSpan held = TimeSpan.Zero;
            while (!data.IsEmpty)
            {
                // Whose patience has ended once does not wait at every piece again.
                if (urgent is { IsHeld: true } && held < Urgency.LongestHold)
                {
                    long start = time.GetTimestamp();
                    await urgent.GiveWayAsync(cancel);
                    held += time.GetElapsedTime(start);
                }
                ReadOnlyMemory<byte> piece = data[..Math.Min(Piece, data.Length)];
                await stream.WriteAsync(piece, cancel);
                Volatile.Write(ref _sent, _sent + piece.Length);
                data = data[piece.Length..];
            }
            return held;
        }

        private (ushort Kind, ReadOnlyMemory<byte> Data) Pack(ReadOnlyMemory<byte> data)
        {
            if (data.Length < LeastCompressed || !_choice.Next())
                return (PageFrame.Batch, data);
            if (_packed.Length == 0)
                _packed = GC.AllocateUninitializedArray<byte>(PageFrame.MaxData);
            long start = time.GetTimestamp();
            // What does not become smaller by an eighth is left alone.
            int packed = Interop.Lz4.Compress(data.Span, _packed.AsSpan(0, data.Length - data.Length / 8));
            _choice.Compressed(data.Length, packed == 0 ? data.Length : packed, time.GetElapsedTime(start));
            return packed == 0 ? (PageFrame.Batch, data) : (PageFrame.Compressed, _packed.AsMemory(0, packed));
        }

        public async Task<IReadOnlyList<DamagedPages>> EndRoundAsync(int round, CancellationToken cancel)
        {
            int head = PageFrame.Write(_head, PageFrame.RoundEnd, round, [], 0, 0, 0);
            await stream.WriteAsync(_head.AsMemory(0, head), cancel);
            await stream.FlushAsync(cancel);
            byte[] ack = new byte[PageFrame.AckBytes];
            await stream.ReadExactlyAsync(ack, cancel);
            int count = BinaryPrimitives.ReadInt32LittleEndian(ack.AsSpan(8));
            if (BinaryPrimitives.ReadUInt32LittleEndian(ack) != PageFrame.AckMagic || BinaryPrimitives.ReadInt32LittleEndian(ack.AsSpan(4)) != round || count is < 0 or > PageReceiver.MaxDamaged)
                throw new InvalidDataException($"the destination did not acknowledge round {round}");
            byte[] damaged = new byte[count * 24];
            await stream.ReadExactlyAsync(damaged, cancel);
            return [.. Enumerable.Range(0, count).Select(i => damaged.AsMemory(i * 24, 24)).Select(entry => new DamagedPages(
                BinaryPrimitives.ReadInt32LittleEndian(entry.Span), BinaryPrimitives.ReadUInt64LittleEndian(entry.Span[8..]), BinaryPrimitives.ReadUInt64LittleEndian(entry.Span[16..])))];
        }

        public ValueTask DisposeAsync() => stream.DisposeAsync();
    }
}
