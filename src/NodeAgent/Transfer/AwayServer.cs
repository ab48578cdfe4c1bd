using Evacuator.NodeAgent.Memory;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>The source's end of post-copy: reads pages of the frozen container as they are asked for. One connection a call.</summary>
/// <param name="hostPid">a process of the container by its pid in the container's pid namespace; null if there is none</param>
/// <param name="charge">told of what is sent: it waits for no turn, since a container may stand still for it</param>
internal sealed class AwayServer(Func<int, int?> hostPid, Action<long>? charge = null) : IDisposable
{
    private readonly BatchBuffers _buffers = new(4);

    /// <summary>Until the destination says that it has everything.</summary>
    /// <exception cref="InvalidDataException">what arrives is not this protocol, or memory that was promised is not there any more</exception>
    /// <exception cref="IOException">the connection broke</exception>
    public async Task ServeAsync(Stream stream, CancellationToken cancel)
    {
        byte[] asked = new byte[AwayRequest.Bytes], head = new byte[PageFrame.HeadBytes + PageFrame.MaxRanges * 16];
        while (true)
        {
            await stream.ReadExactlyAsync(asked, cancel);
            AwayRequest request = AwayRequest.Read(asked);
            if (request.Pages == 0)
            {
                await stream.WriteAsync(head.AsMemory(0, PageFrame.Write(head, PageFrame.RoundEnd, 0, [], 0, 0, 0)), cancel);
                await stream.FlushAsync(cancel);
                return;
            }
            int pid = hostPid(request.Pid) ?? throw new InvalidDataException($"process {request.Pid} of the container is gone although it was frozen, and its memory with it");
            PageReader reader = new(pid, request.Pid, _buffers);
            reader.Add(request.Address, request.Address + (ulong)request.Pages * Interop.PageSize, PageRangeKind.Data);
            using PageBatch batch = reader.Read(await _buffers.RentAsync(cancel));
            // Only what has content was left here, and nothing of a frozen process goes away by itself.
            if (batch.Ranges.Any(range => range.Kind == PageRangeKind.Dropped))
                throw new InvalidDataException($"memory of process {request.Pid} at {request.Address:x} is gone although it was frozen");
            await stream.WriteAsync(head.AsMemory(0, PageFrame.Write(head, PageFrame.Batch, batch.Pid, batch.Ranges, batch.Data.Length, batch.Checksum, 0)), cancel);
            if (!batch.Data.IsEmpty)
                await stream.WriteAsync(batch.Data, cancel);
            charge?.Invoke(batch.Data.Length);
            await stream.FlushAsync(cancel);
        }
    }

    public void Dispose() => _buffers.Dispose();
}
