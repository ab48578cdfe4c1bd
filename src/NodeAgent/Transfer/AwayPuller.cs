using System.Collections.Concurrent;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.PageStore;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// The destination's end of post-copy: fetches the pages that stayed at the source into a fill. A connection that breaks costs time, never a
/// page: threads go on waiting, and the next connection asks again for what was not answered.
/// </summary>
internal sealed class AwayPuller(LazySession session)
{
    /// <summary>Pages of one stretch: what a page that a thread waits for has to wait for on a wire that both connections share.</summary>
    private const int Stretch = 64;

    /// <summary>Stretches asked for beyond the one that is being received: enough for the wire never to be idle.</summary>
    private const int Window = 4;

    /// <summary>Damaged answers in one connection; after that something is wrong beyond a bit.</summary>
    private const int MaxDamaged = 64;

    /// <summary>Pages that somebody waits for and that no answer has come for yet.</summary>
    private readonly ConcurrentDictionary<WantedPage, bool> _unanswered = new();

    /// <summary>Pages that processes stand still for. Returns when nothing is away any more.</summary>
    /// <exception cref="InvalidDataException">what arrives is not this protocol</exception>
    /// <exception cref="IOException">the connection broke</exception>
    public async Task PullWantedAsync(Stream stream, CancellationToken cancel)
    {
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        Task asking = AskWantedAsync(stream, over.Token);
        Task receiving = ReceiveAsync(stream, request =>
        {
            for (int page = 0; page < request.Pages; page++)
                _unanswered.TryRemove(new WantedPage(request.Pid, request.Address + (ulong)page * Interop.PageSize), out _);
        }, damaged => session.Want(new WantedPage(damaged.Pid, damaged.Address)), over.Token);
        await BothAsync(asking, receiving, over);
    }

    /// <summary>Everything else, in the order of addresses, until nothing is away any more.</summary>
    /// <inheritdoc cref="PullWantedAsync"/>
    public async Task PullAllAsync(Stream stream, CancellationToken cancel)
    {
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        using SemaphoreSlim window = new(Window);
        Task asking = AskAllAsync(stream, window, over.Token);
        // What was damaged stays away, and comes in the next turn over all.
        Task receiving = ReceiveAsync(stream, _ => window.Release(), _ => window.Release(), over.Token);
        await BothAsync(asking, receiving, over);
    }

    /// <summary>Waits for both halves of a connection; if one fails the other has nothing left to do.</summary>
    private static async Task BothAsync(Task asking, Task receiving, CancellationTokenSource over)
    {
        Task first = await Task.WhenAny(asking, receiving);
        if (!first.IsCompletedSuccessfully)
            await over.CancelAsync();
        try
        {
            await first;
        }
        finally
        {
            await Task.WhenAll(asking, receiving).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        await receiving;
        await asking;
    }

    private async Task AskWantedAsync(Stream stream, CancellationToken cancel)
    {
        foreach (WantedPage page in _unanswered.Keys)
            await AskAsync(stream, page.Pid, page.Address, 1, cancel);
        // Ends with the fill.
        while (await session.Wanted.WaitToReadAsync(cancel))
            while (session.Wanted.TryRead(out WantedPage page))
            {
                _unanswered[page] = true;
                await AskAsync(stream, page.Pid, page.Address, 1, cancel);
            }
        await AskAsync(stream, 0, 0, 0, cancel);
    }

    private async Task AskAllAsync(Stream stream, SemaphoreSlim window, CancellationToken cancel)
    {
        while (session.PagesAway > 0)
        {
            foreach ((int pid, ulong address, int pages) in session.AllAway(Stretch))
            {
                await window.WaitAsync(cancel);
                await AskAsync(stream, pid, address, pages, cancel);
            }
            // All that was asked for is answered before what is missing still is asked for once more.
            for (int place = 0; place < Window; place++)
                await window.WaitAsync(cancel);
            window.Release(Window);
        }
        await session.Filled.WaitAsync(cancel);
        await AskAsync(stream, 0, 0, 0, cancel);
    }

    private static async Task AskAsync(Stream stream, int pid, ulong address, int pages, CancellationToken cancel)
    {
        byte[] bytes = new byte[AwayRequest.Bytes];
        new AwayRequest(pid, address, pages).Write(bytes);
        await stream.WriteAsync(bytes, cancel);
        await stream.FlushAsync(cancel);
    }

    private async Task ReceiveAsync(Stream stream, Action<AwayRequest> answered, Action<AwayRequest> damaged, CancellationToken cancel)
    {
        byte[] head = new byte[PageFrame.HeadBytes + PageFrame.MaxRanges * 16], data = new byte[PageFrame.MaxData];
        int bad = 0;
        while (true)
        {
            PageFrameHead frame = await PageFrame.ReadHeadAsync(stream, head, cancel) ?? throw new EndOfStreamException("the source closed the connection before everything was here");
            if (frame.Kind == PageFrame.RoundEnd)
                return;
            if (frame.Kind != PageFrame.Batch || frame.Ranges == 0)
                throw new InvalidDataException($"a frame of kind {frame.Kind} with {frame.Ranges} ranges");
            await stream.ReadExactlyAsync(data.AsMemory(0, frame.Data), cancel);
            PageRange[] ranges = [.. Enumerable.Range(0, frame.Ranges).Select(i => PageFrame.ReadRange(head.AsSpan(PageFrame.HeadBytes + i * 16)))];
            ulong length = 0;
            foreach (PageRange range in ranges)
            {
                if (range.Address != ranges[0].Address + length || range.Kind is not (PageRangeKind.Data or PageRangeKind.Zero))
                    throw new InvalidDataException("an answer that is not one stretch of pages");
                length = range.Length <= PageFrame.MaxData - length ? length + range.Length : throw new InvalidDataException("an answer with more pages than anybody asks for");
            }
            if ((ulong)frame.Data != ranges.Where(range => range.Kind == PageRangeKind.Data).Aggregate(0UL, (sum, range) => sum + range.Length))
                throw new InvalidDataException("a frame whose data is not as long as its ranges");
            AwayRequest request = new(frame.Pid, ranges[0].Address, (int)(length / Interop.PageSize));
            if (Crc32C.Append(0, data.AsSpan(0, frame.Data)) != frame.Checksum)
            {
                if (++bad > MaxDamaged)
                    throw new InvalidDataException("memory from the source arrives damaged again and again: check the memory of both hosts");
                damaged(request);
                continue;
            }
            int at = 0;
            foreach (PageRange range in ranges)
            {
                int bytes = range.Kind == PageRangeKind.Data ? (int)range.Length : 0;
                session.Arrive(frame.Pid, range.Address, (int)(range.Length / Interop.PageSize), data.AsSpan(at, bytes));
                at += bytes;
            }
            answered(request);
        }
    }
}
