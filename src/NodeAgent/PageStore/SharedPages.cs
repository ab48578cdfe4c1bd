using Evacuator.NodeAgent.Criu;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.PageStore;

/// <summary>
/// One object of shared memory at its destination, as the image that CRIU's restore will read: the pages one after the other in the order of their arrival, without gaps, so that nothing has to
/// be copied together while the container stands still. Owns the file, which lies in memory (tmpfs) beside the images.
/// </summary>
/// <remarks>
/// <code>
/// object   ▕1 2 3 4   7 8▏      pages that have content
/// file     ▕1 2 3 4 7 8▏        a page that is new comes last; where one goes, the last takes its place
/// </code>
/// Any thread.
/// </remarks>
internal sealed class SharedPages : IDisposable
{
    private const int Page = (int)Interop.PageSize, RegionPages = 512;

    private readonly Lock _lock = new();
    private readonly SafeFileHandle _file;

    /// <summary>By number of the 2 MiB: for each page its place in the file and 1, or 0 where nothing is held.</summary>
    private readonly Dictionary<ulong, int[]> _places = [];

    /// <summary>The page at each place.</summary>
    private readonly List<ulong> _pages = [];

    private SharedPages(SafeFileHandle file, string path) => (_file, Path) = (file, path);

    public string Path { get; }

    public long Count
    {
        get
        {
            lock (_lock)
                return _pages.Count;
        }
    }

    public static SharedPages Create(string path)
    {
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        return new SharedPages(File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite, FileShare.ReadWrite), path);
    }

    /// <summary>Whole pages from an offset in the object; what was there before is replaced.</summary>
    public void Write(ulong offset, ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            ulong first = offset / Interop.PageSize;
            int pages = bytes.Length / Page, begun = 0, place = 0;
            for (int i = 0; i < pages; i++)
            {
                int at = PlaceOf(first + (ulong)i);
                if (i > begun && at != place + (i - begun))
                {
                    RandomAccess.Write(_file, bytes[(begun * Page)..(i * Page)], (long)place * Page);
                    begun = i;
                }
                if (i == begun)
                    place = at;
            }
            if (pages > begun)
                RandomAccess.Write(_file, bytes[(begun * Page)..(pages * Page)], (long)place * Page);
        }
    }

    /// <summary>Pages that are zero or gone: what is not held reads as zero.</summary>
    public void Drop(ulong offset, ulong length)
    {
        lock (_lock)
        {
            int before = _pages.Count;
            ulong first = offset / Interop.PageSize, end = (offset + length) / Interop.PageSize;
            // An object that is gone drops all that it could ever have had: walk what is held.
            foreach (ulong region in end - first > (ulong)_places.Count * RegionPages ? [.. _places.Keys] : Regions(first, end))
                if (_places.TryGetValue(region, out int[]? places))
                    for (int i = 0; i < RegionPages; i++)
                        if (places[i] > 0 && region * RegionPages + (ulong)i is var page && page >= first && page < end)
                            Remove(places, i);
            if (_pages.Count < before)
                RandomAccess.SetLength(_file, (long)_pages.Count * Page);
        }
    }

    /// <summary>The pagemap's entries, in the order of the file.</summary>
    public IReadOnlyList<PagemapEntry> Entries()
    {
        lock (_lock)
        {
            List<PagemapEntry> entries = [];
            foreach (ulong page in _pages)
                if (entries.Count > 0 && entries[^1] is { } last && last.End == page * Interop.PageSize)
                    entries[^1] = last with { Pages = last.Pages + 1 };
                else
                    entries.Add(new PagemapEntry(page * Interop.PageSize, 1, PagemapEntry.Present));
            return entries;
        }
    }

    public void Dispose()
    {
        _file.Dispose();
        // Who keeps this for its record of the move shall not keep this.
        lock (_lock)
        {
            _places.Clear();
            _places.TrimExcess();
            _pages.Clear();
            _pages.TrimExcess();
        }
    }

    private static IEnumerable<ulong> Regions(ulong firstPage, ulong endPage)
    {
        for (ulong region = firstPage / RegionPages; region * RegionPages < endPage; region++)
            yield return region;
    }

    private int PlaceOf(ulong page)
    {
        if (!_places.TryGetValue(page / RegionPages, out int[]? places))
            _places.Add(page / RegionPages, places = new int[RegionPages]);
        ref int place = ref places[page % RegionPages];
        if (place == 0)
        {
            _pages.Add(page);
            place = _pages.Count;
        }
        return place - 1;
    }

    private void Remove(int[] places, int index)
    {
        int free = places[index] - 1, last = _pages.Count - 1;
        places[index] = 0;
        if (free != last)
        {
            Span<byte> bytes = stackalloc byte[Page];
            if (RandomAccess.Read(_file, bytes, (long)last * Page) != Page)
                throw new IOException($"{Path} is shorter than what was written to it");
            RandomAccess.Write(_file, bytes, (long)free * Page);
            ulong moved = _pages[last];
            _pages[free] = moved;
            _places[moved / RegionPages][moved % RegionPages] = free + 1;
        }
        _pages.RemoveAt(last);
    }
}
