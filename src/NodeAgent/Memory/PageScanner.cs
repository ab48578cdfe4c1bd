using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using static Evacuator.NodeAgent.Interop.Pagemap;

namespace Evacuator.NodeAgent.Memory;

/// <summary>What a scan looks for. Names as in Documentation/admin-guide/mm/pagemap.rst.</summary>
internal readonly record struct ScanQuery(ulong Flags, ulong Inverted, ulong Mask, ulong AnyOf, ulong Returned, ulong PagesPerCall = 0);

/// <summary>
/// PAGEMAP_SCAN into a buffer of its own. One caller at a time.
/// <para>
/// An error in the middle of a scan that write-protects loses what was already protected and not yet reported: whoever gets one must take every page of the range for dirty.
/// </para>
/// </summary>
internal sealed unsafe class PageScanner : IDisposable
{
    private const int RegionCapacity = 32 * 1024;

    /// <summary>Of one call that is followed by reading: 64 MiB. What is found is read at once, before much of it is written again.</summary>
    private const ulong ReadAtOnce = 16 * 1024;

    private const ulong Resident = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;

    private readonly ulong _guard;
    private Interop.page_region* _regions;

    public PageScanner(bool kernelKnowsGuardPages)
    {
        _guard = kernelKnowsGuardPages ? PAGE_IS_GUARD : 0;
        _regions = (Interop.page_region*)NativeMemory.Alloc(RegionCapacity, (nuint)sizeof(Interop.page_region));
    }

    /// <summary>Written since they were last protected; protects them. Holes stay holes: protecting those would fill the page tables with markers that CRIU takes for swapped pages.</summary>
    public ScanQuery Written => new(PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC, _guard, PAGE_IS_WRITTEN | _guard, Resident, Resident | PAGE_IS_PFNZERO, ReadAtOnce);

    /// <summary>All that hold something, written or not; protects them. For mappings that are tracked from now on.</summary>
    public ScanQuery Everything => new(PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC, _guard, _guard, Resident, Resident | PAGE_IS_PFNZERO, ReadAtOnce);

    /// <summary>All that hold something. Changes nothing.</summary>
    public ScanQuery Contents => new(0, _guard, _guard, Resident, Resident | PAGE_IS_PFNZERO, ReadAtOnce);

    /// <summary>
    /// In one walk what was written and what is not there: the final look at a frozen process. Pages that are present and clean, most of them, match nothing and cost least.
    /// Pages in swap come too and are told apart by the caller.
    /// </summary>
    public ScanQuery WrittenOrAbsent => new(PM_SCAN_CHECK_WPASYNC, PAGE_IS_PRESENT, 0, PAGE_IS_WRITTEN | PAGE_IS_PRESENT, Resident | PAGE_IS_WRITTEN | PAGE_IS_PFNZERO | _guard);

    /// <summary>Copies that a process has of its own, in mappings that we do not track: what CRIU will write.</summary>
    public static ScanQuery UntrackedCopies => new(0, PAGE_IS_FILE | PAGE_IS_WPALLOWED, PAGE_IS_FILE | PAGE_IS_WPALLOWED, Resident, PAGE_IS_PRESENT);

    /// <summary>Matches nothing, looks at no page, and fails with EPERM where a mapping in the range is not tracked.</summary>
    private static ScanQuery Tracked => new(PM_SCAN_CHECK_WPASYNC, PAGE_IS_WPALLOWED, PAGE_IS_WPALLOWED, 0, PAGE_IS_WPALLOWED);

    /// <summary>One call. <paramref name="next"/> is where to go on; the regions are valid until the next call. Returns 0 or an errno.</summary>
    public int Scan(SafeFileHandle pagemap, ulong start, ulong end, ScanQuery query, out ReadOnlySpan<Interop.page_region> regions, out ulong next)
    {
        ObjectDisposedException.ThrowIf(_regions is null, this);
        Interop.pm_scan_arg argument = new()
        {
            size = (ulong)sizeof(Interop.pm_scan_arg),
            flags = query.Flags,
            start = start,
            end = end,
            vec = (ulong)_regions,
            vec_len = RegionCapacity,
            max_pages = query.PagesPerCall,
            category_inverted = query.Inverted,
            category_mask = query.Mask,
            category_anyof_mask = query.AnyOf,
            return_mask = query.Returned,
        };
        int count = Interop.IoControl(pagemap, PAGEMAP_SCAN, &argument);
        int error = count < 0 ? Interop.LastError : 0;
        regions = new ReadOnlySpan<Interop.page_region>(_regions, Math.Max(count, 0));
        // The kernel walks in stretches of 512 regions and notes the end of each but the last: a walk that is through may say that it stopped at the
        // last stretch's beginning (6.7 to 6.18). Believed, it would look at those pages twice and find what was written meanwhile below what it has seen.
        next = !regions.IsEmpty && regions[^1].end > argument.walk_end ? end : argument.walk_end;
        return error;
    }

    /// <summary>Whether every mapping in the range is write-protected asynchronously, by us or anybody. Cost is per mapping, not per page.</summary>
    public bool IsTracked(SafeFileHandle pagemap, MemoryRange range) => Scan(pagemap, range.Start, range.End, Tracked, out _, out _) == 0;

    /// <summary>Whether any mapping of the process is protected, by whomever.</summary>
    public bool IsAnythingTracked(SafeFileHandle pagemap, MemoryRange range) =>
        Scan(pagemap, range.Start, range.End, new ScanQuery(0, 0, PAGE_IS_WPALLOWED, 0, PAGE_IS_WPALLOWED, PagesPerCall: 1), out ReadOnlySpan<Interop.page_region> regions, out _) == 0 && !regions.IsEmpty;

    /// <summary>Bytes that match, over a range of any size.</summary>
    public ulong Count(SafeFileHandle pagemap, MemoryRange range, ScanQuery query)
    {
        ulong bytes = 0;
        for (ulong at = range.Start; at < range.End;)
        {
            if (Scan(pagemap, at, range.End, query, out ReadOnlySpan<Interop.page_region> regions, out ulong next) != 0 || next <= at)
                break;
            foreach (ref readonly Interop.page_region region in regions)
                bytes += region.end - region.start;
            at = next;
        }
        return bytes;
    }

    public void Dispose()
    {
        NativeMemory.Free(_regions);
        _regions = null;
    }
}
