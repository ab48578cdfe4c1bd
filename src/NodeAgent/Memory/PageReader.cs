using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Memory;

/// <summary>
/// Queue of page ranges of one process, read into batches. Ranges come in ascending order and leave in the same order.
/// <para>process_vm_readv is fastest and honours page protections; what it cannot read is asked of /proc/PID/mem, which can (PROT_NONE); what neither can read has gone meanwhile.</para>
/// </summary>
internal sealed unsafe class PageReader(int hostPid, int pid, BatchBuffers pool)
{
    private const int MaximumRanges = Interop.Limit.IOV_MAX;
    private const int Page = (int)Interop.PageSize;

    private readonly List<PageRange> _queue = [];
    private readonly List<MemoryRange> _reading = [];
    private readonly List<MemoryRange> _missing = [];
    private readonly List<PageRange> _result = [];
    private int _head;
    private ulong _queuedBytes;

    /// <summary>Enough for a whole batch.</summary>
    public bool IsFull => _queuedBytes >= BatchBuffers.Bytes || _queue.Count - _head >= MaximumRanges;

    public bool IsEmpty => _head == _queue.Count;

    /// <summary>Bytes asked of the target so far.</summary>
    public ulong BytesRead { get; private set; }

    public void Add(ulong start, ulong end, PageRangeKind kind)
    {
        if (end <= start)
            return;
        _queue.Add(new PageRange(start, end - start, kind));
        if (kind == PageRangeKind.Data)
            _queuedBytes += end - start;
    }

    /// <summary>Reads what fits into the buffer. Always returns a batch, which owns the buffer.</summary>
    public PageBatch Read(byte[] buffer)
    {
        _reading.Clear();
        _missing.Clear();
        _result.Clear();
        int bytes = 0;
        // 1. Take ranges until the buffer or the vector is full; the last one may be split.
        List<PageRange> taken = [];
        while (_head < _queue.Count && taken.Count < MaximumRanges && bytes < BatchBuffers.Bytes)
        {
            PageRange range = _queue[_head];
            if (range.Kind != PageRangeKind.Data)
            {
                taken.Add(range);
                _head++;
                continue;
            }
            ulong length = Math.Min(range.Length, (ulong)(BatchBuffers.Bytes - bytes));
            taken.Add(range with { Length = length });
            _reading.Add(new MemoryRange(range.Address, range.Address + length));
            bytes += (int)length;
            _queuedBytes -= length;
            if (length == range.Length)
                _head++;
            else
                _queue[_head] = range with { Address = range.Address + length, Length = range.Length - length };
        }
        if (_head == _queue.Count)
        {
            _queue.Clear();
            _head = 0;
        }

        // 2. Read, 3. tell zero pages and missing pages from data and close the gaps they leave.
        int kept;
        fixed (byte* p = buffer)
        {
            ReadAll(p);
            kept = Sort(p, taken);
        }
        BytesRead += (ulong)bytes;
        return new PageBatch(pool, buffer, kept, hostPid, pid, [.. _result]);
    }

    private void ReadAll(byte* buffer)
    {
        SafeFileHandle? memory = null;
        try
        {
            Interop.IoVector* vector = stackalloc Interop.IoVector[MaximumRanges];
            int index = 0;
            ulong offset = 0;
            byte* at = buffer;
            while (index < _reading.Count)
            {
                int count = 0;
                ulong wanted = 0;
                for (int i = index; i < _reading.Count; i++, count++)
                {
                    ulong skip = i == index ? offset : 0;
                    vector[count] = new Interop.IoVector { iov_base = (void*)(_reading[i].Start + skip), iov_len = (nuint)(_reading[i].Length - skip) };
                    wanted += _reading[i].Length - skip;
                }
                Interop.IoVector local = new() { iov_base = at, iov_len = (nuint)wanted };
                nint read = Interop.ProcessVmRead(hostPid, &local, 1, vector, (nuint)count, 0);
                Advance((ulong)Math.Max(read, 0) & ~(Interop.PageSize - 1), ref index, ref offset, ref at);
                if (read >= 0 && (ulong)read == wanted)
                    continue;

                if (read < 0 && Interop.LastError == Interop.Errno.ESRCH)
                {
                    GiveUp(index, offset);
                    return;
                }

                // Stopped at a page that cannot be read that way.
                MemoryRange rest = new(_reading[index].Start + offset, _reading[index].End);
                memory ??= OpenMemory();
                nint forced = memory is null ? -1 : Interop.PRead(memory, at, (nuint)rest.Length, (long)rest.Start);
                ulong got = (ulong)Math.Max(forced, 0) & ~(Interop.PageSize - 1);
                if (got == 0)
                {
                    new Span<byte>(at, Page).Clear();
                    _missing.Add(new MemoryRange(rest.Start, rest.Start + Interop.PageSize));
                    got = Interop.PageSize;
                }
                Advance(got, ref index, ref offset, ref at);
            }
        }
        finally
        {
            memory?.Dispose();
        }
    }

    /// <summary>The process has ended: all that was not read is missing.</summary>
    private void GiveUp(int index, ulong offset)
    {
        for (; index < _reading.Count; index++, offset = 0)
            for (ulong address = _reading[index].Start + offset; address < _reading[index].End; address += Interop.PageSize)
                _missing.Add(new MemoryRange(address, address + Interop.PageSize));
    }

    private void Advance(ulong bytes, ref int index, ref ulong offset, ref byte* at)
    {
        at += bytes;
        while (bytes > 0)
        {
            ulong left = _reading[index].Length - offset;
            if (bytes < left)
            {
                offset += bytes;
                return;
            }
            bytes -= left;
            offset = 0;
            index++;
        }
    }

    private SafeFileHandle? OpenMemory()
    {
        try
        {
            return File.OpenHandle($"/proc/{hostPid}/mem");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private int Sort(byte* buffer, List<PageRange> taken)
    {
        byte* source = buffer;
        byte* target = buffer;
        int missing = 0;
        foreach (PageRange range in taken)
        {
            if (range.Kind != PageRangeKind.Data)
            {
                Note(range.Address, range.Length, range.Kind);
                continue;
            }
            ulong runLength = 0;
            for (ulong address = range.Address; address < range.End; address += Interop.PageSize)
            {
                bool isMissing = missing < _missing.Count && _missing[missing].Start == address;
                if (isMissing)
                    missing++;
                bool isZero = !isMissing && !new ReadOnlySpan<byte>(source + runLength, Page).ContainsAnyExcept((byte)0);
                if (!isMissing && !isZero)
                {
                    runLength += Interop.PageSize;
                    continue;
                }
                target = Keep(source, target, address - runLength, runLength);
                source += runLength + Interop.PageSize;
                runLength = 0;
                Note(address, Interop.PageSize, isMissing ? PageRangeKind.Dropped : PageRangeKind.Zero);
            }
            target = Keep(source, target, range.End - runLength, runLength);
            source += runLength;
        }
        return (int)(target - buffer);
    }

    private byte* Keep(byte* source, byte* target, ulong address, ulong length)
    {
        if (length == 0)
            return target;
        if (source != target)
            Buffer.MemoryCopy(source, target, length, length);
        Note(address, length, PageRangeKind.Data);
        return target + length;
    }

    private void Note(ulong address, ulong length, PageRangeKind kind)
    {
        if (_result.Count > 0 && _result[^1] is { } last && last.Kind == kind && last.End == address)
            _result[^1] = last with { Length = last.Length + length };
        else
            _result.Add(new PageRange(address, length, kind));
    }
}
