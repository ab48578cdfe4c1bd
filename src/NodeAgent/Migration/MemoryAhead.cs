using System.Buffers.Binary;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.Transfer;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Migration;

/// <summary>
/// The source's half of the engine: sends a container's memory while it runs, in rounds, and what is left once it is frozen. Ends with a list
/// of the memory that CRIU must not look at.
/// </summary>
internal sealed partial class MemoryAhead : IAsyncDisposable
{
    /// <summary>A round that leaves less than this on the wire at its end is good enough: the next could not do much better.</summary>
    private static readonly TimeSpan SmallResidue = TimeSpan.FromMilliseconds(15);

    /// <summary>Rounds without an end in sight: what a container writes faster than the wire takes, no further round will catch.</summary>
    private const int MaxRounds = 12;

    private readonly ContainerTracker _tracker;
    private readonly PageSender _sender;
    private readonly string _container;
    private readonly ILogger _log;
    private readonly Urgency _urgent;
    private readonly List<DamagedPages> _damaged = [];

    private MemoryAhead(ContainerTracker tracker, PageSender sender, string container, Urgency urgent, ILogger log) =>
        (_tracker, _sender, _container, _urgent, _log) = (tracker, sender, container, urgent, log);

    public long BytesSent => _sender.BytesSent;

    public int Rounds { get; private set; }

    public static async Task<MemoryAhead> StartAsync(ContainerDescription container, PeerClient peer, MoveTools tools, ILogger log, CancellationToken cancel)
    {
        PageSender sender = new(await peer.OpenPagesAsync(tools.MemoryStreams, cancel));
        try
        {
            ContainerTracker tracker = await ContainerTracker.AttachAsync(KernelPaths.Default.CgroupDirectory(container.CgroupPath), tools.Memory, tools.Time);
            foreach (ProcessTracking process in tracker.Processes.Where(process => process.WhyUntracked is not null))
                LogUntracked(log, container.Name, process.HostPid, process.WhyUntracked!);
            return new MemoryAhead(tracker, sender, container.Name, tools.Urgent, log);
        }
        catch
        {
            await sender.DisposeAsync();
            throw;
        }
    }

    /// <summary>Rounds while the container runs, until what is left is small or does not become less.</summary>
    /// <param name="freezeBudget">if the rest alone would take longer than this, the container is not frozen at all</param>
    /// <param name="progress">told after each round</param>
    /// <exception cref="ContainerException">it writes faster than its memory can be sent</exception>
    public async Task PreCopyAsync(TimeSpan freezeBudget, Action progress, CancellationToken cancel)
    {
        double before = double.PositiveInfinity;
        while (true)
        {
            await RoundAsync(_tracker.RoundAsync(cancel), giveWay: true, cancel);
            Rounds++;
            RoundStatistics round = _tracker.LastRound!;
            progress();
            double seconds = Math.Max(round.Duration.TotalSeconds, 1e-6);
            LogRound(_log, _container, Rounds, (long)(round.DataBytes >> 10), round.Duration.TotalMilliseconds, (long)(round.TrackedBytes >> 10));
            // What was written while a round was sent is what the next finds: its length is the best guess of the rest.
            double residue = seconds;
            bool small = residue <= SmallResidue.TotalSeconds, stuck = Rounds > 2 && residue > 0.8 * before;
            if (small || stuck || Rounds >= MaxRounds)
            {
                if (residue > freezeBudget.TotalSeconds)
                    throw new ContainerException(BlockerCode.None,
                        $"{_container} writes memory faster than it can be sent: {round.DataBytes >> 20} MiB are left after {Rounds} rounds, which take {residue * 1000:0} ms, "
                        + $"and its freeze budget is {freezeBudget.TotalMilliseconds:0} ms; it runs on");
                return;
            }
            before = residue;
        }
    }

    /// <summary>The last round, while the container is frozen; then the list for the shim.</summary>
    public async Task FinishAsync(string ownedFile, CancellationToken cancel)
    {
        await RoundAsync(_tracker.FrozenRoundAsync(cancel), giveWay: false, cancel);
        if (_damaged.Count > 0)
            await SendAgainAsync(cancel);
        await WriteOwnedAsync(ownedFile, cancel);
    }

    public async ValueTask DisposeAsync()
    {
        _tracker.Dispose();
        await _sender.DisposeAsync();
    }

    private async Task RoundAsync(IAsyncEnumerable<PageBatch> batches, bool giveWay, CancellationToken cancel)
    {
        await foreach (PageBatch batch in batches)
        {
            if (giveWay)
                await _urgent.GiveWayAsync(cancel);
            await _sender.SendAsync(batch, cancel);
        }
        _damaged.AddRange(await _sender.EndRoundAsync(cancel));
    }

    /// <summary>Pages that a checksum refused, read again from the frozen process.</summary>
    private async Task SendAgainAsync(CancellationToken cancel)
    {
        LogDamaged(_log, _container, _damaged.Count);
        using BatchBuffers buffers = new(2);
        for (int attempt = 0; attempt < 3 && _damaged.Count > 0; attempt++)
        {
            DamagedPages[] again = [.. _damaged];
            _damaged.Clear();
            foreach (IGrouping<int, DamagedPages> process in again.GroupBy(pages => pages.Pid))
            {
                if (_tracker.Memory.FirstOrDefault(memory => memory.Pid == process.Key) is not { } memory)
                    continue;
                PageReader reader = new(memory.HostPid, memory.Pid, buffers);
                foreach (DamagedPages pages in process.OrderBy(pages => pages.Address))
                    foreach (MemoryRange held in memory.Stored.Where(range => range.Start < pages.Address + pages.Length && range.End > pages.Address))
                        reader.Add(Math.Max(held.Start, pages.Address), Math.Min(held.End, pages.Address + pages.Length), PageRangeKind.Data);
                while (!reader.IsEmpty)
                    await _sender.SendAsync(reader.Read(await buffers.RentAsync(cancel)), cancel);
            }
            _damaged.AddRange(await _sender.EndRoundAsync(cancel));
        }
        if (_damaged.Count > 0)
            throw new InvalidDataException($"memory of {_container} arrives damaged again and again: check the memory of both hosts");
    }

    /// <summary>See native/criu-shim.c for the layout.</summary>
    private async Task WriteOwnedAsync(string file, CancellationToken cancel)
    {
        List<(int Pid, MemoryRange Range)> owned =
            [.. _tracker.Memory.OrderBy(memory => memory.HostPid).SelectMany(memory => memory.Owned.OrderBy(range => range.Start).Select(range => (memory.HostPid, range)))];
        byte[] content = new byte[16 + owned.Count * 24];
        BinaryPrimitives.WriteUInt32LittleEndian(content, 0x524F5645); // "EVOR"
        BinaryPrimitives.WriteUInt32LittleEndian(content.AsSpan(4), 1);
        BinaryPrimitives.WriteUInt64LittleEndian(content.AsSpan(8), (ulong)owned.Count);
        for (int i = 0; i < owned.Count; i++)
        {
            Span<byte> entry = content.AsSpan(16 + i * 24);
            BinaryPrimitives.WriteInt32LittleEndian(entry, owned[i].Pid);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], owned[i].Range.Start);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], owned[i].Range.End);
        }
        await File.WriteAllBytesAsync(file, content, cancel);
    }

    [LoggerMessage(1601, LogLevel.Information, "{Container}: round {Round} sent {Kilobytes} KiB in {Milliseconds:0.0} ms, {Tracked} KiB are tracked")]
    private static partial void LogRound(ILogger log, string container, int round, long kilobytes, double milliseconds, long tracked);

    [LoggerMessage(1602, LogLevel.Warning, "{Container}: process {Pid} cannot be tracked ({Reason}); its memory is sent while it is frozen")]
    private static partial void LogUntracked(ILogger log, string container, int pid, string reason);

    [LoggerMessage(1603, LogLevel.Error, "{Container}: {Count} stretches of memory arrived damaged; sending them again")]
    private static partial void LogDamaged(ILogger log, string container, int count);
}
