using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using ArmCrc32 = System.Runtime.Intrinsics.Arm.Crc32;

namespace Evacuator.NodeAgent.Memory;

/// <summary>CRC-32C (Castagnoli), as iSCSI and ext4 use it: the processor has an instruction for it. "123456789" gives E3069283.</summary>
internal static class Crc32C
{
    public static uint Compute(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        if (Sse42.X64.IsSupported)
        {
            ulong wide = crc;
            foreach (ulong word in MemoryMarshal.Cast<byte, ulong>(bytes))
                wide = Sse42.X64.Crc32(wide, word);
            crc = (uint)wide;
            foreach (byte b in bytes[(bytes.Length & ~7)..])
                crc = Sse42.Crc32(crc, b);
        }
        else if (ArmCrc32.Arm64.IsSupported)
        {
            foreach (ulong word in MemoryMarshal.Cast<byte, ulong>(bytes))
                crc = ArmCrc32.Arm64.ComputeCrc32C(crc, word);
            foreach (byte b in bytes[(bytes.Length & ~7)..])
                crc = ArmCrc32.ComputeCrc32C(crc, b);
        }
        else
        {
            foreach (byte b in bytes)
                crc = Step(crc, b);
        }
        return ~crc;
    }

    internal static uint Step(uint crc, byte b)
    {
        crc ^= b;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82F63B78 & 0u - (crc & 1));
        return crc;
    }
}
