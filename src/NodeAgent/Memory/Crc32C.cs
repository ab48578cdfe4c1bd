using System.Numerics;
using System.Runtime.InteropServices;

namespace Evacuator.NodeAgent.Memory;

/// <summary>
/// CRC-32C (Castagnoli), as iSCSI and ext4 use it: the processor has an instruction for it. "123456789" gives E3069283.
/// </summary>
/// <remarks>
/// The instruction takes a word each cycle, but its result only after three: so three stretches are taken side by side, and put together by what the
/// length of a stretch, all zeroes, would do to the sum before it (a linear map of 32 bits).
/// </remarks>
internal static class Crc32C
{
    /// <summary>Bytes of one of the three stretches.</summary>
    private const int Stretch = 8192;

    private const int Words = Stretch / sizeof(ulong);

    /// <summary>What a stretch of zeroes makes of each value of each of the four bytes.</summary>
    private static readonly uint[][] Shifts = MakeShifts();

    public static uint Compute(ReadOnlySpan<byte> bytes) => Append(0, bytes);

    /// <param name="crc">of what came before; 0 if nothing did</param>
    public static uint Append(uint crc, ReadOnlySpan<byte> bytes)
    {
        crc = ~crc;
        for (; bytes.Length >= 3 * Stretch; bytes = bytes[(3 * Stretch)..])
        {
            ReadOnlySpan<ulong> first = MemoryMarshal.Cast<byte, ulong>(bytes[..Stretch]);
            ReadOnlySpan<ulong> second = MemoryMarshal.Cast<byte, ulong>(bytes.Slice(Stretch, Stretch));
            ReadOnlySpan<ulong> third = MemoryMarshal.Cast<byte, ulong>(bytes.Slice(2 * Stretch, Stretch));
            uint b = 0, c = 0;
            for (int i = 0; i < Words; i++)
            {
                crc = BitOperations.Crc32C(crc, first[i]);
                b = BitOperations.Crc32C(b, second[i]);
                c = BitOperations.Crc32C(c, third[i]);
            }
            crc = Shift(Shift(crc) ^ b) ^ c;
        }
        foreach (ulong word in MemoryMarshal.Cast<byte, ulong>(bytes))
            crc = BitOperations.Crc32C(crc, word);
        foreach (byte last in bytes[(bytes.Length & ~7)..])
            crc = BitOperations.Crc32C(crc, last);
        return ~crc;
    }

    private static uint Shift(uint crc) =>
        Shifts[0][crc & 0xFF] ^ Shifts[1][crc >> 8 & 0xFF] ^ Shifts[2][crc >> 16 & 0xFF] ^ Shifts[3][crc >> 24];

    private static uint[][] MakeShifts()
    {
        uint[] bits = new uint[32];
        for (int bit = 0; bit < 32; bit++)
        {
            bits[bit] = 1u << bit;
            for (int i = 0; i < Words; i++)
                bits[bit] = BitOperations.Crc32C(bits[bit], 0UL);
        }
        return [.. Enumerable.Range(0, 4).Select(at => Enumerable.Range(0, 256)
            .Select(value => Enumerable.Range(0, 8).Where(bit => (value >> bit & 1) != 0).Aggregate(0u, (sum, bit) => sum ^ bits[at * 8 + bit])).ToArray())];
    }
}
