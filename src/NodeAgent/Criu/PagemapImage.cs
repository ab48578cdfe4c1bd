using System.Buffers.Binary;

namespace Evacuator.NodeAgent.Criu;

/// <summary>A run of pages in a pagemap image.</summary>
/// <param name="Address">of the first page, bytes</param>
/// <param name="Pages">how many, of 4096 bytes</param>
/// <param name="Flags">PE_PARENT 1, PE_LAZY 2, PE_PRESENT 4</param>
internal readonly record struct PagemapEntry(ulong Address, ulong Pages, uint Flags)
{
    public const uint Lazy = 2;
    public const uint Present = 4;

    public ulong End => Address + Pages * 4096;
}

/// <summary>
/// CRIU's pagemap-PID.img: which pages a process has, and which of them are in pages-N.img. Layout, little endian:
/// <code>
/// u32 0x54564319 (IMG_COMMON_MAGIC)   u32 0x56084025 (PAGEMAP_MAGIC)
/// u32 length, protobuf pagemap_head  { 1: pages_id }
/// u32 length, protobuf pagemap_entry { 1: vaddr  2: compat_nr_pages  3: in_parent  4: flags  5: nr_pages }   sorted by vaddr
/// </code>
/// Bytes in pages-N.img exist for entries with PE_PRESENT only, in the order of the entries, so lazy entries can be put in between.
/// </summary>
internal sealed class PagemapImage
{
    private const uint CommonMagic = 0x54564319;
    private const uint PagemapMagic = 0x56084025;

    private readonly byte[] _head;

    private PagemapImage(byte[] head, IReadOnlyList<PagemapEntry> entries) => (_head, Entries) = (head, entries);

    public IReadOnlyList<PagemapEntry> Entries { get; }

    /// <summary>N of the pages-N.img that has the bytes.</summary>
    /// <exception cref="InvalidDataException">the head does not say</exception>
    public uint PagesId
    {
        get
        {
            int at = 0;
            while (at < _head.Length)
            {
                ulong key = Varint(_head, ref at), value = (key & 7) == 0 ? Varint(_head, ref at) : throw new InvalidDataException("a pagemap head with a field that is not a number");
                if (key >> 3 == 1)
                    return checked((uint)value);
            }
            throw new InvalidDataException("a pagemap head that names no image of pages");
        }
    }

    /// <summary>The same head with other entries.</summary>
    public PagemapImage WithEntries(IReadOnlyList<PagemapEntry> entries) => new(_head, entries);

    /// <summary>The image of an object of shared memory; what CRIU restores of it, by offset in it.</summary>
    public static string NameOfShared(ulong inode) => $"pagemap-shmem-{inode}.img";

    /// <summary>Of a process without pages: { pages_id: 1 }.</summary>
    public static PagemapImage Empty { get; } = new([8, 1], []);

    /// <exception cref="InvalidDataException">not such an image</exception>
    public static PagemapImage Read(ReadOnlySpan<byte> image)
    {
        if (image.Length < 8 || BinaryPrimitives.ReadUInt32LittleEndian(image) != CommonMagic || BinaryPrimitives.ReadUInt32LittleEndian(image[4..]) != PagemapMagic)
            throw new InvalidDataException("not a pagemap image of CRIU");
        image = image[8..];
        byte[]? head = null;
        List<PagemapEntry> entries = [];
        while (image.Length > 0)
        {
            if (image.Length < 4 || BinaryPrimitives.ReadUInt32LittleEndian(image) is var length && length > image.Length - 4)
                throw new InvalidDataException("the pagemap image ends in the middle of an entry");
            ReadOnlySpan<byte> message = image.Slice(4, (int)length);
            image = image[(4 + (int)length)..];
            if (head is null)
                head = message.ToArray();
            else
                entries.Add(ReadEntry(message));
        }
        return new PagemapImage(head ?? throw new InvalidDataException("the pagemap image has no head"), entries);
    }

    /// <summary>The same image with runs of pages that will be filled in later; all others are restored at once.</summary>
    /// <param name="lazy">sorted, overlapping neither each other nor the entries of this image</param>
    /// <exception cref="InvalidDataException">they overlap: the engine and CRIU disagree about who has a page</exception>
    public PagemapImage WithLazy(IEnumerable<(ulong Address, ulong Pages)> lazy)
    {
        // PE_LAZY with PE_PRESENT means "may be asked for later" in CRIU's own daemon, and a lazy restore does not read such pages: here they come
        // with the images (stacks, mostly) and have to be in place before the first instruction.
        List<PagemapEntry> all = [.. Entries.Select(entry => (entry.Flags & PagemapEntry.Present) != 0 ? entry with { Flags = entry.Flags & ~PagemapEntry.Lazy } : entry), .. lazy.Where(run => run.Pages > 0).Select(run => new PagemapEntry(run.Address, run.Pages, PagemapEntry.Lazy))];
        all.Sort((a, b) => a.Address.CompareTo(b.Address));
        for (int i = 1; i < all.Count; i++)
            if (all[i].Address < all[i - 1].End)
                throw new InvalidDataException($"pages at {all[i].Address:x} are in the image twice: the engine and CRIU disagree about them");
        return new PagemapImage(_head, all);
    }

    /// <summary>The same image without entries that have no bytes in pages-N.img.</summary>
    public PagemapImage OnlyPresent() => new(_head, [.. Entries.Where(entry => (entry.Flags & PagemapEntry.Present) != 0)]);

    /// <summary>
    /// Completes the images of all processes in a directory. Also of those to which nothing comes later: a process that has just been executed has
    /// only its stack, CRIU marks that as one that may be asked for, and a lazy restore would leave it zero.
    /// </summary>
    /// <param name="lazy">what comes later, by pid in the container; processes that are not in it are owed nothing</param>
    public static void CompleteAll(string directory, Func<int, IEnumerable<(ulong Address, ulong Pages)>> lazy)
    {
        foreach ((int pid, string path) in AllIn(directory))
            File.WriteAllBytes(path, Read(File.ReadAllBytes(path)).WithLazy(lazy(pid)).Write());
    }

    /// <summary>The images of all processes in a directory, by pid in the container.</summary>
    public static IReadOnlyList<(int Pid, string Path)> AllIn(string directory)
    {
        const string start = "pagemap-";
        List<(int, string)> images = [];
        foreach (string path in Directory.EnumerateFiles(directory, start + "*.img"))
            // pagemap-shmem-ID.img are shared memory, which is never lazy.
            if (int.TryParse(Path.GetFileNameWithoutExtension(path).AsSpan(start.Length), out int pid))
                images.Add((pid, path));
        return images;
    }

    public byte[] Write()
    {
        using MemoryStream image = new();
        Span<byte> word = stackalloc byte[4];
        WriteWord(CommonMagic, word);
        WriteWord(PagemapMagic, word);
        WriteWord((uint)_head.Length, word);
        image.Write(_head);
        Span<byte> message = stackalloc byte[64];
        foreach (PagemapEntry entry in Entries)
        {
            int length = 0;
            Field(message, ref length, 1, entry.Address);
            // A required field of old readers; 32 bits, so it saturates where the true number does not fit.
            Field(message, ref length, 2, Math.Min(entry.Pages, int.MaxValue));
            Field(message, ref length, 4, entry.Flags);
            Field(message, ref length, 5, entry.Pages);
            WriteWord((uint)length, word);
            image.Write(message[..length]);
        }
        return image.ToArray();

        void WriteWord(uint value, Span<byte> buffer)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(buffer, value);
            image.Write(buffer);
        }
    }

    private static void Field(Span<byte> message, ref int at, int number, ulong value)
    {
        message[at++] = (byte)(number << 3);
        while (value >= 0x80)
        {
            message[at++] = (byte)(value | 0x80);
            value >>= 7;
        }
        message[at++] = (byte)value;
    }

    private static PagemapEntry ReadEntry(ReadOnlySpan<byte> message)
    {
        ulong address = 0, compat = 0, flags = 0, pages = 0;
        bool inParent = false, hasFlags = false;
        int at = 0;
        while (at < message.Length)
        {
            ulong key = Varint(message, ref at);
            if ((key & 7) != 0)
                throw new InvalidDataException("a pagemap entry with a field that is not a number");
            ulong value = Varint(message, ref at);
            switch (key >> 3)
            {
                case 1: address = value; break;
                case 2: compat = value; break;
                case 3: inParent = value != 0; break;
                case 4: (flags, hasFlags) = (value, true); break;
                case 5: pages = value; break;
            }
        }
        if (inParent)
            throw new InvalidDataException("a pagemap entry that refers to parent images, which this agent never makes");
        // Without flags: images of CRIU before 2.12, all present.
        return new PagemapEntry(address, pages != 0 ? pages : compat, hasFlags ? (uint)flags : PagemapEntry.Present);
    }

    private static ulong Varint(ReadOnlySpan<byte> message, ref int at)
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            if (at >= message.Length)
                break;
            byte b = message[at++];
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
                return value;
        }
        throw new InvalidDataException("a damaged number in a pagemap entry");
    }
}
