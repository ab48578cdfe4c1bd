using System.Collections.Concurrent;

namespace Evacuator.NodeAgent.Memory.Injection;

/// <summary>Where in a process the code "mov $15, %eax; syscall" lies, and its syscall instruction.</summary>
internal readonly record struct BorrowedCode(ulong Start, ulong Syscall)
{
    private const int ChunkBytes = 256 * 1024;

    /// <summary>Offsets in files already searched. A file replaced in place gives wrong bytes, which <see cref="IsIntact"/> finds.</summary>
    private static readonly ConcurrentDictionary<(uint Device, ulong Inode, ulong Offset), (int Start, int Syscall)> Known = new();

    /// <summary>Looks through the executable mappings, C libraries first. The target runs on meanwhile.</summary>
    public static BorrowedCode? Find(int pid, List<MemoryMapping> mappings)
    {
        byte[]? buffer = null;
        foreach (bool libC in (ReadOnlySpan<bool>)[true, false])
        {
            foreach (MemoryMapping mapping in mappings)
            {
                if (!mapping.Executable || !mapping.Readable || mapping.IsLibC != libC || mapping.Kind == MappingKind.Special)
                    continue;
                (uint, ulong, ulong) key = (mapping.Device, mapping.Inode, mapping.Offset);
                if (mapping.Inode != 0 && Known.TryGetValue(key, out (int Start, int Syscall) known))
                {
                    BorrowedCode code = new(mapping.Start + (ulong)known.Start, mapping.Start + (ulong)known.Syscall);
                    if (code.IsIntact(pid))
                        return code;
                }
                buffer ??= new byte[ChunkBytes];
                if (Search(pid, mapping, buffer) is not { } found)
                    continue;
                if (mapping.Inode != 0)
                    Known[key] = ((int)(found.Start - mapping.Start), (int)(found.Syscall - mapping.Start));
                return found;
            }
        }
        return null;
    }

    /// <summary>The code is what it was: asked again once the target stands still, since it may have executed another program in between.</summary>
    public bool IsIntact(int pid)
    {
        Span<byte> bytes = stackalloc byte[(int)(Syscall + 2 - Start)];
        return Interop.TryReadMemory(pid, Start, bytes) && SyscallFrame.TryFindReturnCode(bytes, out int start, out _) && start == 0;
    }

    private static BorrowedCode? Search(int pid, MemoryMapping mapping, byte[] buffer)
    {
        // Chunks overlap by one instruction pair, so that none is missed on a boundary. Offsets are kept as int: text beyond 2 GiB is not searched.
        ulong end = Math.Min(mapping.End, mapping.Start + int.MaxValue - ChunkBytes);
        for (ulong at = mapping.Start; at < end; at += ChunkBytes - SyscallFrame.CodeBytes)
        {
            int length = (int)Math.Min(ChunkBytes, mapping.End - at);
            Span<byte> chunk = buffer.AsSpan(0, length);
            if (!Interop.TryReadMemory(pid, at, chunk))
                return null;
            if (SyscallFrame.TryFindReturnCode(chunk, out int start, out int syscall))
                return new BorrowedCode(at + (ulong)start, at + (ulong)syscall);
        }
        return null;
    }
}
