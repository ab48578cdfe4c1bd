using System.Buffers;
using System.Buffers.Text;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using static Evacuator.NodeAgent.Interop;

namespace Evacuator.NodeAgent.Memory.Mappings;

/// <summary>
/// What /proc/PID/smaps says of a process' mappings, as far as CRIU reads it: each mapping's line and its flags. For the same, the kernel walks all
/// page tables when it writes that file, 9 ms for each GiB, while the container stands still; this takes microseconds, whatever its size.
/// </summary>
/// <remarks>
/// The flags come from a BPF iterator over the mappings of one task; which bit goes by which two letters is learnt from mappings of our own, since the kernel
/// changes both. A flag that was not met is no reason to guess: such a process is left to smaps. The kernel lets only programs that call themselves
/// GPL-compatible write to an iterator; the few instructions in <see cref="Program"/> may also be used under the BSD licence.
/// </remarks>
internal sealed class MappingFlags : IDisposable
{
    /// <param name="Flags">vm_flags of struct vm_area_struct</param>
    [StructLayout(LayoutKind.Sequential)]
    internal readonly record struct FlaggedRange(ulong Start, ulong End, ulong Flags);

    private const string License = "Dual BSD/GPL";
    private const int LargestMap = 64 << 20;

    /// <summary>The buffer of a BPF iterator: eight pages.</summary>
    private const int MostAtOnce = 32 * 1024;

    private readonly SafeFileHandle _program;
    private readonly byte[]?[] _names = new byte[64][];

    /// <summary>The page of the kernel that looks like a mapping and is none.</summary>
    private byte[] _vsyscall = [];

    private MappingFlags(SafeFileHandle program) => _program = program;

    /// <returns>null with the reason where this kernel does not let us; nothing is lost but time</returns>
    public static MappingFlags? TryOpen(out string whyNot)
    {
        try
        {
            KernelTypes types = KernelTypes.Parse(File.ReadAllBytes(KernelTypes.Path));
            if (types.FunctionNumber("bpf_iter_task_vma") is not { } iterator || types.Offset("vm_area_struct", "vm_start") is not { } start
                || types.Offset("vm_area_struct", "vm_end") is not { } end || types.Offset("vm_area_struct", "vm_flags") is not { } flags)
            {
                whyNot = "this kernel has no iterator over mappings";
                return null;
            }
            if (LoadIterator(Program((short)start, (short)end, (short)flags), License, iterator, out whyNot) is not { } program)
                return null;
            MappingFlags opened = new(program);
            if (opened.Learn() is not { } wrong)
                return opened;
            whyNot = wrong;
            opened.Dispose();
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            whyNot = e.Message;
            return null;
        }
    }

    /// <summary>Writes what smaps would say of a process that stands still.</summary>
    /// <param name="maps">its /proc/PID/maps</param>
    /// <returns>false if it has a flag without a name, or does not look as its maps say: then only smaps itself knows</returns>
    public bool TryWrite(int pid, ReadOnlySpan<byte> maps, IBufferWriter<byte> output) => Read(pid) is { } ranges && TryWrite(maps, ranges, output);

    internal bool TryWrite(ReadOnlySpan<byte> maps, ReadOnlySpan<FlaggedRange> ranges, IBufferWriter<byte> output)
    {
        int next = 0;
        foreach (Range slice in maps.Split((byte)'\n'))
        {
            ReadOnlySpan<byte> line = maps[slice];
            if (line.IsEmpty)
                continue;
            if (!TryParseRange(line, out ulong start, out ulong end))
                return false;
            output.Write(line);
            output.Write("\nVmFlags:"u8);
            if (line.EndsWith("[vsyscall]"u8))
                output.Write(_vsyscall);
            else if (next == ranges.Length || ranges[next].Start != start || ranges[next].End != end || !TryWriteFlags(ranges[next++].Flags, output))
                return false;
            output.Write("\n"u8);
        }
        // A process that is gone has neither.
        return next == ranges.Length && next > 0;
    }

    public void Dispose() => _program.Dispose();

    /// <summary>
    /// r6 = context {meta, task, vma}; r7 = vma, or end. Its start, end and flags go onto the stack, and from there into the file: bpf_seq_write(meta->seq, stack, 24).
    /// </summary>
    private static BpfInstruction[] Program(short start, short end, short flags)
    {
        const byte Load = Bpf.BPF_LDX | Bpf.BPF_MEM | Bpf.BPF_DW, Store = Bpf.BPF_STX | Bpf.BPF_MEM | Bpf.BPF_DW;
        const byte Copy = Bpf.BPF_ALU64 | Bpf.BPF_MOV | Bpf.BPF_X, Set = Bpf.BPF_ALU64 | Bpf.BPF_MOV | Bpf.BPF_K, Add = Bpf.BPF_ALU64 | Bpf.BPF_ADD | Bpf.BPF_K;
        return
        [
            new(Copy, 6, 1),
            new(Load, 7, 6, 16),
            new(Bpf.BPF_JMP | Bpf.BPF_JEQ | Bpf.BPF_K, 7, offset: 12),
            new(Load, 1, 7, start),
            new(Store, 10, 1, -24),
            new(Load, 1, 7, end),
            new(Store, 10, 1, -16),
            new(Load, 1, 7, flags),
            new(Store, 10, 1, -8),
            new(Load, 1, 6, 0),
            new(Load, 1, 1, 0),
            new(Copy, 2, 10),
            new(Add, 2, value: -24),
            new(Set, 3, value: 24),
            new(Bpf.BPF_JMP | Bpf.BPF_CALL, value: Bpf.BPF_FUNC_seq_write),
            new(Set, 0, value: 0),
            new(Bpf.BPF_JMP | Bpf.BPF_EXIT),
        ];
    }

    /// <returns>all mappings in the order of their addresses, none if the process is gone; null if they cannot be read</returns>
    internal FlaggedRange[]? Read(int pid)
    {
        using SafeFileHandle? iterator = OpenTaskIterator(_program, pid);
        if (iterator is null)
            return null;
        byte[] buffer = ArrayPool<byte>.Shared.Rent(2 * MostAtOnce);
        try
        {
            int length = 0;
            ulong last = 0;
            while (true)
            {
                if (length >= LargestMap)
                    return null;
                // With room for as much as the kernel gives at once, it gives whole ones.
                if (buffer.Length - length < MostAtOnce)
                {
                    byte[] larger = ArrayPool<byte>.Shared.Rent(buffer.Length * 2);
                    buffer.CopyTo(larger, 0);
                    ArrayPool<byte>.Shared.Return(buffer);
                    buffer = larger;
                }
                nint got = ReadSome(iterator, buffer.AsSpan(length));
                if (got < 0)
                    return null;
                ReadOnlySpan<FlaggedRange> ranges = MemoryMarshal.Cast<byte, FlaggedRange>(buffer.AsSpan(length, (int)got));
                // After its end the kernel's iterator goes back to where the reading was last interrupted: once more, and for ever, what was read already.
                if (ranges.IsEmpty || (length > 0 && ranges[0].Start <= last))
                    break;
                last = ranges[^1].Start;
                length += (int)got;
            }
            return MemoryMarshal.Cast<byte, FlaggedRange>(buffer.AsSpan(0, length)).ToArray();
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static unsafe nint ReadSome(SafeFileHandle file, Span<byte> buffer)
    {
        fixed (byte* to = buffer)
        {
            nint got;
            do
                got = ReadFile(file, to, (nuint)buffer.Length);
            while (got < 0 && LastError is Errno.EINTR or Errno.EAGAIN);
            return got;
        }
    }

    private bool TryWriteFlags(ulong flags, IBufferWriter<byte> output)
    {
        for (ulong left = flags; left != 0; left &= left - 1)
        {
            if (_names[BitOperations.TrailingZeroCount(left)] is not { } name)
                return false;
            output.Write(" "u8);
            output.Write(name);
        }
        return true;
    }

    /// <summary>Compares smaps with the bits for mappings of our own, one for each flag that can be had: the kernel writes the names of all bits in their order.</summary>
    /// <returns>null, or what does not fit</returns>
    private string? Learn()
    {
        using SampleMappings samples = SampleMappings.Make();
        int self = Environment.ProcessId;
        if (Read(self) is not { } before)
            return Failure("iterator over mappings", LastError).Message;
        byte[] smaps = ProcFiles.Read("/proc/self/smaps");
        if (Read(self) is not { } after)
            return Failure("iterator over mappings", LastError).Message;
        // Other threads of ours map and unmap meanwhile.
        HashSet<FlaggedRange> steady = [.. before];
        steady.IntersectWith(after);
        Dictionary<(ulong, ulong), ulong> flagsOf = [];
        foreach (FlaggedRange range in steady)
            if (!flagsOf.TryAdd((range.Start, range.End), range.Flags))
                return "this kernel's iterator does not keep to one process";
        (ulong Start, ulong End) at = default;
        bool isVsyscall = false;
        foreach (Range slice in smaps.AsSpan().Split((byte)'\n'))
        {
            ReadOnlySpan<byte> line = smaps.AsSpan(slice);
            if (TryParseRange(line, out ulong start, out ulong end))
                (at, isVsyscall) = ((start, end), line.EndsWith("[vsyscall]"u8));
            if (!line.StartsWith("VmFlags:"u8))
                continue;
            ReadOnlySpan<byte> text = line["VmFlags:"u8.Length..].TrimEnd((byte)' ');
            if (isVsyscall)
                _vsyscall = text.ToArray();
            else if (flagsOf.TryGetValue(at, out ulong flags) && Name(flags, Encoding.ASCII.GetString(text).Split(' ', StringSplitOptions.RemoveEmptyEntries)) is { } wrong)
                return wrong;
        }
        return _names.Count(name => name is not null) >= 8 ? null : "smaps shows too few flags of our own mappings";
    }

    private string? Name(ulong flags, string[] names)
    {
        // Bits that the kernel does not write: which name belongs to which is not certain then.
        if (names.Length != BitOperations.PopCount(flags))
            return null;
        foreach (string name in names)
        {
            int bit = BitOperations.TrailingZeroCount(flags);
            flags &= flags - 1;
            byte[] text = Encoding.ASCII.GetBytes(name);
            if (_names[bit] is { } known && !known.AsSpan().SequenceEqual(text))
                return $"smaps calls bit {bit} of a mapping's flags both {Encoding.ASCII.GetString(known)} and {name}";
            _names[bit] = text;
        }
        return null;
    }

    /// <summary>"7f0c5a000000-7f0c5a021000 rw-p …"; other lines of smaps begin with a name.</summary>
    private static bool TryParseRange(ReadOnlySpan<byte> line, out ulong start, out ulong end)
    {
        end = 0;
        return Utf8Parser.TryParse(line, out start, out int used, 'x') && used < line.Length && line[used] == '-'
            && Utf8Parser.TryParse(line[(used + 1)..], out end, out int more, 'x') && used + 1 + more < line.Length && line[used + 1 + more] == ' ';
    }
}
