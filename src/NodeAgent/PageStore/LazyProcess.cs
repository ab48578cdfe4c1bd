using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.PageStore;

/// <summary>What became of an attempt to give a process some of its pages.</summary>
internal enum FillResult
{
    None = 0,
    Filled = 1,

    /// <summary>The process changes its address space at this moment; its event has to be read first.</summary>
    TryAgain = 2,

    /// <summary>The process is gone.</summary>
    Gone = 3,
}

/// <summary>
/// A restored process that is still owed pages: its userfaultfd and the pages. Owns the descriptor and one share of the pages.
/// </summary>
/// <remarks>
/// One lock for everything: an event (unmapped, dropped) is read and noted under the same lock as pages are copied, so that no page can be
/// put back after the process threw it away. The background copies small batches to keep a fault's wait for the lock below 100 µs.
/// </remarks>
internal sealed unsafe class LazyProcess : IDisposable
{
    /// <summary>Pages copied at once for a fault: neighbours are likely next, and 16 cost little more than one.</summary>
    private const int FaultPages = 16;

    /// <summary>Bytes that are put into the store under the lock at a time.</summary>
    private const int StoreBytes = 64 * 1024;

    private readonly ProcessPages _pages;
    private readonly RegionTable _owed;
    private readonly AddressMoves _moves;
    private readonly Lock _lock = new();

    /// <summary>Addresses in the store of pages that are away and that a thread of the process stands still for.</summary>
    private readonly HashSet<ulong> _waiting = [];

    /// <param name="owed">the pages' own table; for a forked child a copy of it</param>
    /// <param name="moves">memory that the process has moved since it was restored</param>
    public LazyProcess(SafeFileHandle userFault, ProcessPages pages, RegionTable owed, AddressMoves moves)
    {
        (UserFault, _pages, _owed, _moves, VirtualPid) = (userFault, pages, owed, moves, pages.VirtualPid);
    }

    public SafeFileHandle UserFault { get; }

    /// <summary>Noted here: who asks may come after the table is gone.</summary>
    public int VirtualPid { get; }

    public SafeFileHandle DataFile => _pages.Data;

    public SafeFileHandle TableFile => _owed.File;

    /// <summary>A forked child, which reads the data of its parent.</summary>
    public bool SharesData => !ReferenceEquals(_owed, _pages.Table);

    public int Regions => _owed.Count;

    public bool IsGone { get; private set; }

    /// <summary>Told of each page that is away and that a thread of the process has begun to wait for: its address in the store.</summary>
    public Action<LazyProcess, ulong>? OnWanted { get; set; }

    /// <summary>Pages that are still at the source; none once the process is gone.</summary>
    public long PagesAway
    {
        get
        {
            lock (_lock)
                return IsGone ? 0 : _owed.CountAway();
        }
    }

    public long PagesOwed
    {
        get
        {
            lock (_lock)
                return IsGone ? 0 : _owed.CountPages();
        }
    }

    /// <summary>Reads and handles what the descriptor has to say, until it has nothing more.</summary>
    /// <param name="faults">faults answered</param>
    /// <returns>children that were forked meanwhile</returns>
    /// <exception cref="IOException">it cannot be read: whether the process lives is unknown, so all that is owed to it stays owed</exception>
    public IReadOnlyList<LazyProcess> HandleMessages(ref long faults)
    {
        List<LazyProcess>? children = null;
        Interop.UserFaultMessage message;
        lock (_lock)
        {
            while (!IsGone)
            {
                nint got = Interop.ReadFile(UserFault, &message, (nuint)sizeof(Interop.UserFaultMessage));
                if (got < 0)
                {
                    int error = Interop.LastError;
                    if (error == Interop.Errno.EINTR)
                        continue;
                    if (error == Interop.Errno.EAGAIN)
                        break;
                    // A process taken for gone by mistake would read zeroes for ever.
                    IsGone = error == Interop.Errno.ESRCH ? true : throw Interop.Failure($"reading the userfaultfd of process {VirtualPid}", error);
                    break;
                }
                if (got == 0)
                {
                    IsGone = true;
                    break;
                }
                if (got != sizeof(Interop.UserFaultMessage))
                    throw new IOException($"the userfaultfd of process {VirtualPid} gave {got} bytes, a message has {sizeof(Interop.UserFaultMessage)}");
                switch (message.Event)
                {
                    case Interop.PageFill.UFFD_EVENT_PAGEFAULT:
                        faults++;
                        AnswerFault_NeedsLock(message.arg1);
                        break;
                    case Interop.PageFill.UFFD_EVENT_REMOVE:
                    case Interop.PageFill.UFFD_EVENT_UNMAP:
                        WakeAll_NeedsLock(message.arg0, message.arg1);
                        Forget_NeedsLock(message.arg0, message.arg1);
                        break;
                    case Interop.PageFill.UFFD_EVENT_REMAP:
                        WakeAll_NeedsLock(message.arg0, message.arg0 + message.arg2);
                        _moves.Move(message.arg0, message.arg1, message.arg2);
                        _owed.KeepMoves(_moves.Pieces);
                        break;
                    case Interop.PageFill.UFFD_EVENT_FORK:
                        _pages.AddUser();
                        (children ??= []).Add(new LazyProcess(new SafeFileHandle((int)(uint)message.arg0, ownsHandle: true), _pages, _owed.Clone(VirtualPid, _moves), _moves.Clone()) { OnWanted = OnWanted });
                        break;
                    default:
                        throw new IOException($"the userfaultfd of process {VirtualPid} gave an event {message.Event:x} that was never asked for");
                }
            }
        }
        return children ?? (IReadOnlyList<LazyProcess>)[];
    }

    /// <summary>Threads that wait for a page look again, and ask for it anew if they still need it.</summary>
    public void WakeAll()
    {
        // The kernel takes no address below vm.mmap_min_addr, and nothing is mapped there.
        Interop.uffdio_range range = new() { start = 1 << 20, len = Memory.ProcessTracker.AddressSpaceEnd - (1 << 20) };
        lock (_lock)
            if (!IsGone)
                _ = Interop.IoControl(UserFault, Interop.PageFill.UFFDIO_WAKE, &range);
    }

    /// <summary>Copies up to <paramref name="pages"/> owed pages of a region.</summary>
    /// <returns>what happened, and how many are left in the region</returns>
    public (FillResult Result, bool RegionDone, int Copied) FillSome(int region, int pages)
    {
        FillResult result;
        int count;
        ulong chunk;
        lock (_lock)
        {
            if (IsGone)
                return (FillResult.Gone, true, 0);
            (int first, count) = _owed.At(region).NextRun(0, pages);
            if (count == 0)
                return (FillResult.Filled, true, 0);
            ulong to = _moves.ToProcess(_owed.At(region).Base + (ulong)first * Interop.PageSize);
            count = (int)(_moves.Uniform(to, (ulong)count * Interop.PageSize) / Interop.PageSize);
            result = Copy_NeedsLock(region, first, count, to);
            if (!_owed.At(region).IsEmpty || !_pages.IsOnlyUser)
                return (result, _owed.At(region).IsEmpty, result == FillResult.Filled ? count : 0);
            chunk = _owed.At(region).Chunk;
        }
        // A fault does not wait for this, which takes as long as copying a hundred pages. Nobody reads the region any more: it is owed to nobody, and a child that is forked from now on
        // is owed what is owed now. The tables may be gone by then.
        _pages.Release(chunk);
        return (result, true, result == FillResult.Filled ? count : 0);
    }

    /// <summary>The next stretch of pages that are away, from a place in the table on.</summary>
    /// <returns>its address in the store; Pages 0 if there is none any more</returns>
    public (ulong Address, int Pages) NextAway(ref int region, ref int page, int limit)
    {
        lock (_lock)
        {
            for (; !IsGone && region < _owed.Count; region++, page = 0)
            {
                (int first, int count) = _owed.At(region).NextAway(page, limit);
                if (count == 0)
                    continue;
                page = first + count;
                return (_owed.At(region).Base + (ulong)first * Interop.PageSize, count);
            }
            return default;
        }
    }

    /// <summary>The bytes of pages that were away, into the store. Nobody reads them there before <see cref="Arrived"/>.</summary>
    /// <returns>false if the process is gone: they are not there</returns>
    public bool Store(ulong address, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            int page = (int)((address & (RegionTable.RegionBytes - 1)) / Interop.PageSize), region;
            int length = Math.Min(Math.Min(bytes.Length, StoreBytes), (RegionTable.PagesPerRegion - page) * (int)Interop.PageSize);
            lock (_lock)
            {
                if (IsGone)
                    return false;
                region = _owed.Find(address);
                if (region >= 0)
                    bytes[..length].CopyTo(new Span<byte>(_pages.Locate(region, page), length));
            }
            address += (ulong)length;
            bytes = bytes[length..];
        }
        return true;
    }

    /// <summary>Pages that were away are in the store now, or are known to be zero; threads that wait for them go on.</summary>
    /// <param name="address">in the store</param>
    public void Arrived(ulong address, int pages, bool isZero)
    {
        lock (_lock)
        {
            for (; pages > 0 && !IsGone; pages--, address += Interop.PageSize)
            {
                int region = _owed.Find(address), page = (int)((address & (RegionTable.RegionBytes - 1)) / Interop.PageSize);
                // Unmapped or dropped meanwhile: nothing is owed.
                if (region < 0 || !_owed.At(region).IsAway(page))
                    continue;
                if (isZero)
                    _owed.At(region).Forget(page, 1);
                else
                    _owed.At(region).Arrive(page, 1);
                if (!_waiting.Remove(address))
                    continue;
                ulong wanted = _moves.ToProcess(address);
                if (isZero)
                    Zero_NeedsLock(wanted);
                else if (Copy_NeedsLock(region, page, 1, wanted) == FillResult.TryAgain)
                    Wake_NeedsLock(wanted);
            }
        }
    }

    public void Dispose()
    {
        // Whoever comes late, with a page or a question, finds nothing to touch.
        lock (_lock)
            IsGone = true;
        // Closing the last reference ends the registration: what was never owed reads as zero from now on, without asking us.
        UserFault.Dispose();
        if (SharesData)
            _owed.Dispose();
        _pages.Dispose();
    }

    private void AnswerFault_NeedsLock(ulong address)
    {
        address &= ~(Interop.PageSize - 1);
        ulong stored = _moves.ToStore(address) ?? ulong.MaxValue;
        int region = stored == ulong.MaxValue ? -1 : _owed.Find(stored);
        int page = (int)((stored & (RegionTable.RegionBytes - 1)) / Interop.PageSize);
        if (region >= 0 && _owed.At(region).IsAway(page))
        {
            // The thread stands still until it comes.
            if (_waiting.Add(stored))
                OnWanted?.Invoke(this, stored);
            return;
        }
        if (region < 0 || !_owed.At(region).Has(page))
        {
            Zero_NeedsLock(address);
            return;
        }
        (_, int count) = _owed.At(region).NextRun(page, FaultPages);
        count = (int)(_moves.Uniform(address, (ulong)count * Interop.PageSize) / Interop.PageSize);
        if (Copy_NeedsLock(region, page, count, address) == FillResult.TryAgain)
            // The address space is changing: the event is next in this same queue, and the fault comes again when it is woken.
            Wake_NeedsLock(address);
    }

    private FillResult Copy_NeedsLock(int region, int page, int count, ulong to)
    {
        byte* from = _pages.Locate(region, page);
        ulong done = 0, length = (ulong)count * Interop.PageSize, step = length;
        while (done < length)
        {
            Interop.uffdio_copy copy = new() { dst = to + done, src = (ulong)(from + done), len = Math.Min(step, length - done) };
            if (Interop.IoControl(UserFault, Interop.PageFill.UFFDIO_COPY, &copy) == 0)
            {
                done += copy.len;
                continue;
            }
            int error = Interop.LastError;
            if (copy.copy > 0)
            {
                done += (ulong)copy.copy;
                continue;
            }
            switch (error)
            {
                case Errors.EEXIST:
                    // Already there: written by the restore itself, or by a fault that was quicker. The kernel wakes nobody then.
                    Wake_NeedsLock(to + done);
                    done += Interop.PageSize;
                    break;
                case Interop.Errno.EAGAIN:
                    _owed.At(region).Set(page, (int)(done / Interop.PageSize), held: false);
                    return FillResult.TryAgain;
                case Errors.ENOENT or Interop.Errno.EINVAL when copy.len > Interop.PageSize:
                    // A stretch of pages may cross from one mapping into the next, the kernel copies into one at a time: page by page then.
                    step = Interop.PageSize;
                    break;
                case Errors.ENOENT or Interop.Errno.EINVAL:
                    // Not mapped (any more) there: nothing is owed.
                    Wake_NeedsLock(to + done);
                    done += Interop.PageSize;
                    break;
                case Interop.Errno.ESRCH:
                    IsGone = true;
                    return FillResult.Gone;
                case Interop.Errno.ENOMEM:
                    return FillResult.TryAgain;
                default:
                    throw Interop.Failure($"UFFDIO_COPY of {length - done} bytes to {to + done:x} of process {VirtualPid}", error);
            }
        }
        _owed.At(region).Set(page, count, held: false);
        return FillResult.Filled;
    }

    private void Zero_NeedsLock(ulong address)
    {
        Interop.uffdio_zeropage zero = new() { range = new Interop.uffdio_range { start = address, len = Interop.PageSize } };
        if (Interop.IoControl(UserFault, Interop.PageFill.UFFDIO_ZEROPAGE, &zero) == 0)
            return;
        switch (Interop.LastError)
        {
            case Interop.Errno.ESRCH:
                IsGone = true;
                break;
            case Errors.EEXIST or Interop.Errno.EAGAIN or Errors.ENOENT or Interop.Errno.EINVAL or Interop.Errno.ENOMEM:
                // There already, being changed, unmapped, or no memory at this moment: the process looks again.
                Wake_NeedsLock(address);
                break;
            case var error:
                throw Interop.Failure($"UFFDIO_ZEROPAGE at {address:x} of process {VirtualPid}", error);
        }
    }

    private void Wake_NeedsLock(ulong address)
    {
        Interop.uffdio_range range = new() { start = address, len = Interop.PageSize };
        _ = Interop.IoControl(UserFault, Interop.PageFill.UFFDIO_WAKE, &range);
    }

    /// <summary>Its memory changes: whoever waits for a page that is away looks again, and asks anew if it is still wanted.</summary>
    private void WakeAll_NeedsLock(ulong start, ulong end)
    {
        if (_waiting.RemoveWhere(stored => _moves.ToProcess(stored) is var wanted && wanted >= start && wanted < end) == 0)
            return;
        Interop.uffdio_range range = new() { start = start, len = end - start };
        _ = Interop.IoControl(UserFault, Interop.PageFill.UFFDIO_WAKE, &range);
    }

    private void Forget_NeedsLock(ulong start, ulong end)
    {
        for (ulong at = start; at < end;)
        {
            ulong step = _moves.Uniform(at, end - at);
            if (_moves.ToStore(at) is { } stored)
                _owed.Clear(stored, step);
            at += step;
        }
    }

    /// <summary>Errors that only this conversation knows.</summary>
    [Interop.KernelConstants("errno.h")]
    internal static class Errors
    {
        public const int ENOENT = 2;
        public const int EEXIST = 17;
    }
}
