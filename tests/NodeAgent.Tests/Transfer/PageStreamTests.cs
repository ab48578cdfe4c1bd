using System.IO.Pipelines;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.PageStore;
using Evacuator.NodeAgent.Transfer;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Transfer;

/// <summary>Memory from a sender's batches into the receiver's stores, over a pipe in this process.</summary>
public sealed class PageStreamTests : IDisposable
{
    private const ulong Page = 4096;
    private readonly Dictionary<int, ProcessPages> _stores = [];
    private readonly BatchBuffers _buffers = new(4);
    private readonly TemporaryFolder _folder = new();
    private readonly List<SharedPages> _shared = [];
    private PageReceiver? _receiver;

    public void Dispose()
    {
        foreach (ProcessPages store in _stores.Values)
            store.Dispose();
        foreach (SharedPages pages in _shared)
            pages.Dispose();
        _folder.Dispose();
        _buffers.Dispose();
    }

    [Fact]
    public async Task Rounds_DataZeroAndDropped_LeaveTheLastState()
    {
        (PageSender sender, Task receiving) = Connect(1 << 30, damage: null);
        await SendAsync(sender, 1, [new PageRange(510 * Page, 4 * Page, PageRangeKind.Data), new PageRange(9000 * Page, 2 * Page, PageRangeKind.Data)], fill: 1);
        await SendAsync(sender, 2, [new PageRange(510 * Page, Page, PageRangeKind.Data)], fill: 2);
        Assert.Empty(await sender.EndRoundAsync(CancellationToken.None));
        await SendAsync(sender, 1, [new PageRange(511 * Page, Page, PageRangeKind.Zero), new PageRange(512 * Page, Page, PageRangeKind.Data), new PageRange(9000 * Page, Page, PageRangeKind.Dropped)], fill: 3);
        // A process that has ended: all of its address space.
        await SendAsync(sender, 2, [new PageRange(0, (1UL << 47) - Page, PageRangeKind.Dropped)], fill: 0);
        Assert.Empty(await sender.EndRoundAsync(CancellationToken.None));
        await sender.DisposeAsync();
        await receiving;

        Assert.Equal([(510 * Page, 1UL), (512 * Page, 2UL), (9001 * Page, 1UL)], _stores[1].Runs());
        Assert.Empty(_stores[2].Runs());
        Assert.Equal(3, FirstByte(1, 512 * Page));
        Assert.Equal(1, FirstByte(1, 513 * Page));
    }

    [Fact]
    public async Task Data_DamagedOnItsWay_IsNamedAndNotKept()
    {
        // The 100th byte after the frame's head: somewhere in the first page.
        (PageSender sender, Task receiving) = Connect(1 << 30, damage: PageFrame.HeadBytes + 16 + 100);
        await SendAsync(sender, 7, [new PageRange(Page, Page, PageRangeKind.Data)], fill: 9);
        IReadOnlyList<DamagedPages> damaged = await sender.EndRoundAsync(CancellationToken.None);
        Assert.Equal([new DamagedPages(7, Page, Page)], damaged);
        Assert.Empty(_stores[7].Runs());

        await SendAsync(sender, 7, [new PageRange(Page, Page, PageRangeKind.Data)], fill: 9);
        Assert.Empty(await sender.EndRoundAsync(CancellationToken.None));
        await sender.DisposeAsync();
        await receiving;
        Assert.Equal([(Page, 1UL)], _stores[7].Runs());
    }

    [Fact]
    public async Task Memory_MoreThanReserved_IsRefused()
    {
        (PageSender sender, Task receiving) = Connect((long)Page, damage: null);
        await SendAsync(sender, 1, [new PageRange(Page, 2 * Page, PageRangeKind.Data)], fill: 1);

        await Assert.ThrowsAnyAsync<IOException>(() => sender.EndRoundAsync(CancellationToken.None));
        Assert.Contains("reserved", (await Assert.ThrowsAsync<InvalidDataException>(() => receiving)).Message);
    }

    /// <summary>A source that never ends its round must not get more memory for it.</summary>
    [Fact]
    public async Task Memory_MoreThanReservedWithoutAnEndOfTheRound_IsRefused()
    {
        (PageSender sender, Task receiving) = Connect(4 * (long)Page, damage: null);
        for (ulong page = 1; page < 16; page++)
            await SendAsync(sender, 1, [new PageRange(page * Page, Page, PageRangeKind.Data)], fill: 1);

        Assert.Contains("reserved", (await Assert.ThrowsAsync<InvalidDataException>(() => receiving.WaitAsync(TimeSpan.FromSeconds(20)))).Message);
    }

    /// <summary>The same pages again and again are what rounds are for.</summary>
    [Fact]
    public async Task Memory_SentManyTimes_CountsOnce()
    {
        (PageSender sender, Task receiving) = Connect(4 * (long)Page, damage: null);
        for (int time = 0; time < 16; time++)
            await SendAsync(sender, 1, [new PageRange(Page, 2 * Page, PageRangeKind.Data)], fill: 1);
        await sender.EndRoundAsync(CancellationToken.None);

        Assert.False(receiving.IsCompleted);
        await sender.DisposeAsync();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    [InlineData(7)]
    [InlineData(12)]
    [InlineData(PageFrame.HeadBytes + 3)]
    public async Task Head_AnyBitWrong_EndsTheStream(int at)
    {
        (PageSender sender, Task receiving) = Connect(1 << 30, damage: at);
        await SendAsync(sender, 1, [new PageRange(Page, Page, PageRangeKind.Data)], fill: 1);
        _ = sender.EndRoundAsync(CancellationToken.None).ContinueWith(task => task.Exception, TaskScheduler.Default);

        Assert.True(await Record.ExceptionAsync(() => receiving) is InvalidDataException or EndOfStreamException);
    }

    /// <summary>What is void must not arrive after what has come in its place, whichever connection is quicker.</summary>
    [Fact]
    public async Task Lanes_DataBeforeTheVoidThatItFollows_WaitsForIt()
    {
        PageReceiver receiver = new(_stores, 1 << 30);
        byte[] data = [.. Enumerable.Repeat((byte)2, (int)Page)];
        Task second = receiver.ReceiveAsync(Frames((1, new PageRange(Page, Page, PageRangeKind.Data), data, 1)), CancellationToken.None);
        await receiver.ReceiveAsync(Frames((1, new PageRange(0, (1UL << 47) - Page, PageRangeKind.Dropped), [], 0)), CancellationToken.None);
        await second;

        Assert.Equal([(Page, 1UL)], _stores[1].Runs());
        Assert.Equal(2, FirstByte(1, Page));
    }

    [Fact]
    public async Task Lanes_ManyBatches_ArriveOnAllOfThem()
    {
        (PageSender sender, Task receiving) = Connect(1 << 30, damage: null, lanes: 3);
        for (int round = 1; round <= 3; round++)
        {
            await SendAsync(sender, 1, [new PageRange(Page, 200 * Page, PageRangeKind.Dropped)], fill: 0);
            for (ulong page = 1; page <= 100; page++)
                await SendAsync(sender, 1, [new PageRange(page * Page, Page, PageRangeKind.Data)], fill: (byte)(round + (int)page));
            Assert.Empty(await sender.EndRoundAsync(CancellationToken.None));
        }
        await sender.DisposeAsync();
        await receiving;

        Assert.Equal([(Page, 100UL)], _stores[1].Runs());
        for (ulong page = 1; page <= 100; page++)
            Assert.Equal((byte)(3 + (int)page), FirstByte(1, page * Page));
    }

    [Fact]
    public async Task Lanes_OneBreaks_TheSenderSaysSoAndHangsNowhere()
    {
        PageSender sender = new([new DuplexStream(Stream.Null, Stream.Null), new DuplexStream(Stream.Null, new Broken())]);
        Task sending = Task.Run(async () =>
        {
            for (int batch = 0; batch < 64; batch++)
                await SendAsync(sender, 1, [new PageRange(Page, 8 * Page, PageRangeKind.Data)], fill: 1);
            await sender.EndRoundAsync(CancellationToken.None);
        });
        await Assert.ThrowsAnyAsync<IOException>(() => sending.WaitAsync(TimeSpan.FromSeconds(20)));
        await sender.DisposeAsync();
    }

    [Fact]
    public async Task Shared_DataAndVoid_ArriveInTheirImage()
    {
        (PageSender sender, Task receiving) = Connect(1 << 30, damage: null, shared: true);
        await SendAsync(sender, -1, [new PageRange(0, 3 * Page, PageRangeKind.Data), new PageRange(700 * Page, 2 * Page, PageRangeKind.Data)], fill: 1);
        await SendAsync(sender, -2, [new PageRange(Page, Page, PageRangeKind.Data)], fill: 2);
        Assert.Empty(await sender.EndRoundAsync(CancellationToken.None));
        await SendAsync(sender, -1, [new PageRange(Page, Page, PageRangeKind.Zero), new PageRange(701 * Page, Page, PageRangeKind.Data)], fill: 3);
        await SendAsync(sender, -2, [new PageRange(0, 1UL << 55, PageRangeKind.Dropped)], fill: 0);
        Assert.Empty(await sender.EndRoundAsync(CancellationToken.None));
        await sender.DisposeAsync();
        await receiving;

        // The last page of the image has taken the place of the one that is gone.
        Assert.Equal(
            [new PagemapEntry(0, 1, PagemapEntry.Present), new PagemapEntry(701 * Page, 1, PagemapEntry.Present), new PagemapEntry(2 * Page, 1, PagemapEntry.Present), new PagemapEntry(700 * Page, 1, PagemapEntry.Present)],
            _receiver!.Shared[-1].Entries());
        Assert.Equal([1, 3, 1, 1], Enumerable.Range(0, 4).Select(page => (int)File.ReadAllBytes(_receiver.Shared[-1].Path)[page * (int)Page]));
        Assert.Equal(4 * (int)Page, new FileInfo(_receiver.Shared[-1].Path).Length);
        Assert.Equal(0, new FileInfo(_receiver.Shared[-2].Path).Length);
        Assert.Empty(_stores);
    }

    [Fact]
    public async Task Shared_DamagedOnItsWay_IsNamedAndWhatWasThereIsKept()
    {
        (PageSender sender, Task receiving) = Connect(1 << 30, damage: PageFrame.HeadBytes + 16 + 100, shared: true);
        await SendAsync(sender, -3, [new PageRange(Page, Page, PageRangeKind.Data)], fill: 9);
        Assert.Equal([new DamagedPages(-3, Page, Page)], await sender.EndRoundAsync(CancellationToken.None));
        Assert.Equal(0, _receiver!.Shared[-3].Count);
        await SendAsync(sender, -3, [new PageRange(Page, Page, PageRangeKind.Data)], fill: 9);
        Assert.Empty(await sender.EndRoundAsync(CancellationToken.None));
        await sender.DisposeAsync();
        await receiving;
        Assert.Equal(1, _receiver.Shared[-3].Count);
    }

    [Fact]
    public async Task Shared_MoreThanReserved_IsRefused()
    {
        (PageSender sender, Task receiving) = Connect(4 * (long)Page, damage: null, shared: true);
        for (ulong page = 0; page < 16; page++)
            await SendAsync(sender, -1, [new PageRange(page * Page, Page, PageRangeKind.Data)], fill: 1);
        Assert.Contains("reserved", (await Assert.ThrowsAsync<InvalidDataException>(() => receiving.WaitAsync(TimeSpan.FromSeconds(20)))).Message);
    }

    [Fact]
    public async Task Shared_ToWhoTakesNone_IsRefused()
    {
        (PageSender sender, Task receiving) = Connect(1 << 30, damage: null);
        await SendAsync(sender, -1, [new PageRange(Page, Page, PageRangeKind.Data)], fill: 1);
        await Assert.ThrowsAsync<InvalidDataException>(() => receiving.WaitAsync(TimeSpan.FromSeconds(20)));
        await sender.DisposeAsync();
    }

    /// <summary>Lengths that do not fit together must not be written anywhere.</summary>
    [Theory]
    [InlineData(1, 2)]
    [InlineData(2, 1)]
    public async Task Shared_RangesAndDataDiffer_IsRefused(int ranges, int data)
    {
        PageReceiver receiver = new(_stores, 1 << 30) { NewShared = NewShared, MaxSharedBytes = 1 << 30 };
        MemoryStream frame = Frames((-1, new PageRange(Page, (ulong)ranges * Page, PageRangeKind.Data), new byte[data * (int)Page], 0));
        await Assert.ThrowsAsync<InvalidDataException>(() => receiver.ReceiveAsync(frame, CancellationToken.None));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(-1)]
    public async Task Compressed_ArrivesAsItWas(int pid)
    {
        (PageSender sender, Task receiving) = Connect(1 << 30, damage: null, shared: true, compress: true);
        await SendAsync(sender, pid, [new PageRange(510 * Page, 100 * Page, PageRangeKind.Data), new PageRange(700 * Page, Page, PageRangeKind.Zero), new PageRange(9000 * Page, 50 * Page, PageRangeKind.Data)], fill: 7);
        Assert.Empty(await sender.EndRoundAsync(CancellationToken.None));
        // All but nothing of 600 KiB.
        Assert.InRange(sender.BytesSent, 1, 20_000);
        await sender.DisposeAsync();
        await receiving;
        if (pid < 0)
        {
            Assert.Equal([new PagemapEntry(510 * Page, 100, PagemapEntry.Present), new PagemapEntry(9000 * Page, 50, PagemapEntry.Present)], _receiver!.Shared[pid].Entries());
            Assert.All(File.ReadAllBytes(_receiver.Shared[pid].Path), bytes => Assert.Equal(7, bytes));
            return;
        }
        Assert.Equal([(510 * Page, 100UL), (9000 * Page, 50UL)], _stores[1].Runs());
        Assert.Equal((7, 7, 7), (FirstByte(1, 510 * Page), FirstByte(1, 609 * Page), FirstByte(1, 9049 * Page)));
    }

    /// <summary>What cannot be compressed goes as it is.</summary>
    [Fact]
    public async Task Compressed_OfNoise_IsLeftAlone()
    {
        (PageSender sender, Task receiving) = Connect(1 << 30, damage: null, compress: true);
        byte[] buffer = await _buffers.RentAsync(CancellationToken.None);
        new Random(3).NextBytes(buffer);
        byte first = buffer[0];
        await sender.SendAsync(new PageBatch(_buffers, buffer, 64 * (int)Page, 101, 1, [new PageRange(Page, 64 * Page, PageRangeKind.Data)]), CancellationToken.None);
        Assert.Empty(await sender.EndRoundAsync(CancellationToken.None));
        Assert.InRange(sender.BytesSent, 64 * (int)Page, 65 * (int)Page);
        await sender.DisposeAsync();
        await receiving;
        Assert.Equal(first, FirstByte(1, Page));
    }

    /// <summary>A block that is none, or is another: its checksum finds it out.</summary>
    [Fact]
    public async Task Compressed_DamagedOnItsWay_IsNamedAndNotKept()
    {
        (PageSender sender, Task receiving) = Connect(1 << 30, damage: PageFrame.HeadBytes + 16 + 9, compress: true);
        await SendAsync(sender, 7, [new PageRange(Page, 64 * Page, PageRangeKind.Data)], fill: 9);
        Assert.Equal([new DamagedPages(7, Page, 64 * Page)], await sender.EndRoundAsync(CancellationToken.None));
        Assert.Empty(_stores[7].Runs());
        await sender.DisposeAsync();
        await receiving;
    }

    /// <summary>A small block that says to be large.</summary>
    [Fact]
    public async Task Compressed_OfMoreThanAFrame_IsRefused()
    {
        PageReceiver receiver = new(_stores, 1 << 30);
        byte[] head = new byte[PageFrame.HeadBytes + 16];
        int length = PageFrame.Write(head, PageFrame.Compressed, 1, [new PageRange(Page, 257 * Page, PageRangeKind.Data)], 100, 0, 0);
        MemoryStream stream = new([.. head.AsSpan(0, length), .. new byte[100]]);
        await Assert.ThrowsAsync<InvalidDataException>(() => receiver.ReceiveAsync(stream, CancellationToken.None));
    }

    private SharedPages NewShared(int number)
    {
        SharedPages pages = SharedPages.Create(Path.Combine(_folder.Path, $"{-number}"));
        _shared.Add(pages);
        return pages;
    }

    private (PageSender, Task) Connect(long reserved, int? damage, int lanes = 1, bool shared = false, bool compress = false)
    {
        PageReceiver receiver = _receiver = new(_stores, reserved) { NewShared = shared ? NewShared : null, MaxSharedBytes = reserved };
        List<Stream> sources = [];
        List<Task> receiving = [];
        for (int lane = 0; lane < lanes; lane++)
        {
            Pipe there = new(new PipeOptions(pauseWriterThreshold: 0)), back = new();
            sources.Add(new DuplexStream(back.Reader.AsStream(), there.Writer.AsStream(), damage));
            receiving.Add(ReceiveAsync(new DuplexStream(there.Reader.AsStream(), back.Writer.AsStream())));
        }
        return (new PageSender(sources, compress: compress), lanes == 1 ? receiving[0] : Task.WhenAll(receiving));

        async Task ReceiveAsync(Stream destination)
        {
            await using (destination)
                await receiver.ReceiveAsync(destination, CancellationToken.None);
        }
    }

    private static MemoryStream Frames(params (int Pid, PageRange Range, byte[] Data, uint After)[] frames)
    {
        MemoryStream stream = new();
        foreach ((int pid, PageRange range, byte[] data, uint after) in frames)
        {
            byte[] head = new byte[PageFrame.HeadBytes + 16];
            stream.Write(head.AsSpan(0, PageFrame.Write(head, PageFrame.Batch, pid, [range], data.Length, Crc32C.Compute(data), after)));
            stream.Write(data);
        }
        stream.Position = 0;
        return stream;
    }

    private async Task SendAsync(PageSender sender, int pid, PageRange[] ranges, byte fill)
    {
        byte[] buffer = await _buffers.RentAsync(CancellationToken.None);
        int length = ranges.Where(range => range.Kind == PageRangeKind.Data).Sum(range => (int)range.Length);
        buffer.AsSpan(0, length).Fill(fill);
        await sender.SendAsync(new PageBatch(_buffers, buffer, length, 100 + pid, pid, ranges), CancellationToken.None);
    }

    private unsafe byte FirstByte(int pid, ulong address)
    {
        ProcessPages store = _stores[pid];
        return *store.Locate(store.Table.Find(address), (int)(address / Page % RegionTable.PagesPerRegion));
    }

    private sealed class Broken : MemoryStream
    {
        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancel = default) => throw new IOException("broken");
    }
}
