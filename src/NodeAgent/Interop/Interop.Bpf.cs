using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent;

/// <summary>bpf(2), as far as one iterator over mappings needs it.</summary>
internal static unsafe partial class Interop
{
    [KernelConstants("linux/bpf.h asm/unistd.h")]
    public static class Bpf
    {
        public const long __NR_bpf = 321;
        public const long BPF_PROG_LOAD = 5;
        public const long BPF_LINK_CREATE = 28;
        public const long BPF_ITER_CREATE = 33;
        public const uint BPF_PROG_TYPE_TRACING = 26;
        public const uint BPF_TRACE_ITER = 28;
        public const int BPF_FUNC_seq_write = 127;

        public const byte BPF_LDX = 0x01;
        public const byte BPF_STX = 0x03;
        public const byte BPF_JMP = 0x05;
        public const byte BPF_ALU64 = 0x07;
        public const byte BPF_MEM = 0x60;
        public const byte BPF_DW = 0x18;
        public const byte BPF_ADD = 0x00;
        public const byte BPF_MOV = 0xb0;
        public const byte BPF_X = 0x08;
        public const byte BPF_K = 0x00;
        public const byte BPF_JEQ = 0x10;
        public const byte BPF_CALL = 0x80;
        public const byte BPF_EXIT = 0x90;
    }

    /// <summary>struct bpf_insn: u8 code, u4 dst, u4 src, s16 off, s32 imm.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public readonly struct BpfInstruction(byte code, int target = 0, int source = 0, short offset = 0, int value = 0)
    {
        public readonly byte Code = code;
        public readonly byte Registers = (byte)(target | source << 4);
        public readonly short Offset = offset;
        public readonly int Value = value;
    }

    /// <summary>union bpf_attr of BPF_PROG_LOAD, up to the last field that is used. The kernel takes shorter ones for zero.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 112)]
    private struct BpfLoad
    {
        [FieldOffset(0)] public uint Type;
        [FieldOffset(4)] public uint InstructionCount;
        [FieldOffset(8)] public void* Instructions;
        [FieldOffset(16)] public void* License;
        [FieldOffset(24)] public uint LogLevel;
        [FieldOffset(28)] public uint LogSize;
        [FieldOffset(32)] public void* Log;
        [FieldOffset(68)] public uint ExpectedAttachType;
        [FieldOffset(108)] public uint AttachBtfId;
    }

    /// <summary>union bpf_attr of BPF_LINK_CREATE.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct BpfLink
    {
        public int Program;
        public int Target;
        public uint AttachType;
        public uint Flags;
        public void* IteratorInfo;
        public uint IteratorInfoLength;
    }

    /// <summary>Loads a program that a kernel iterator calls for each item.</summary>
    /// <param name="attachTo">id of the iterator's function in the kernel's own types</param>
    /// <returns>the program; null with what the kernel says of it</returns>
    public static SafeFileHandle? LoadIterator(ReadOnlySpan<BpfInstruction> instructions, string license, uint attachTo, out string whyNot)
    {
        byte[] log = new byte[16 * 1024];
        fixed (BpfInstruction* code = instructions)
        fixed (byte* text = Encoding.ASCII.GetBytes(license + '\0'), said = log)
        {
            BpfLoad load = new()
            {
                Type = Bpf.BPF_PROG_TYPE_TRACING,
                InstructionCount = (uint)instructions.Length,
                Instructions = code,
                License = text,
                LogLevel = 1,
                LogSize = (uint)log.Length,
                Log = said,
                ExpectedAttachType = Bpf.BPF_TRACE_ITER,
                AttachBtfId = attachTo,
            };
            long program = SystemCall(Bpf.__NR_bpf, Bpf.BPF_PROG_LOAD, (long)&load, sizeof(BpfLoad), 0, 0);
            int error = LastError;
            whyNot = program >= 0 ? "" : $"{Failure("bpf(BPF_PROG_LOAD)", error).Message} {Encoding.ASCII.GetString(log).TrimEnd('\0', '\n').Split('\n')[^1]}".TrimEnd();
            return program < 0 ? null : new SafeFileHandle((nint)program, ownsHandle: true);
        }
    }

    /// <summary>Opens an iterator over one task; what its program writes is read from it.</summary>
    /// <param name="pid">in this process' pid namespace</param>
    /// <returns>null with errno</returns>
    public static SafeFileHandle? OpenTaskIterator(SafeFileHandle program, int pid)
    {
        // union bpf_iter_link_info: { u32 tid, u32 pid, u32 pid_fd }; 16 bytes, as its largest member has.
        ulong* info = stackalloc ulong[2];
        info[0] = (uint)pid;
        info[1] = 0;
        BpfLink link = new() { Program = (int)program.DangerousGetHandle(), AttachType = Bpf.BPF_TRACE_ITER, IteratorInfo = info, IteratorInfoLength = 16 };
        long made = SystemCall(Bpf.__NR_bpf, Bpf.BPF_LINK_CREATE, (long)&link, sizeof(BpfLink), 0, 0);
        GC.KeepAlive(program);
        if (made < 0)
            return null;
        using SafeFileHandle attached = new((nint)made, ownsHandle: true);
        // { u32 link_fd, u32 flags }
        ulong iterate = (uint)made;
        long iterator = SystemCall(Bpf.__NR_bpf, Bpf.BPF_ITER_CREATE, (long)&iterate, sizeof(ulong), 0, 0);
        return iterator < 0 ? null : new SafeFileHandle((nint)iterator, ownsHandle: true);
    }
}
