using System.Numerics;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.PageStore;

/// <summary>
/// Which pages of one process are owed to it, and which of them are held here and which are away, still at the source (post-copy): two bits a
/// page, for regions of 2 MiB. Lives in a memfd, so that a descriptor kept
/// by systemd is all that a restarted agent needs.
/// </summary>
/// <remarks>
/// Layout, in the machine's byte order: header of 4096 bytes { u64 magic "EVPT\3", u64 regions, u64 virtual pid,
/// u64 moves, 16 bytes id of the container's move, moves of { u64 stored, u64 length, u64 wanted } }, then 144 bytes a region
/// { u64 base address, u64 chunk number, u64 held[8], u64 away[8] }. Chunk n is the 2 MiB at n × 2 MiB of the data memfd. Not safe for several threads:
/// the owner's lock guards it.
/// </remarks>
internal sealed unsafe class RegionTable : IDisposable
{
    /// <summary>Beginning of the memfd's name.</summary>
    public const string FileName = "evacuator-index-";

    public const ulong RegionBytes = 2 << 20;
    public const int PagesPerRegion = 512;

    private const ulong Magic = 0x0354505645;
    private const int HeaderBytes = 4096;
    private const int MoveIdAt = 32;
    private const int MovesAt = 48;

    /// <summary>Moves that a restart can know of. More are rare beyond measure; a restart in the middle of such a fill does not guess.</summary>
    private const int MaxMoves = (HeaderBytes - MovesAt) / 24;

    /// <summary>4 TiB of touched regions a process; the file is sparse, only what is used takes memory.</summary>
    private const int MaxRegions = 1 << 21;

    private readonly Dictionary<ulong, int> _index = [];
    private readonly byte* _map;

    private RegionTable(SafeFileHandle file, byte* map)
    {
        File = file;
        _map = map;
    }

    /// <summary>The memfd.</summary>
    public SafeFileHandle File { get; }

    public int Count => (int)((ulong*)_map)[1];

    /// <summary>The process's pid in the container's pid namespace.</summary>
    public int VirtualPid => (int)((ulong*)_map)[2];

    public Guid MoveId => new(new ReadOnlySpan<byte>(_map + MoveIdAt, 16));

    private static nuint MapBytes => HeaderBytes + (nuint)MaxRegions * (nuint)sizeof(Region);

    /// <param name="virtualPid">the process</param>
    /// <param name="move">what it arrives by</param>
    public static RegionTable Create(int virtualPid, Guid move)
    {
        SafeFileHandle file = Interop.CreateMemoryFile($"{FileName}{virtualPid}", Interop.FileMemory.MFD_CLOEXEC);
        if (file.IsInvalid)
            throw Interop.Failure("memfd_create", Interop.LastError);
        if (Interop.SetFileSize(file, (long)MapBytes) != 0)
            throw Interop.Failure("ftruncate of a page index", Interop.LastError);
        RegionTable table = new(file, Map(file));
        ((ulong*)table._map)[0] = Magic;
        ((ulong*)table._map)[2] = (ulong)virtualPid;
        move.TryWriteBytes(new Span<byte>(table._map + MoveIdAt, 16));
        return table;
    }

    /// <summary>Whose table it is, without opening it; null if it is none.</summary>
    public static (Guid Move, int VirtualPid)? ReadOwner(SafeFileHandle file)
    {
        Span<byte> head = stackalloc byte[MovesAt];
        if (RandomAccess.GetLength(file) != (long)MapBytes || RandomAccess.Read(file, head, 0) != head.Length || BitConverter.ToUInt64(head) != Magic)
            return null;
        return (new Guid(head[MoveIdAt..MovesAt]), (int)BitConverter.ToUInt64(head[16..]));
    }

    /// <summary>Takes over the table that an earlier life of the agent left with systemd.</summary>
    /// <exception cref="InvalidDataException">the file is not such a table</exception>
    public static RegionTable Open(SafeFileHandle file)
    {
        if (RandomAccess.GetLength(file) != (long)MapBytes)
            throw new InvalidDataException("a page index of the wrong size");
        RegionTable table = new(file, Map(file));
        if (((ulong*)table._map)[0] != Magic || table.Count is < 0 or > MaxRegions)
            throw new InvalidDataException("not a page index of this agent");
        for (int i = 0; i < table.Count; i++)
            table._index[table.At(i).Base] = i;
        return table;
    }

    public ref Region At(int index) => ref ((Region*)(_map + HeaderBytes))[index];

    /// <returns>position of the region that holds the address, or -1</returns>
    public int Find(ulong address) => _index.TryGetValue(address & ~(RegionBytes - 1), out int index) ? index : -1;

    /// <returns>position of the region that holds the address, made if it is new</returns>
    public int FindOrAdd(ulong address)
    {
        ulong start = address & ~(RegionBytes - 1);
        if (_index.TryGetValue(start, out int index))
            return index;
        index = Count;
        if (index == MaxRegions)
            throw new InvalidDataException($"a process with more than {MaxRegions} regions of 2 MiB");
        At(index) = new Region { Base = start, Chunk = (ulong)index };
        // The count last: a table is always whole for whoever opens it next.
        Volatile.Write(ref ((ulong*)_map)[1], (ulong)index + 1);
        _index[start] = index;
        return index;
    }

    /// <summary>The pages of a range are held no more; whole pages.</summary>
    public void Clear(ulong address, ulong length)
    {
        for (ulong at = address; at < address + length;)
        {
            int page = (int)((at & (RegionBytes - 1)) / Interop.PageSize);
            ulong step = Math.Min(address + length - at, (ulong)(PagesPerRegion - page) * Interop.PageSize);
            int region = Find(at);
            if (region >= 0)
                At(region).Forget(page, (int)(step / Interop.PageSize));
            at += step;
        }
    }

    /// <summary>Pages away.</summary>
    public long CountAway()
    {
        long pages = 0;
        for (int i = 0; i < Count; i++)
            pages += At(i).CountAway();
        return pages;
    }

    public void KeepMoves(IReadOnlyList<AddressMoves.Piece> moves)
    {
        ulong* at = (ulong*)(_map + MovesAt);
        int count = Math.Min(moves.Count, MaxMoves);
        for (int i = 0; i < count; i++)
            (*at++, *at++, *at++) = (moves[i].Stored, moves[i].Length, moves[i].Wanted);
        Volatile.Write(ref ((ulong*)_map)[3], (ulong)moves.Count);
    }

    /// <exception cref="InvalidDataException">there were more than the table has room for</exception>
    public AddressMoves ReadMoves()
    {
        if (((ulong*)_map)[3] > (ulong)MaxMoves)
            throw new InvalidDataException($"process {VirtualPid} has moved its memory {((ulong*)_map)[3]} times, {MaxMoves} are noted: where its pages belong is not known any more");
        AddressMoves moves = new();
        ulong* at = (ulong*)(_map + MovesAt);
        for (int i = 0; i < Math.Min((int)((ulong*)_map)[3], MaxMoves); i++, at += 3)
            moves.Restore([new AddressMoves.Piece(at[0], at[1], at[2])]);
        return moves;
    }

    /// <summary>A second table with the same bits: what a forked child is owed.</summary>
    public RegionTable Clone(int virtualPid, AddressMoves moves)
    {
        RegionTable copy = Create(virtualPid, MoveId);
        for (int i = 0; i < Count; i++)
        {
            copy.FindOrAdd(At(i).Base);
            copy.At(i) = At(i);
        }
        copy.KeepMoves(moves.Pieces);
        return copy;
    }

    /// <summary>Pages held.</summary>
    public long CountPages()
    {
        long pages = 0;
        for (int i = 0; i < Count; i++)
            pages += At(i).CountPages();
        return pages;
    }

    public void Dispose()
    {
        _ = Interop.UnmapFile(_map, MapBytes);
        File.Dispose();
    }

    private static byte* Map(SafeFileHandle file)
    {
        void* map = Interop.MapFile(null, MapBytes, Interop.FileMemory.PROT_READ | Interop.FileMemory.PROT_WRITE,
            Interop.FileMemory.MAP_SHARED | Interop.FileMemory.MAP_NORESERVE, file, 0);
        return (nint)map == -1 ? throw Interop.Failure("mmap of a page index", Interop.LastError) : (byte*)map;
    }

    /// <summary>2 MiB of address space: where its pages lie in the data file, and which of them are held.</summary>
    internal struct Region
    {
        public ulong Base;
        public ulong Chunk;
        public fixed ulong Bits[8];
        public fixed ulong Away[8];

        public readonly bool Has(int page) => (Bits[page >> 6] & 1UL << (page & 63)) != 0;

        public readonly bool IsAway(int page) => (Away[page >> 6] & 1UL << (page & 63)) != 0;

        /// <summary>Nothing of it is owed any more.</summary>
        public readonly bool IsEmpty
        {
            get
            {
                ulong any = 0;
                for (int i = 0; i < 8; i++)
                    any |= Bits[i] | Away[i];
                return any == 0;
            }
        }

        public readonly int CountAway()
        {
            int pages = 0;
            for (int i = 0; i < 8; i++)
                pages += BitOperations.PopCount(Away[i]);
            return pages;
        }

        public readonly int CountPages()
        {
            int pages = 0;
            for (int i = 0; i < 8; i++)
                pages += BitOperations.PopCount(Bits[i]);
            return pages;
        }

        /// <summary>How many of these pages are owed, here or away.</summary>
        public readonly int CountOwed(int first, int count)
        {
            int pages = 0;
            for (int page = first; page < first + count;)
            {
                (int word, ulong mask, int run) = Part(page, first + count);
                pages += BitOperations.PopCount((Bits[word] | Away[word]) & mask);
                page += run;
            }
            return pages;
        }

        /// <summary>Here or not; whether they are away stays as it is.</summary>
        public void Set(int first, int count, bool held)
        {
            for (int page = first; page < first + count;)
            {
                (int word, ulong mask, int run) = Part(page, first + count);
                Bits[word] = held ? Bits[word] | mask : Bits[word] & ~mask;
                page += run;
            }
        }

        /// <summary>Here now, whether they were away or not.</summary>
        public void Arrive(int first, int count)
        {
            for (int page = first; page < first + count;)
            {
                (int word, ulong mask, int run) = Part(page, first + count);
                Bits[word] |= mask;
                Away[word] &= ~mask;
                page += run;
            }
        }

        /// <summary>At the source; what is here of them is out of date.</summary>
        public void Leave(int first, int count)
        {
            for (int page = first; page < first + count;)
            {
                (int word, ulong mask, int run) = Part(page, first + count);
                Bits[word] &= ~mask;
                Away[word] |= mask;
                page += run;
            }
        }

        /// <summary>Not owed any more.</summary>
        public void Forget(int first, int count)
        {
            for (int page = first; page < first + count;)
            {
                (int word, ulong mask, int run) = Part(page, first + count);
                Bits[word] &= ~mask;
                Away[word] &= ~mask;
                page += run;
            }
        }

        /// <returns>first held page at or after <paramref name="from"/> and how many follow it without a gap, at most <paramref name="limit"/>; Count 0 if there is none</returns>
        public readonly (int First, int Count) NextRun(int from, int limit = PagesPerRegion)
        {
            fixed (ulong* bits = Bits)
                return Next(bits, bits, from, limit);
        }

        /// <returns>first owed page at or after <paramref name="from"/>, here or away, and how many follow it without a gap; Count 0 if there is none</returns>
        public readonly (int First, int Count) NextOwed(int from)
        {
            fixed (ulong* bits = Bits, away = Away)
                return Next(bits, away, from, PagesPerRegion);
        }

        /// <returns>first page at or after <paramref name="from"/> that is away and how many follow it, at most <paramref name="limit"/>; Count 0 if there is none</returns>
        public readonly (int First, int Count) NextAway(int from, int limit)
        {
            fixed (ulong* away = Away)
                return Next(away, away, from, limit);
        }

        private static (int First, int Count) Next(ulong* some, ulong* others, int from, int limit)
        {
            int first = Seek(some, others, from, ~0UL);
            return (first, Math.Min(Seek(some, others, first, 0) - first, limit));
        }

        /// <summary>The first page from there on that is in one of the sets, or with <paramref name="wanted"/> 0 in none; their number if there is none.</summary>
        private static int Seek(ulong* some, ulong* others, int from, ulong wanted)
        {
            for (int page = from; page < PagesPerRegion; page = (page | 63) + 1)
            {
                ulong found = ~((some[page >> 6] | others[page >> 6]) ^ wanted) >> (page & 63);
                if (found != 0)
                    return page + BitOperations.TrailingZeroCount(found);
            }
            return PagesPerRegion;
        }

        /// <summary>The bits of one word for as many of the pages as it holds.</summary>
        private static (int Word, ulong Mask, int Run) Part(int page, int end)
        {
            int bit = page & 63, run = Math.Min(64 - bit, end - page);
            return (page >> 6, (run == 64 ? ulong.MaxValue : (1UL << run) - 1) << bit, run);
        }
    }
}
