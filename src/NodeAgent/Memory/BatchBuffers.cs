using System.Collections.Concurrent;

namespace Evacuator.NodeAgent.Memory;

/// <summary>The fixed number of buffers that pages of a container may wait in: it bounds the tracker's memory and makes a slow wire slow the reading down.</summary>
internal sealed class BatchBuffers : IDisposable
{
    public const int Bytes = 1 << 20;

    private readonly ConcurrentBag<byte[]> _free = [];
    private readonly SemaphoreSlim _available;

    public BatchBuffers(int count) => _available = new SemaphoreSlim(count, count);

    public async ValueTask<byte[]> RentAsync(CancellationToken token)
    {
        await _available.WaitAsync(token).ConfigureAwait(false);
        return _free.TryTake(out byte[]? buffer) ? buffer : GC.AllocateUninitializedArray<byte>(Bytes, pinned: true);
    }

    public void Return(byte[] buffer)
    {
        _free.Add(buffer);
        _available.Release();
    }

    public void Dispose() => _available.Dispose();
}
