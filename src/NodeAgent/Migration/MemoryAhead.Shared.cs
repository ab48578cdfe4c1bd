using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Migration;

/// <summary>Shared memory, sent ahead like the rest, where the shim keeps CRIU from it and the destination takes it; else it is CRIU's, inside the freeze.</summary>
internal sealed partial class MemoryAhead
{
    private SharedTracker? _shared;

    /// <summary>There is shared memory to be sent.</summary>
    public bool HasShared => _shared is { Objects.Count: > 0 };

    private async Task SharedRoundAsync(CancellationToken cancel)
    {
        if (_shared is null)
            return;
        _shared.Find(_tracker.SharedPlaces);
        await SendSharedAsync(_shared.RoundAsync(frozen: false, cancel), giveWay: true, cancel);
    }

    /// <summary>While the container stands still: what has changed in it since the last round, beside the dump.</summary>
    public async Task SendSharedLastAsync(CancellationToken cancel)
    {
        if (_shared is not null)
            await SendSharedAsync(_shared.RoundAsync(frozen: true, cancel), giveWay: false, cancel);
    }

    /// <summary>What the dump left alone because it was sent ahead. An object that has an image with content all the same is left to that.</summary>
    /// <param name="images">where the dump is</param>
    /// <returns>null if none is sent ahead</returns>
    public IReadOnlyList<SharedArrival>? SharedArrivals(string images)
    {
        if (_shared is null)
            return null;
        List<SharedArrival> arrivals = [];
        foreach (SharedIdentity known in _shared.Objects)
        {
            string path = Path.Combine(images, PagemapImage.NameOfShared(known.Inode));
            // Without an image nobody has it any more.
            if (File.Exists(path) && PagemapImage.Read(File.ReadAllBytes(path)).Entries.Count == 0)
                arrivals.Add(new SharedArrival(known.Number, known.Inode, (long)(known.Held / Interop.PageSize)));
        }
        return arrivals;
    }

    /// <summary>The round's numbers with those of shared memory, which the tracker of the processes takes for what CRIU will write.</summary>
    private RoundStatistics WithShared(RoundStatistics round)
    {
        if (_shared?.LastRound is not { } shared)
            return round;
        HashSet<(uint, ulong)> ahead = [.. _shared.Objects.Select(known => (known.Device, known.Inode))];
        ulong counted = _tracker.SharedPlaces.Where(place => ahead.Contains((place.Device, place.Inode))).Aggregate(0UL, (sum, place) => sum + place.Bytes);
        return round with
        {
            UntrackedBytes = round.UntrackedBytes - Math.Min(counted, round.UntrackedBytes),
            DirtyBytes = round.DirtyBytes + shared.ChangedBytes,
            DataBytes = round.DataBytes + shared.ChangedBytes,
            SharedBytes = shared.HeldBytes,
            Duration = round.Duration + shared.Duration,
        };
    }

    private async Task SendSharedAsync(IAsyncEnumerable<PageBatch> batches, bool giveWay, CancellationToken cancel)
    {
        await foreach (PageBatch batch in batches)
            await SendAsync(batch, giveWay, cancel);
    }
}
