using System.Buffers;
using System.Globalization;
using System.Text;
using Evacuator.NodeAgent.Memory.Mappings;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Memory;

// One round over one process: which mappings, which pages of them, what became of the batches.
internal sealed partial class ProcessTracker
{
    private enum PieceKind
    {
        /// <summary>Tracked since an earlier round: what was written.</summary>
        Written,

        /// <summary>Registered just now: all it holds, and protect that.</summary>
        Everything,

        /// <summary>Frozen and tracked: what was written or has gone; nothing is protected any more.</summary>
        Final,

        /// <summary>Frozen and not tracked: all it holds.</summary>
        Contents,
    }

    private readonly record struct Piece(MemoryRange Range, PieceKind Kind);

    private readonly List<Piece> _pieces = [];
    private readonly RangeSet _added = new();
    private readonly RangeSet _removed = new();
    private readonly List<MemoryMapping> _mappings = [];

    /// <summary>Its /proc/PID/maps.</summary>
    private byte[] _text = [];
    private int _textLength;

    private HashSet<ulong> _locked = [];
    private SafeFileHandle? _pagemap;
    private int _piece;
    private ulong _at;
    private int _recoveries;
    private bool _isNew = true;
    private bool _leaves;

    /// <summary>The last round met something it could not resolve: everything counts as written.</summary>
    private bool _doubtful;

    /// <summary>A round began and its receiver did not take all of it. Nobody knows what the store has now, so everything is declared void and sent again.</summary>
    private bool _unfinished;

    /// <summary>Mappings that travel with the tracker, adjacent ones joined. Set by a round.</summary>
    public RangeSet Owned { get; private set; } = new();

    public IReadOnlyList<MemoryMapping> Mappings => _mappings;

    public int Threads { get; private set; }

    public long Regions { get; private set; }

    public ulong DirtyBytes { get; private set; }

    public ulong UntrackedBytes { get; private set; }

    /// <summary>Pages with a thread's stack pointer. Set by a frozen round.</summary>
    public IReadOnlyList<ulong> StackPages { get; private set; } = [];

    /// <summary>Looks at the mappings as they are now. Returns what was handed on before and is no longer ours: unmapped, or locked since. False where the process is gone.</summary>
    /// <param name="leave">what is found is only named, see <see cref="ContainerTracker.LookFrozen"/></param>
    public bool BeginRound(PageScanner scanner, bool frozen, out RangeSet dropped, bool leave = false)
    {
        _leaves = leave;
        dropped = new RangeSet();
        Regions = 0;
        DirtyBytes = 0;
        _pagemap?.Dispose();
        // Opened anew each time: the descriptor stays with the memory it was opened on, which an exec replaces.
        _pagemap = OpenPagemap();
        if (_pagemap is null || ProcessStatus.Read(HostPid) is not { } status)
            return false;
        Threads = status.Threads;
        _added.Clear();
        _removed.Clear();
        ReadMappings(status, frozen);
        _pieces.Clear();
        _piece = 0;
        Owned = Plan(scanner, frozen);
        _at = _pieces.Count > 0 ? _pieces[0].Range.Start : 0;
        if (frozen)
            StackPages = FindStackPages();
        else
            UntrackedBytes = scanner.Count(_pagemap, new MemoryRange(0, AddressSpaceEnd), PageScanner.UntrackedCopies);
        if (_unfinished)
        {
            Sent.Clear();
            dropped.Append(new MemoryRange(0, AddressSpaceEnd));
        }
        else
        {
            dropped = RangeSet.Subtract(Sent, Owned);
            Sent.ExceptWith(dropped);
        }
        _doubtful = false;
        _unfinished = true;
        return true;
    }

    /// <summary>Adds the shared memory that this process has: what CRIU will write with whoever comes first.</summary>
    public void CountShared(SharedObjects shared)
    {
        foreach (MemoryMapping mapping in _mappings)
            if (mapping.Kind == MappingKind.SharedMemory)
                shared.AddMapped(HostPid, mapping);
        shared.AddOpen(HostPid);
        shared.AddMounts(HostPid);
    }

    public void RehearseLook() => _ = FindStackPages();

    /// <summary>What smaps would say of it, under its pid; nothing where that is not certain.</summary>
    public void WriteMappings(MappingFlags flags, string directory)
    {
        ArrayBufferWriter<byte> text = new(_textLength * 2 + 1024);
        if (flags.TryWrite(HostPid, _text.AsSpan(0, _textLength), text))
            using (SafeFileHandle file = File.OpenHandle(Path.Combine(directory, HostPid.ToString(CultureInfo.InvariantCulture)), FileMode.Create, FileAccess.Write))
                RandomAccess.Write(file, text.WrittenSpan, 0);
    }

    /// <summary>Scans one window into the reader. False when the round is through.</summary>
    public bool Step(PageScanner scanner, PageReader reader)
    {
        if (_piece == _pieces.Count || _pagemap is null)
            return false;
        (MemoryRange range, PieceKind kind) = _pieces[_piece];
        ulong end = Math.Min(range.End, _at + WindowBytes);
        ScanQuery query = kind switch
        {
            PieceKind.Written => scanner.Written,
            PieceKind.Everything => scanner.Everything,
            PieceKind.Final => scanner.WrittenOrAbsent,
            _ => scanner.Contents,
        };
        int error = scanner.Scan(_pagemap, _at, end, query, out ReadOnlySpan<Interop.page_region> regions, out ulong next);
        if (error != 0 || next <= _at)
        {
            Recover(range, kind);
            return true;
        }
        Take(kind, regions, next, reader);
        _at = next;
        if (_at >= range.End)
            NextPiece();
        return true;
    }

    /// <summary>Notes what a batch of this process brings. Call for every batch before the receiver gets it.</summary>
    public void Commit(PageBatch batch)
    {
        foreach (PageRange range in batch.Ranges)
            (range.Kind == PageRangeKind.Data ? _added : _removed).Append(new MemoryRange(range.Address, range.End));
    }

    /// <summary>All batches are with the receiver.</summary>
    public void EndRound()
    {
        Sent.UnionWith(_added);
        Sent.ExceptWith(_removed);
        _added.Clear();
        _removed.Clear();
        _unfinished = false;
    }

    public ProcessMemory Snapshot() => new(HostPid, Pid, Owned.Ranges.ToArray(), Sent.Ranges.ToArray(), StackPages);

    private SafeFileHandle? OpenPagemap()
    {
        try
        {
            return File.OpenHandle($"/proc/{HostPid}/pagemap");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private void ReadMappings(ProcessStatus status, bool frozen)
    {
        _textLength = ProcFiles.ReadInto($"/proc/{HostPid}/maps", ref _text);
        MemoryMapping.ParseAll(_text.AsSpan(0, _textLength), _mappings);
        if (status.LockedKilobytes == 0)
            _locked.Clear();
        else if (!frozen || _locked.Count == 0)
        {
            // smaps walks every page table (9 ms for each GiB), so it is read only for processes that lock memory, and not again while they stand still.
            byte[] smaps = ProcFiles.Read($"/proc/{HostPid}/smaps");
            _locked = MemoryMapping.ParseLocked(smaps);
        }
    }

    /// <summary>Joins the mappings that can be ours into stretches and decides how each is scanned.</summary>
    private RangeSet Plan(PageScanner scanner, bool frozen)
    {
        RangeSet owned = new();
        if (_sharesMemory)
            return owned;
        if (_isNew && IsTracked && scanner.IsAnythingTracked(_pagemap!, new MemoryRange(0, AddressSpaceEnd)))
            Lose("its memory is write-protected by somebody else: another tracker, or a userfaultfd of its own");
        _isNew = false;
        int first = 0;
        while (first < _mappings.Count)
        {
            if (!CanOwn(_mappings[first]))
            {
                first++;
                continue;
            }
            int last = first;
            while (last + 1 < _mappings.Count && CanOwn(_mappings[last + 1]) && _mappings[last + 1].Start == _mappings[last].End)
                last++;
            MemoryRange stretch = new(_mappings[first].Start, _mappings[last].End);
            if (IsTracked && scanner.IsTracked(_pagemap!, stretch))
                AddPiece(owned, stretch, tracked: true, frozen);
            else
                for (int i = first; i <= last; i++)
                    PlanSingle(scanner, owned, new MemoryRange(_mappings[i].Start, _mappings[i].End), frozen);
            first = last + 1;
        }
        return owned;
    }

    private void PlanSingle(PageScanner scanner, RangeSet owned, MemoryRange range, bool frozen)
    {
        bool tracked = IsTracked && scanner.IsTracked(_pagemap!, range);
        if (!tracked && !frozen)
        {
            if (!IsTracked)
                return;
            int error = Register(range);
            if (error == Interop.Errno.ESRCH)
            {
                Lose("it executed another program");
                return;
            }
            if (error is Interop.Errno.EINVAL or Interop.Errno.EBUSY or Interop.Errno.EPERM)
                return;
            // Any other error (unmapped meanwhile, no memory): the scan will find it untracked and sort it out.
        }
        AddPiece(owned, range, tracked, frozen);
    }

    private void AddPiece(RangeSet owned, MemoryRange range, bool tracked, bool frozen)
    {
        owned.Append(range);
        PieceKind kind = (tracked && !_doubtful && !_unfinished, frozen) switch
        {
            (true, true) => PieceKind.Final,
            (false, true) => PieceKind.Contents,
            (true, false) => PieceKind.Written,
            (false, false) => PieceKind.Everything,
        };
        if (_pieces.Count > 0 && _pieces[^1] is { } last && last.Kind == kind && last.Range.End == range.Start)
            _pieces[^1] = new Piece(new MemoryRange(last.Range.Start, range.End), kind);
        else
            _pieces.Add(new Piece(range, kind));
    }

    private bool CanOwn(MemoryMapping mapping) => mapping.Kind == MappingKind.PrivateAnonymous && !_locked.Contains(mapping.Start);

    /// <summary>
    /// The call failed or got nowhere. It may have protected pages without telling, so the rest of the piece is scanned as if it were new; mappings that appeared in it are registered first.
    /// Where even that does not help the process changes faster than we look, and the next round starts it over.
    /// </summary>
    private void Recover(MemoryRange range, PieceKind kind)
    {
        MemoryRange rest = new(_at, range.End);
        if (kind is PieceKind.Final)
        {
            _pieces[_piece] = new Piece(rest, PieceKind.Contents);
            return;
        }
        _recoveries++;
        if (kind is PieceKind.Contents || !IsTracked || _recoveries > RegisterAttempts || Register(rest) == Interop.Errno.ESRCH)
        {
            _doubtful = true;
            NextPiece();
            return;
        }
        _pieces[_piece] = new Piece(rest, PieceKind.Everything);
    }

    private void NextPiece()
    {
        _recoveries = 0;
        if (++_piece < _pieces.Count)
            _at = _pieces[_piece].Range.Start;
    }

    private void Take(PieceKind kind, ReadOnlySpan<Interop.page_region> regions, ulong next, PageReader reader)
    {
        const ulong Resident = Interop.Pagemap.PAGE_IS_PRESENT | Interop.Pagemap.PAGE_IS_SWAPPED;
        ulong cursor = _at;
        foreach (ref readonly Interop.page_region region in regions)
        {
            // Queries that return all contents leave gaps where nothing is. What was handed on there before is void.
            if (kind is PieceKind.Everything or PieceKind.Contents)
                Void(cursor, region.start, reader);
            cursor = region.end;
            bool isGuard = (region.categories & Interop.Pagemap.PAGE_IS_GUARD) != 0;
            if (kind is PieceKind.Final && ((region.categories & Resident) == 0 || isGuard))
            {
                Void(region.start, region.end, reader);
                continue;
            }
            if (kind is PieceKind.Final && (region.categories & Interop.Pagemap.PAGE_IS_WRITTEN) == 0)
                continue;
            Regions++;
            DirtyBytes += region.end - region.start;
            bool isZero = (region.categories & Interop.Pagemap.PAGE_IS_PFNZERO) != 0;
            if (isZero || !_leaves)
                reader.Add(region.start, region.end, isZero ? PageRangeKind.Zero : PageRangeKind.Data);
            else
                Leave(region.start, region.end, reader);
        }
        if (kind is PieceKind.Everything or PieceKind.Contents)
            Void(cursor, next, reader);
    }

    private void Leave(ulong start, ulong end, PageReader reader)
    {
        foreach (ulong stack in StackPages.Where(page => page >= start && page < end))
        {
            reader.Add(start, stack, PageRangeKind.Away);
            reader.Add(stack, stack + Interop.PageSize, PageRangeKind.Data);
            start = stack + Interop.PageSize;
        }
        reader.Add(start, end, PageRangeKind.Away);
    }

    private void Void(ulong start, ulong end, PageReader reader)
    {
        if (start >= end)
            return;
        foreach (MemoryRange range in Sent.Between(start, end))
            reader.Add(range.Start, range.End, PageRangeKind.Dropped);
    }

    /// <summary>/proc/PID/task/TID/syscall of a thread that does not run: "7 0x7f… 0x1 0x3e8 0x0 0x0 0x0 0x7ffc9d0a1c50 0x7f1d0e11a3ff", stack and instruction pointer last.</summary>
    private List<ulong> FindStackPages()
    {
        List<ulong> pages = [];
        foreach (int tid in ProcFiles.ThreadsOf(HostPid))
        {
            string[] fields = Encoding.ASCII.GetString(ProcFiles.Read($"/proc/{HostPid}/task/{tid}/syscall")).Split(' ', StringSplitOptions.TrimEntries);
            if (fields.Length >= 3 && fields[^2].StartsWith("0x", StringComparison.Ordinal)
                && ulong.TryParse(fields[^2].AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong pointer) && Owned.Contains(pointer))
                pages.Add(pointer & ~(Interop.PageSize - 1));
        }
        pages.Sort();
        for (int i = pages.Count - 1; i > 0; i--)
            if (pages[i] == pages[i - 1])
                pages.RemoveAt(i);
        return pages;
    }
}
