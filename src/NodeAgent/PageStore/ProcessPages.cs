using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.PageStore;

/// <summary>
/// The memory of one process at its destination: the bytes in a memfd, 2 MiB of file for each 2 MiB of address space that has any page, and
/// a table of what is held. Owns both memfds and the mappings.
/// </summary>
/// <remarks>
/// <code>
/// address space   ▕  ▒▒▏     ▏▒▒▒▒▏      ▏▒   ▏      regions of 2 MiB that have pages
/// data memfd      ▕▒▒  ▏▒▒▒▒▏▒   ▏                   one chunk each, in order of arrival; holes cost nothing
/// </code>
/// The arriving side writes (one thread a process at a time); after that the filler reads and gives memory back chunk by chunk.
/// </remarks>
internal sealed unsafe class ProcessPages : IDisposable
{
    /// <summary>Beginning of the memfd's name.</summary>
    public const string FileName = "evacuator-pages-";

    /// <summary>Mapped at once: 512 chunks. Only touched pages take memory.</summary>
    private const ulong SlabBytes = 1UL << 30;

    /// <summary>The least stretch that makes all of its region: half of one is half wasted if nothing else comes.</summary>
    private const int LeastWhole = 512 * 1024;

    /// <summary>A store may be larger than what it holds by so much, and an eighth.</summary>
    private const long Slack = 4 << 20;

    /// <summary>A large page that took longer was put together from scattered memory: after so many of them pages are small again.</summary>
    private const int MaxSlow = 8;

    private static readonly TimeSpan s_slow = TimeSpan.FromMilliseconds(4);

    private readonly List<nint> _slabs = [];
    private int _users = 1;

    /// <summary>
    /// Bytes that are owed, and bytes of regions that were ever made whole. What is dropped again, or arrives damaged, counts no more: a process that maps memory here and there for
    /// a while leaves the rest of a large page behind at each place.
    /// </summary>
    private long _owed;
    private long _whole;
    private int _slow;

    private ProcessPages(SafeFileHandle data, RegionTable table) => (Data, Table) = (data, table);

    public SafeFileHandle Data { get; }

    public RegionTable Table { get; }

    public int VirtualPid => Table.VirtualPid;

    /// <inheritdoc cref="RegionTable.Create"/>
    public static ProcessPages Create(int virtualPid, Guid move = default)
    {
        SafeFileHandle data = Interop.CreateMemoryFile($"{FileName}{virtualPid}", Interop.FileMemory.MFD_CLOEXEC);
        if (data.IsInvalid)
            throw Interop.Failure("memfd_create", Interop.LastError);
        return new ProcessPages(data, RegionTable.Create(virtualPid, move));
    }

    /// <summary>Takes over what an earlier life of the agent left with systemd.</summary>
    public static ProcessPages Open(SafeFileHandle data, SafeFileHandle table)
    {
        ProcessPages pages = new(data, RegionTable.Open(table));
        pages.EnsureChunks(pages.Table.Count);
        return pages;
    }

    /// <summary>Where the bytes of a page go or are; the rest of its region follows at the same distances as in the process.</summary>
    public byte* Locate(int region, int page)
    {
        ulong offset = Table.At(region).Chunk * RegionTable.RegionBytes + (ulong)page * Interop.PageSize;
        return (byte*)_slabs[(int)(offset / SlabBytes)] + offset % SlabBytes;
    }

    /// <summary>The longest stretch from an address that lies in one region, with its place in the store.</summary>
    /// <returns>place of the bytes, region, page in it, and how many of the bytes fit there</returns>
    public (nint Bytes, int Region, int Page, int Length) Place(ulong address, ulong length) => Place(address, length, out _);

    /// <inheritdoc cref="Place(ulong, ulong)"/>
    /// <param name="isWhole">the region is new and will likely be full: <see cref="MakeWhole"/> pays</param>
    public (nint Bytes, int Region, int Page, int Length) Place(ulong address, ulong length, out bool isWhole)
    {
        int known = Table.Count;
        int region = Table.FindOrAdd(address);
        EnsureChunks(region + 1);
        int page = (int)((address & (RegionTable.RegionBytes - 1)) / Interop.PageSize);
        ulong fits = Math.Min(length, (ulong)(RegionTable.PagesPerRegion - page) * Interop.PageSize);
        long owed = _owed + (long)fits;
        isWhole = region == known && fits >= LeastWhole && _slow < MaxSlow && _whole + (long)RegionTable.RegionBytes <= owed + owed / 8 + Slack;
        if (isWhole)
            _whole += (long)RegionTable.RegionBytes;
        return ((nint)Locate(region, page), region, page, (int)fits);
    }

    /// <summary>
    /// Makes a region's memory as one large page: making and giving back 512 small ones takes longer (bench.sh, fill).
    /// May run beside everything else.
    /// </summary>
    /// <returns>false if the kernel has none at hand: small pages have to do</returns>
    public bool MakeWhole(int region, TimeProvider time)
    {
        long start = time.GetTimestamp();
        nint bytes = (nint)Locate(region, 0);
        // Nothing at all is not made into a large page; one small one is.
        Interop.Populate(bytes, (int)Interop.PageSize);
        bool made = Interop.Advise((void*)bytes, (nuint)RegionTable.RegionBytes, Interop.FileMemory.MADV_COLLAPSE) == 0;
        if (!made || time.GetElapsedTime(start) > s_slow)
            Interlocked.Increment(ref _slow);
        else
            Volatile.Write(ref _slow, 0);
        return made;
    }

    /// <summary>The bytes at a place have been written and checked.</summary>
    public void Keep(int region, int page, int length)
    {
        Count(region, page, length / (int)Interop.PageSize);
        Table.At(region).Arrive(page, length / (int)Interop.PageSize);
    }

    /// <summary>Pages that stay at the source for now; what is here of them is void.</summary>
    public void Leave(ulong address, ulong length)
    {
        for (ulong at = address; at < address + length;)
        {
            (_, int region, int page, int step) = Place(at, address + length - at);
            Count(region, page, step / (int)Interop.PageSize);
            Table.At(region).Leave(page, step / (int)Interop.PageSize);
            at += (ulong)step;
        }
    }

    /// <summary>Pages that are zero or gone: the store knows nothing of them, and what it does not know reads as zero.</summary>
    public void Drop(ulong address, ulong length)
    {
        // A process that has ended drops all of its address space at once: walk what is held, not what could be.
        if (length / RegionTable.RegionBytes > (ulong)Table.Count)
        {
            for (int region = 0; region < Table.Count; region++)
            {
                ulong start = Math.Max(address, Table.At(region).Base), end = Math.Min(address + length, Table.At(region).Base + RegionTable.RegionBytes);
                if (start < end)
                    DropIn(region, start, end - start);
            }
            return;
        }
        for (ulong at = address; at < address + length;)
        {
            ulong step = Math.Min(address + length - at, RegionTable.RegionBytes - (at & (RegionTable.RegionBytes - 1)));
            int region = Table.Find(at);
            if (region >= 0)
                DropIn(region, at, step);
            at += step;
        }
    }

    /// <summary>No forked child is owed any of it.</summary>
    public bool IsOnlyUser => Volatile.Read(ref _users) == 1;

    /// <summary>Gives a region's memory back; without effect once the store is gone.</summary>
    /// <param name="chunk">its <see cref="RegionTable.Region.Chunk"/></param>
    public void Release(ulong chunk)
    {
        try
        {
            Release((long)(chunk * RegionTable.RegionBytes), (long)RegionTable.RegionBytes);
        }
        catch (ObjectDisposedException)
        {
            // With it went all of its memory.
        }
    }

    /// <summary>Runs of owed pages, here or away, in the order of their addresses: what the pagemap image must call lazy.</summary>
    public IEnumerable<(ulong Address, ulong Pages)> Runs()
    {
        ulong start = 0, pages = 0;
        foreach (int region in Enumerable.Range(0, Table.Count).OrderBy(region => Table.At(region).Base))
        {
            for (int from = 0; from < RegionTable.PagesPerRegion;)
            {
                (int first, int count) = Table.At(region).NextOwed(from);
                if (count == 0)
                    break;
                ulong address = Table.At(region).Base + (ulong)first * Interop.PageSize;
                if (address == start + pages * Interop.PageSize && pages > 0)
                {
                    pages += (ulong)count;
                }
                else
                {
                    if (pages > 0)
                        yield return (start, pages);
                    (start, pages) = (address, (ulong)count);
                }
                from = first + count;
            }
        }
        if (pages > 0)
            yield return (start, pages);
    }

    /// <summary>One more that reads the bytes: a forked child.</summary>
    public void AddUser() => Interlocked.Increment(ref _users);

    public void Dispose()
    {
        if (Interlocked.Decrement(ref _users) > 0)
            return;
        foreach (nint slab in _slabs)
            _ = Interop.UnmapFile((void*)slab, (nuint)SlabBytes);
        Data.Dispose();
        Table.Dispose();
    }

    private void DropIn(int region, ulong address, ulong length)
    {
        int page = (int)((address & (RegionTable.RegionBytes - 1)) / Interop.PageSize), count = (int)(length / Interop.PageSize);
        (int first, int owed) = Table.At(region).NextOwed(page);
        if (owed == 0 || first >= page + count)
            return;
        _owed -= Table.At(region).CountOwed(page, count) * (long)Interop.PageSize;
        Table.At(region).Forget(page, count);
        Release((long)Table.At(region).Chunk * (long)RegionTable.RegionBytes + page * (long)Interop.PageSize, (long)length);
    }

    /// <summary>These pages are about to be owed.</summary>
    private void Count(int region, int page, int count) => _owed += (count - Table.At(region).CountOwed(page, count)) * (long)Interop.PageSize;

    private void EnsureChunks(int chunks)
    {
        ulong needed = (ulong)chunks * RegionTable.RegionBytes;
        while ((ulong)_slabs.Count * SlabBytes < needed)
        {
            long offset = _slabs.Count * (long)SlabBytes;
            if (RandomAccess.GetLength(Data) < offset + (long)SlabBytes && Interop.SetFileSize(Data, offset + (long)SlabBytes) != 0)
                throw Interop.Failure("ftruncate of a page store", Interop.LastError);
            _slabs.Add(MapSlab(offset));
        }
    }

    /// <summary>Where addresses and file go in step, as large pages want it: room for one region more is taken, and what is left over given back.</summary>
    private nint MapSlab(long offset)
    {
        nint room = Interop.MapAnonymous((nuint)(SlabBytes + RegionTable.RegionBytes), 0, Interop.Mapping.MAP_PRIVATE | Interop.Mapping.MAP_NORESERVE);
        if (room == 0)
            throw Interop.Failure("mmap of a page store", Interop.LastError);
        ulong start = ((ulong)room + RegionTable.RegionBytes - 1) & ~(RegionTable.RegionBytes - 1), before = start - (ulong)room, after = RegionTable.RegionBytes - before;
        void* slab = Interop.MapFile((void*)start, (nuint)SlabBytes, Interop.FileMemory.PROT_READ | Interop.FileMemory.PROT_WRITE,
            Interop.FileMemory.MAP_SHARED | Interop.FileMemory.MAP_FIXED | Interop.FileMemory.MAP_NORESERVE, Data, offset);
        if ((nint)slab == -1)
        {
            int error = Interop.LastError;
            _ = Interop.UnmapFile((void*)room, (nuint)(SlabBytes + RegionTable.RegionBytes));
            throw Interop.Failure("mmap of a page store", error);
        }
        if (before > 0)
            _ = Interop.UnmapFile((void*)room, (nuint)before);
        if (after > 0)
            _ = Interop.UnmapFile((void*)(start + SlabBytes), (nuint)after);
        return (nint)slab;
    }

    private void Release(long offset, long length) =>
        // Memory that is not given back is only late: it goes with the memfd.
        _ = Interop.AllocateFile(Data, Interop.FileMemory.FALLOC_FL_PUNCH_HOLE | Interop.FileMemory.FALLOC_FL_KEEP_SIZE, offset, length);
}
