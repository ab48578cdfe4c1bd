using System.Buffers.Binary;
using System.Text;

namespace Evacuator.NodeAgent.Memory.Mappings;

/// <summary>What the running kernel says of its own types: where a member of a struct is, which number a function has.</summary>
/// <remarks>
/// BTF, little endian, as the kernel's Documentation/bpf/btf.rst has it: a header {u16 magic, u8 version, u8 flags, u32 header length, u32 type offset, u32 type length,
/// u32 string offset, u32 string length}, then types {u32 name, u32 info, u32 size or type} with more behind them that depends on the kind (info bits 24 to 28) and
/// on a count (bits 0 to 15); numbered from 1. Member of a struct: {u32 name, u32 type, u32 bit offset}; those without a name are structs or unions whose members
/// count as its own.
/// </remarks>
internal sealed class KernelTypes
{
    public const string Path = "/sys/kernel/btf/vmlinux";

    private const int HeaderBytes = 24, TypeBytes = 12, MemberBytes = 12;
    private const uint Magic = 0xEB9F;
    private const int KindStruct = 4, KindUnion = 5, KindFunction = 12;

    private readonly byte[] _text;
    private readonly int _types, _strings;

    /// <summary>Where each type begins, from 1.</summary>
    private readonly List<int> _at = [0];

    private KernelTypes(byte[] text, int types, int strings) => (_text, _types, _strings) = (text, types, strings);

    /// <exception cref="InvalidDataException">not such a file</exception>
    public static KernelTypes Parse(byte[] text)
    {
        if (text.Length < HeaderBytes || BinaryPrimitives.ReadUInt16LittleEndian(text) != Magic)
            throw new InvalidDataException("no BTF: it does not begin with its magic number");
        uint Field(int at) => BinaryPrimitives.ReadUInt32LittleEndian(text.AsSpan(at));
        long header = Field(4), types = header + Field(8), length = Field(12), strings = header + Field(16), stringLength = Field(20);
        if (types + length > text.Length || strings + stringLength > text.Length || types < HeaderBytes)
            throw new InvalidDataException("BTF is cut off");
        KernelTypes known = new(text, (int)types, (int)strings);
        for (int at = known._types; at < types + length;)
        {
            known._at.Add(at);
            at += TypeBytes + BytesBehind(known.Kind(at), known.Count(at));
            if (at > types + length)
                throw new InvalidDataException("BTF is cut off in a type");
        }
        return known;
    }

    /// <returns>bytes from the beginning of the struct; null if there is no such struct or member</returns>
    public int? Offset(string type, string member)
    {
        byte[] name = Encoding.ASCII.GetBytes(type), wanted = Encoding.ASCII.GetBytes(member);
        for (int id = 1; id < _at.Count; id++)
            if (Kind(_at[id]) == KindStruct && Name(_at[id]).SequenceEqual(name) && OffsetIn(id, wanted, depth: 0) is { } offset)
                return offset;
        return null;
    }

    /// <returns>null if the kernel has no such function, or does not speak of it</returns>
    public uint? FunctionNumber(string function)
    {
        byte[] name = Encoding.ASCII.GetBytes(function);
        for (int id = 1; id < _at.Count; id++)
            if (Kind(_at[id]) == KindFunction && Name(_at[id]).SequenceEqual(name))
                return (uint)id;
        return null;
    }

    private int? OffsetIn(int id, ReadOnlySpan<byte> wanted, int depth)
    {
        int type = _at[id];
        // Bit 31: the upper eight bits of an offset are the width of a bit field.
        bool packed = Word(type + 4) >> 31 != 0;
        for (int member = type + TypeBytes, left = Count(type); left > 0; left--, member += MemberBytes)
        {
            int offset = (int)(packed ? Word(member + 8) & 0xFFFFFF : Word(member + 8)) / 8;
            ReadOnlySpan<byte> name = Name(member);
            if (name.SequenceEqual(wanted))
                return offset;
            uint inner = Word(member + 4);
            if (name.IsEmpty && depth < 8 && inner < _at.Count && Kind(_at[(int)inner]) is KindStruct or KindUnion && OffsetIn((int)inner, wanted, depth + 1) is { } deeper)
                return offset + deeper;
        }
        return null;
    }

    private uint Word(int at) => BinaryPrimitives.ReadUInt32LittleEndian(_text.AsSpan(at));

    private int Kind(int at) => (int)(Word(at + 4) >> 24 & 31);

    private int Count(int at) => (int)(Word(at + 4) & 0xFFFF);

    private ReadOnlySpan<byte> Name(int at)
    {
        ReadOnlySpan<byte> rest = _text.AsSpan((int)Math.Min(_strings + (long)Word(at), _text.Length));
        int end = rest.IndexOf((byte)0);
        return end < 0 ? [] : rest[..end];
    }

    private static int BytesBehind(int kind, int count) => kind switch
    {
        1 or 14 or 17 => 4, // integer, variable, declaration tag
        3 => 12, // array
        KindStruct or KindUnion => MemberBytes * count,
        6 or 13 => 8 * count, // enumeration, parameters
        15 or 19 => 12 * count, // section, enumeration of 64 bits
        0 or 2 or (>= 7 and <= 12) or 16 or 18 => 0,
        _ => throw new InvalidDataException($"BTF has a type of the unknown kind {kind}"),
    };
}
