using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.PageStore;
using Evacuator.Testing;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Tests.Memory;

/// <summary>Shared memory, followed by its content: what comes of all rounds at the destination is what the object has, however it was written.</summary>
public sealed class SharedTrackerTests : IDisposable
{
    private const int Page = 4096, MiB = 1 << 20;

    private readonly TemporaryFolder _folder = new();
    private readonly SharedTracker _tracker = new(TimeProvider.System, workers: 2);
    private readonly Dictionary<int, SharedPages> _stores = [];
    private readonly List<SafeFileHandle> _files = [];

    public void Dispose()
    {
        _tracker.Dispose();
        foreach (SharedPages store in _stores.Values)
            store.Dispose();
        foreach (SafeFileHandle file in _files)
            file.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task Rounds_ObjectWrittenAndPunchedInBetween_LeaveWhatItHas()
    {
        SafeFileHandle file = Create(out SharedPlace place);
        Random random = new(7);
        RandomAccess.SetLength(file, 9 * MiB + 100);
        for (int round = 0; round < 8; round++)
        {
            for (int i = 0; i < 60; i++)
            {
                long at = random.Next(9 * MiB / Page - 4) * (long)Page;
                if (random.Next(3) == 0)
                    Assert.Equal(0, NodeAgent.Interop.AllocateFile(file, NodeAgent.Interop.FileMemory.FALLOC_FL_PUNCH_HOLE | NodeAgent.Interop.FileMemory.FALLOC_FL_KEEP_SIZE, at, random.Next(1, 40) * (long)Page));
                else
                    RandomAccess.Write(file, Bytes(random, random.Next(1, 3 * Page)), at + random.Next(Page / 2));
            }
            await RoundAsync(frozen: round == 7, place);
            Assert.Equal(Content(file), Restored(_stores.Values.Single(), 9 * MiB + Page));
        }
    }

    [Fact]
    public async Task Round_NothingWritten_SendsNothing()
    {
        SafeFileHandle file = Create(out SharedPlace place);
        RandomAccess.Write(file, Bytes(new Random(1), 3 * MiB + 5 * Page), 0);
        Assert.Equal(3 * MiB + 5 * Page, await RoundAsync(frozen: false, place));
        Assert.Equal(0, await RoundAsync(frozen: false, place));
        Assert.Equal(0, await RoundAsync(frozen: true, place));
        Assert.Equal(3UL * MiB + 5 * Page, _tracker.LastRound!.HeldBytes);
    }

    /// <summary>One bit of a page of 2 MiB: that page and no other.</summary>
    [Fact]
    public async Task Round_OneBitChanged_SendsThatPage()
    {
        SafeFileHandle file = Create(out SharedPlace place);
        byte[] bytes = Bytes(new Random(1), 2 * MiB);
        RandomAccess.Write(file, bytes, 0);
        await RoundAsync(frozen: false, place);
        RandomAccess.Write(file, [(byte)(bytes[MiB + 77] ^ 16)], MiB + 77);
        Assert.Equal(Page, await RoundAsync(frozen: true, place));
        Assert.Equal(Content(file), Restored(_stores.Values.Single(), 2 * MiB));
    }

    [Fact]
    public async Task Object_CutShort_IsShorterThere()
    {
        SafeFileHandle file = Create(out SharedPlace place);
        RandomAccess.Write(file, Bytes(new Random(1), 4 * MiB), 0);
        await RoundAsync(frozen: false, place);
        RandomAccess.SetLength(file, MiB + Page);
        await RoundAsync(frozen: true, place);
        Assert.Equal((MiB + Page) / Page, _stores.Values.Single().Count);
        Assert.Equal((MiB + Page) / Page, (long)_tracker.Objects.Single().Held / Page);
    }

    [Fact]
    public async Task Object_ThatIsGone_IsDroppedThere()
    {
        SafeFileHandle one = Create(out SharedPlace first), two = Create(out SharedPlace second);
        RandomAccess.Write(one, Bytes(new Random(1), MiB), 0);
        RandomAccess.Write(two, Bytes(new Random(2), 2 * MiB), 0);
        await RoundAsync(frozen: false, first, second);
        Assert.Equal(3UL * MiB, _tracker.LastRound!.HeldBytes);
        await RoundAsync(frozen: false, second);
        Assert.Equal([0L, 2 * MiB / Page], _stores.Values.Select(store => store.Count).Order());
        Assert.Equal(second.Inode, _tracker.Objects.Single().Inode);
        Assert.Equal(2UL * MiB, _tracker.LastRound!.HeldBytes);
    }

    /// <summary>CRIU restores shared anonymous memory as far as it is mapped, and stops at what is behind that; this is a memfd, which has a size of its own.</summary>
    [Fact]
    public async Task Frozen_MemfdThatNobodyMaps_IsWhole()
    {
        SafeFileHandle file = Create(out SharedPlace place);
        RandomAccess.Write(file, Bytes(new Random(1), MiB), 0);
        await RoundAsync(frozen: false, place);
        _tracker.Freeze([]);
        await RoundAsync(frozen: true, place);
        Assert.Equal(MiB / Page, _stores.Values.Single().Count);
    }

    [Fact]
    public async Task Pages_ThatArrivedDamaged_AreSentAgain()
    {
        SafeFileHandle file = Create(out SharedPlace place);
        RandomAccess.Write(file, Bytes(new Random(1), MiB), 0);
        await RoundAsync(frozen: false, place);
        _tracker.Forget(_tracker.Objects.Single().Number, 5 * Page, 2 * Page);
        Assert.Equal(2 * Page, await RoundAsync(frozen: true, place));
    }

    /// <summary>A file of a file system that somebody has mounted is not the kernel's shared memory, and what is opened has to be what was seen.</summary>
    [Fact]
    public void Find_SomethingElse_IsLeftToCriu()
    {
        Create(out SharedPlace place);
        _tracker.Find([place with { Device = place.Device + 1 }, place with { Inode = place.Inode + 1 }, place with { Inode = 1UL << 40 }, place with { Path = "/dev/null" }, place with { Path = "/nowhere" }]);
        Assert.Empty(_tracker.Objects);
    }

    [Fact]
    public async Task Round_StoppedInTheMiddle_EndsItsReaders()
    {
        SafeFileHandle file = Create(out SharedPlace place);
        RandomAccess.Write(file, Bytes(new Random(1), 8 * MiB), 0);
        _tracker.Find([place]);
        await foreach (PageBatch batch in _tracker.RoundAsync(frozen: true, CancellationToken.None))
        {
            batch.Dispose();
            break;
        }
        using CancellationTokenSource cancelled = new();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (PageBatch batch in _tracker.RoundAsync(frozen: true, cancelled.Token))
                batch.Dispose();
        });
    }

    private async Task<long> RoundAsync(bool frozen, params SharedPlace[] places)
    {
        if (!frozen)
            _tracker.Find(places);
        long sent = 0;
        await foreach (PageBatch batch in _tracker.RoundAsync(frozen, CancellationToken.None))
            using (batch)
            {
                Assert.True(batch.Pid < 0);
                if (!_stores.TryGetValue(batch.Pid, out SharedPages? store))
                    _stores.Add(batch.Pid, store = SharedPages.Create(Path.Combine(_folder.Path, $"{-batch.Pid}")));
                int at = 0;
                foreach (PageRange range in batch.Ranges)
                {
                    if (range.Kind != PageRangeKind.Data)
                    {
                        store.Drop(range.Address, range.Length);
                        continue;
                    }
                    store.Write(range.Address, batch.Data.Span.Slice(at, (int)range.Length));
                    at += (int)range.Length;
                }
                Assert.Equal(batch.Data.Length, at);
                sent += at;
            }
        Assert.Equal(sent, (long)_tracker.LastRound!.ChangedBytes);
        Assert.Equal(_stores.Values.Sum(store => store.Count) * Page, (long)_tracker.LastRound.HeldBytes);
        return sent;
    }

    private SafeFileHandle Create(out SharedPlace place)
    {
        SafeFileHandle file = NodeAgent.Interop.CreateMemoryFile("evacuator-test", NodeAgent.Interop.FileMemory.MFD_CLOEXEC);
        _files.Add(file);
        string path = $"/proc/self/fd/{file.DangerousGetHandle()}";
        Assert.True(NodeAgent.Interop.FileCalls.TryStat(path, out NodeAgent.Interop.FileCalls.Statx status));
        place = new SharedPlace(status.DevMajor << 20 | status.DevMinor, status.Inode, 0, path);
        return file;
    }

    private static byte[] Bytes(Random random, int length)
    {
        byte[] bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }

    private static byte[] Content(SafeFileHandle file)
    {
        byte[] content = new byte[(RandomAccess.GetLength(file) + Page - 1) / Page * Page];
        RandomAccess.Read(file, content, 0);
        return content;
    }

    /// <summary>As CRIU restores it: entry after entry, the bytes of each where the one before ended.</summary>
    private static byte[] Restored(SharedPages store, int length)
    {
        byte[] content = new byte[length], pages = File.ReadAllBytes(store.Path);
        int from = 0;
        foreach (NodeAgent.Criu.PagemapEntry entry in store.Entries())
        {
            pages.AsSpan(from, (int)entry.Pages * Page).CopyTo(content.AsSpan((int)entry.Address));
            from += (int)entry.Pages * Page;
        }
        Assert.Equal(pages.Length, from);
        return content;
    }
}
