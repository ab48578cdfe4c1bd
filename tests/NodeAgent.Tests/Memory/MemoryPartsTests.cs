using System.Text;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.Memory.Injection;

namespace Evacuator.NodeAgent.Tests.Memory;

public sealed class MemoryPartsTests
{
    [Fact]
    public void RangeSet_AgainstASetOfPages_IsEqual()
    {
        Random random = new(3);
        for (int run = 0; run < 500; run++)
        {
            (RangeSet a, HashSet<ulong> x) = Make(random);
            (RangeSet b, HashSet<ulong> y) = Make(random);
            Assert.Equal(x.Except(y).Order(), Pages(RangeSet.Subtract(a, b)));
            Assert.Equal(x.Intersect(y).Order(), Pages(RangeSet.Intersect(a, b)));
            Assert.Equal(x.Where(page => page is >= 20 and < 60).Order(), a.Between(20, 60).SelectMany(range => Enumerable.Range((int)range.Start, (int)range.Length)).Select(page => (ulong)page));
            for (ulong page = 0; page < 110; page++)
                Assert.Equal(x.Contains(page), a.Contains(page));
            a.UnionWith(b);
            Assert.Equal(x.Union(y).Order(), Pages(a));
            for (int i = 1; i < a.Count; i++)
                Assert.True(a.Ranges[i].Start > a.Ranges[i - 1].End, "ranges touch");
        }
    }

    [Theory]
    [InlineData("", 0u)]
    [InlineData("123456789", 0xE3069283u)]
    [InlineData("The quick brown fox jumps over the lazy dog", 0x22620404u)]
    public void Crc32C_OfKnownText_IsTheKnownNumber(string text, uint expected)
    {
        Assert.Equal(expected, Crc32C.Compute(Encoding.ASCII.GetBytes(text)));
        Assert.Equal(expected, BitByBit(Encoding.ASCII.GetBytes(text)));
    }

    [Theory]
    [InlineData(32)]
    [InlineData(3 * 8192 - 1)]
    [InlineData(3 * 8192)]
    [InlineData(100_003)]
    [InlineData(1 << 20)]
    public void Crc32C_OfManyBytes_IsThatOfOneBitAfterTheOther(int length)
    {
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        uint expected = BitByBit(bytes);
        Assert.Equal(expected, Crc32C.Compute(bytes));
        Assert.Equal(expected, Crc32C.Append(Crc32C.Append(0, bytes.AsSpan(0, length / 3)), bytes.AsSpan(length / 3)));
    }

    // RFC 3720, 12.1: the polynomial 11EDC6F41, reflected.
    private static uint BitByBit(byte[] bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++)
                crc = crc >> 1 ^ (0x82F63B78 & 0u - (crc & 1));
        }
        return ~crc;
    }

    [Theory]
    [InlineData("7f0c5a000000-7f0c5a021000 rw-p 00000000 00:00 0 ", nameof(MappingKind.PrivateAnonymous))]
    [InlineData("55d0c0a2e000-55d0c0a4f000 rw-p 00000000 00:00 0                          [heap]", nameof(MappingKind.PrivateAnonymous))]
    [InlineData("7ffc9d0a1000-7ffc9d0c2000 rw-p 00000000 00:00 0                          [stack]", nameof(MappingKind.Stack))]
    [InlineData("7ffc9d1c8000-7ffc9d1ca000 r-xp 00000000 00:00 0                          [vdso]", nameof(MappingKind.Special))]
    [InlineData("7f0c5b000000-7f0c5b1d3000 r-xp 00026000 08:01 1311                       /usr/lib/x86_64-linux-gnu/libc.so.6", nameof(MappingKind.PrivateFile))]
    [InlineData("7f0c5c000000-7f0c5c100000 rw-s 00000000 00:01 2051                       /memfd:a name (deleted)", nameof(MappingKind.SharedMemory))]
    [InlineData("7f0c5d000000-7f0c5d100000 rw-s 00000000 08:01 77                         /var/lib/db", nameof(MappingKind.SharedFile))]
    [InlineData("7f0c5e000000-7f0c5e400000 rw-p 00000000 00:0f 9                          /anon_hugepage (deleted)", nameof(MappingKind.PrivateFile))]
    public void MemoryMapping_OfALine_HasItsKind(string line, string kind)
    {
        Assert.True(MemoryMapping.TryParse(Encoding.ASCII.GetBytes(line), out MemoryMapping mapping));
        Assert.Equal(kind, $"{mapping.Kind}");
    }

    [Theory]
    [InlineData("")]
    [InlineData("Size:                  4 kB")]
    [InlineData("7f0c5a021000-7f0c5a000000 rw-p 00000000 00:00 0")]
    [InlineData("7f0c5a000000-7f0c5a021000 rw-p")]
    public void MemoryMapping_OfAnotherLine_IsRefused(string line) => Assert.False(MemoryMapping.TryParse(Encoding.ASCII.GetBytes(line), out _));

    [Fact]
    public void MemoryMap_WithAMappingThatGrewWhileItWasRead_NamesEachAddressOnce()
    {
        List<MemoryMapping> mappings = [];
        MemoryMapping.ParseAll("1000-3000 rw-p 0 00:00 0\n2000-5000 rw-p 0 00:00 0\n2000-4000 rw-p 0 00:00 0\n6000-7000 rw-p 0 00:00 0\n"u8, mappings);
        Assert.Equal([(0x1000UL, 0x3000UL), (0x3000UL, 0x5000UL), (0x6000UL, 0x7000UL)], mappings.Select(mapping => (mapping.Start, mapping.End)));
    }

    [Fact]
    public void Locked_FromSmaps_NamesLockedMappingsOnly() =>
        Assert.Equal([0x3000UL], MemoryMapping.ParseLocked("1000-3000 rw-p 0 00:00 0\nSize: 8 kB\nVmFlags: rd wr mr mw me ac \n3000-5000 rw-p 0 00:00 0\nVmFlags: rd wr mr mw me lo ac \n"u8));

    [Theory]
    [InlineData(new byte[] { 0x90, 0xB8, 0x0F, 0, 0, 0, 0x0F, 0x05 }, 1, 6)]
    [InlineData(new byte[] { 0x48, 0xC7, 0xC0, 0x0F, 0, 0, 0, 0x0F, 0x05 }, 0, 7)]
    [InlineData(new byte[] { 0xBB, 0x0F, 0, 0, 0, 0x0F, 0x05, 0xB8, 0x0F, 0, 0, 0, 0x0F, 0x05 }, 7, 12)]
    public void ReturnCode_InText_IsFound(byte[] text, int start, int syscall)
    {
        Assert.True(SyscallFrame.TryFindReturnCode(text, out int foundStart, out int foundSyscall));
        Assert.Equal((start, syscall), (foundStart, foundSyscall));
    }

    [Fact]
    public void ReturnCode_WhereTheNumberGoesElsewhere_IsNotFound() =>
        Assert.False(SyscallFrame.TryFindReturnCode([0xBB, 0x0F, 0, 0, 0, 0x0F, 0x05], out _, out _));

    [Fact]
    public void ProcessStatus_OfAProcessInAContainer_HasItsInnermostPid()
    {
        ProcessStatus? status = ProcessStatus.Parse("Name:\tx\nState:\tS (sleeping)\nPPid:\t7\nTracerPid:\t0\nNSpid:\t4026\t31\t1\nThreads:\t3\nVmLck:\t      16 kB\nSeccomp:\t2\n"u8);
        Assert.Equal(new ProcessStatus('S', 7, 0, 1, 3, 16, 2, false), status);
        Assert.Null(ProcessStatus.Parse([]));
    }

    private static (RangeSet, HashSet<ulong>) Make(Random random)
    {
        RangeSet set = new();
        HashSet<ulong> pages = [];
        for (ulong at = (ulong)random.Next(10); at < 100; at += (ulong)random.Next(1, 20))
        {
            ulong end = at + (ulong)random.Next(1, 12);
            set.Append(new MemoryRange(at, end));
            for (ulong page = at; page < end; page++)
                pages.Add(page);
        }
        return (set, pages);
    }

    private static IEnumerable<ulong> Pages(RangeSet set)
    {
        List<ulong> pages = [];
        foreach (MemoryRange range in set.Ranges)
            for (ulong page = range.Start; page < range.End; page++)
                pages.Add(page);
        return pages;
    }
}
