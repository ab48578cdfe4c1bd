using System.IO.Pipelines;
using System.Runtime.InteropServices;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.PageStore;
using Evacuator.NodeAgent.Tests.PageStore;
using Evacuator.NodeAgent.Transfer;
using Evacuator.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Evacuator.NodeAgent.Tests.Transfer;

/// <summary>Pages that stayed at the source: asked for, read there, given to threads that wait.</summary>
public sealed class AwayTests
{
    private const ulong Page = 4096;

    [RootFact]
    public async Task Server_OwnMemory_AnswersWhatItHolds()
    {
        const int Pages = 40;
        byte[] held = GC.AllocateArray<byte>((Pages + 1) * (int)Page, pinned: true);
        ulong start = ((ulong)Marshal.UnsafeAddrOfPinnedArrayElement(held, 0) + Page - 1) & ~(Page - 1);
        Memory<byte> bytes = held.AsMemory((int)(start - (ulong)Marshal.UnsafeAddrOfPinnedArrayElement(held, 0)), Pages * (int)Page);
        new Random(3).NextBytes(bytes.Span);
        bytes.Span.Slice(7 * (int)Page, (int)Page).Clear();
        (DuplexStream source, DuplexStream destination) = Pair();
        using AwayServer server = new(pid => pid == 5 ? Environment.ProcessId : null);
        Task serving = server.ServeAsync(source, CancellationToken.None);
        byte[] request = new byte[AwayRequest.Bytes], head = new byte[PageFrame.HeadBytes + PageFrame.MaxRanges * 16];

        new AwayRequest(5, start, Pages).Write(request);
        await destination.WriteAsync(request);
        PageFrameHead frame = (await PageFrame.ReadHeadAsync(destination, head, CancellationToken.None))!.Value;
        byte[] data = new byte[frame.Data];
        await destination.ReadExactlyAsync(data);
        new AwayRequest(0, 0, 0).Write(request);
        await destination.WriteAsync(request);
        PageFrameHead end = (await PageFrame.ReadHeadAsync(destination, head, CancellationToken.None))!.Value;
        await serving;

        Assert.Equal((3, (Pages - 1) * (int)Page, PageFrame.RoundEnd), (frame.Ranges, frame.Data, end.Kind));
        Assert.True(data.AsSpan(0, 7 * (int)Page).SequenceEqual(bytes.Span[..(7 * (int)Page)]));
        Assert.True(data.AsSpan(7 * (int)Page).SequenceEqual(bytes.Span[(8 * (int)Page)..]));
    }

    /// <summary>A page that was promised and is gone must never be answered as zero.</summary>
    [RootTheory]
    [InlineData(6, 0x10000UL)]
    [InlineData(5, 0x10000UL)]
    public async Task Server_MemoryThatIsGone_RefusesInsteadOfZero(int pid, ulong address)
    {
        (DuplexStream source, DuplexStream destination) = Pair();
        using AwayServer server = new(asked => asked == 5 ? Environment.ProcessId : null);
        byte[] request = new byte[AwayRequest.Bytes];
        new AwayRequest(pid, address, 1).Write(request);
        await destination.WriteAsync(request);
        Assert.Contains("gone", (await Assert.ThrowsAsync<InvalidDataException>(() => server.ServeAsync(source, CancellationToken.None))).Message);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(9)]
    [InlineData(23)]
    public void Request_AnyBitWrong_IsRefused(int at)
    {
        byte[] bytes = new byte[AwayRequest.Bytes];
        new AwayRequest(1, 16 * Page, 3).Write(bytes);
        Assert.Equal(new AwayRequest(1, 16 * Page, 3), AwayRequest.Read(bytes));
        bytes[at] ^= 4;
        Assert.Throws<InvalidDataException>(() => AwayRequest.Read(bytes));
    }

    /// <summary>Both connections, one of them breaking again and again and some answers damaged: every page arrives as it was.</summary>
    [RootFact]
    public async Task Puller_ConnectionsBreakAndBitsFlip_EveryPageArrives()
    {
        const int Pages = 2000;
        using WaitingMemory memory = new(Pages);
        ProcessPages pages = ProcessPages.Create(1);
        byte[] expected = new byte[Pages * (int)Page];
        new Random(5).NextBytes(expected);
        expected.AsSpan(100 * (int)Page, 50 * (int)Page).Clear();
        ulong start = memory.Address;
        pages.Leave(start, Pages * Page);
        using LazySession session = LazySession.Resume([new LazyProcess(memory.TakeDescriptor(), pages, pages.Table, new AddressMoves())],
            Path.GetTempPath(), TimeProvider.System, NullLogger.Instance, e => Assert.Fail(e.ToString()));
        AwayPuller puller = new(session);
        Task<bool> reading = Task.Factory.StartNew(() =>
        {
            bool same = true;
            for (int page = Pages - 1; page >= 0; page--)
                same &= WaitingMemory.Read(start + (ulong)page * Page).AsSpan().SequenceEqual(expected.AsSpan(page * (int)Page, (int)Page));
            return same;
        }, TaskCreationOptions.LongRunning);

        int broken = 0;
        async Task PullAsync(Func<Stream, CancellationToken, Task> pull, int breakAfter)
        {
            for (int connection = 1; ; connection++)
            {
                (DuplexStream source, DuplexStream destination) = Pair();
                Task serving = ServeAsync(source, connection * breakAfter);
                try
                {
                    await pull(destination, CancellationToken.None);
                    await serving;
                    return;
                }
                catch (IOException)
                {
                    broken++;
                    await serving;
                }
            }
        }

        await Task.WhenAll(PullAsync(puller.PullWantedAsync, 40), PullAsync(puller.PullAllAsync, 3)).WaitAsync(TimeSpan.FromMinutes(2));
        Assert.True(await reading, "a page was not what the source had");
        await session.Filled;
        Assert.True(broken > 0);

        // The source: answers so many requests, the last but one damaged, then hangs up.
        async Task ServeAsync(Stream stream, int requests)
        {
            byte[] asked = new byte[AwayRequest.Bytes], head = new byte[PageFrame.HeadBytes + 3 * 16];
            await using (stream)
                for (int left = requests; left > 0; left--)
                {
                    try
                    {
                        await stream.ReadExactlyAsync(asked);
                    }
                    catch (EndOfStreamException)
                    {
                        return;
                    }
                    AwayRequest request = AwayRequest.Read(asked);
                    if (request.Pages == 0)
                    {
                        await stream.WriteAsync(head.AsMemory(0, PageFrame.Write(head, PageFrame.RoundEnd, 0, [], 0, 0, 0)));
                        return;
                    }
                    byte[] data = expected.AsSpan((int)(request.Address - start), request.Pages * (int)Page).ToArray();
                    uint checksum = Crc32C.Compute(data);
                    if (left == 2)
                        data[17] ^= 1;
                    PageRange range = new(request.Address, (ulong)request.Pages * Page, PageRangeKind.Data);
                    await stream.WriteAsync(head.AsMemory(0, PageFrame.Write(head, PageFrame.Batch, request.Pid, [range], data.Length, checksum, 0)));
                    await stream.WriteAsync(data);
                }
        }
    }

    private static (DuplexStream, DuplexStream) Pair()
    {
        Pipe there = new(new PipeOptions(pauseWriterThreshold: 0)), back = new(new PipeOptions(pauseWriterThreshold: 0));
        return (new DuplexStream(there.Reader.AsStream(), back.Writer.AsStream()), new DuplexStream(back.Reader.AsStream(), there.Writer.AsStream()));
    }
}
