using System.Buffers.Binary;
using Evacuator.NodeAgent.Memory;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>The source's end of the memory stream. Not for several threads. Owns the stream.</summary>
internal sealed class PageSender(Stream stream) : IAsyncDisposable
{
    private readonly byte[] _head = new byte[PageFrame.HeadBytes + PageFrame.MaxRanges * 16];
    private int _round;

    /// <summary>Bytes put on the wire.</summary>
    public long BytesSent { get; private set; }

    /// <summary>Sends a batch; the caller keeps owning it.</summary>
    public async Task SendAsync(PageBatch batch, CancellationToken cancel)
    {
        int head = PageFrame.Write(_head, PageFrame.Batch, batch.Pid, batch.Ranges, batch.Data.Length, batch.Checksum);
        await stream.WriteAsync(_head.AsMemory(0, head), cancel);
        if (!batch.Data.IsEmpty)
            await stream.WriteAsync(batch.Data, cancel);
        BytesSent += head + batch.Data.Length;
    }

    /// <summary>Ends a round and waits until the destination holds all of it.</summary>
    /// <returns>what arrived damaged and has to be sent again</returns>
    public async Task<IReadOnlyList<DamagedPages>> EndRoundAsync(CancellationToken cancel)
    {
        int round = ++_round;
        int head = PageFrame.Write(_head, PageFrame.RoundEnd, round, [], 0, 0);
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
