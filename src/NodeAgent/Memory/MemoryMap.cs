using System.Buffers.Text;

namespace Evacuator.NodeAgent.Memory;

/// <summary>What stands behind a mapping.</summary>
internal enum MappingKind
{
    /// <summary>MAP_PRIVATE | MAP_ANONYMOUS: heap, thread stacks, arenas. What the engine can own.</summary>
    PrivateAnonymous,

    /// <summary>The main thread's stack.</summary>
    Stack,

    /// <summary>A private mapping of a file: its written pages are copies of the process' own.</summary>
    PrivateFile,

    /// <summary>Shared memory: memfd, SysV, shared anonymous. Its pages travel in CRIU's images.</summary>
    SharedMemory,

    /// <summary>A shared mapping of a file: its pages are the file's.</summary>
    SharedFile,

    /// <summary>vdso, vvar, vsyscall, uprobes: the kernel's.</summary>
    Special,
}

/// <summary>One line of /proc/PID/maps. Addresses in bytes, <paramref name="End"/> excluded.</summary>
internal readonly record struct MemoryMapping(ulong Start, ulong End, MappingKind Kind, bool Readable, bool Writable, bool Executable, ulong Offset, uint Device, ulong Inode, bool IsLibC)
{
    public ulong Length => End - Start;

    public ulong Pages => Length / Interop.PageSize;

    /// <summary>
    /// 7f0c5a000000-7f0c5a021000 rw-p 00000000 00:00 0                          [heap]
    /// start        end          perm offset   dev   inode                      name
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> line, out MemoryMapping mapping)
    {
        mapping = default;
        if (!Hex(ref line, (byte)'-', out ulong start) || !Hex(ref line, (byte)' ', out ulong end) || end <= start || line.Length < 5)
            return false;
        bool readable = line[0] == 'r', writable = line[1] == 'w', executable = line[2] == 'x', isPrivate = line[3] == 'p';
        line = line[5..];
        if (!Hex(ref line, (byte)' ', out ulong offset) || !Hex(ref line, (byte)':', out ulong major) || !Hex(ref line, (byte)' ', out ulong minor)
            || !Utf8Parser.TryParse(line, out ulong inode, out int used))
            return false;
        ReadOnlySpan<byte> name = line[used..].TrimStart((byte)' ');
        MappingKind kind;
        // The kernel's own names stand in brackets; a file's name starts with a slash. [heap] and [anon:...] are ordinary private memory.
        if (name.StartsWith("[v"u8) || name.StartsWith("[uprobes]"u8) || name.StartsWith("[shadow stack]"u8))
            kind = MappingKind.Special;
        else if (!isPrivate)
            kind = IsSharedMemory(name) ? MappingKind.SharedMemory : MappingKind.SharedFile;
        else if (inode != 0 || name.StartsWith("/"u8))
            kind = MappingKind.PrivateFile;
        else
            kind = name.SequenceEqual("[stack]"u8) ? MappingKind.Stack : MappingKind.PrivateAnonymous;
        bool isLibC = executable && kind == MappingKind.PrivateFile && (name.IndexOf("/libc"u8) >= 0 || name.IndexOf("musl"u8) >= 0);
        mapping = new MemoryMapping(start, end, kind, readable, writable, executable, offset, (uint)(major << 20 | minor), inode, isLibC);
        return true;

        static bool IsSharedMemory(ReadOnlySpan<byte> name) => name.IsEmpty || name.StartsWith("/memfd:"u8) || name.StartsWith("/SYSV"u8)
            || name.StartsWith("/dev/zero"u8) || name.StartsWith("[anon_shmem"u8) || name.StartsWith("/dev/shm/"u8);

        static bool Hex(ref ReadOnlySpan<byte> text, byte terminator, out ulong number)
        {
            if (!Utf8Parser.TryParse(text, out number, out int used, 'x') || used >= text.Length || text[used] != terminator)
                return false;
            text = text[(used + 1)..];
            return true;
        }
    }

    /// <summary>
    /// The start addresses of locked mappings in a smaps file: each mapping's line, then lines of "Name: value", of which "VmFlags: rd wr mr mw me lo ac" ends it.
    /// </summary>
    public static HashSet<ulong> ParseLocked(ReadOnlySpan<byte> smaps)
    {
        HashSet<ulong> locked = [];
        ulong start = 0;
        foreach (Range range in smaps.Split((byte)'\n'))
        {
            ReadOnlySpan<byte> line = smaps[range];
            if (line.StartsWith("VmFlags:"u8))
            {
                if (line.IndexOf(" lo"u8) >= 0)
                    locked.Add(start);
            }
            else if (TryParse(line, out MemoryMapping mapping))
                start = mapping.Start;
        }
        return locked;
    }

    /// <summary>
    /// Parses a whole maps file, in ascending order of addresses, into a list that is kept between calls. The kernel writes it page by page, so the file of a running process can name
    /// a mapping again that grew downwards or was merged meanwhile: the part already named is cut off.
    /// </summary>
    public static void ParseAll(ReadOnlySpan<byte> text, List<MemoryMapping> mappings)
    {
        mappings.Clear();
        ulong named = 0;
        foreach (Range range in text.Split((byte)'\n'))
        {
            if (!TryParse(text[range], out MemoryMapping mapping) || mapping.End <= named)
                continue;
            mappings.Add(mapping.Start < named ? mapping with { Start = named } : mapping);
            named = mapping.End;
        }
    }
}
