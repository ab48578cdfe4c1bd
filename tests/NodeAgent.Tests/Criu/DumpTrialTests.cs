using System.Buffers.Binary;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Memory;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Criu;

/// <summary>What a trial says of images, and what is done with those of a dump with --lazy-pages. The trial itself runs in the lab, where there is a CRIU.</summary>
public sealed class DumpTrialTests : IDisposable
{
    private const ulong Page = 4096, One = 0x2000_0000_0000, First = One, Apart = 0x1000_0000, Two = One + 0x1000_0000, Three = Two + 0x1000_0000, Heap = 0x5555_0000_0000;

    private static readonly (ulong Address, ulong Pages)[] s_toBeSaved = [(Heap, 3), (Two, 64), (Three, 16), (Three + 48 * Page, 16)];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Shim_ThatLeavesOutWhatIsOwnedAndNothingElse_Passes()
    {
        Write(PagemapEntry.Present, s_toBeSaved);
        Assert.Null(DumpTrial.JudgeShim(_folder.Path));
    }

    [Fact]
    public void Shim_ThatIsNotThere_IsFoundOut()
    {
        Write(PagemapEntry.Present, (One, 64), (Two, 64), (Three, 64));
        Assert.Contains("does not keep this CRIU", DumpTrial.JudgeShim(_folder.Path), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(63, 16)]
    [InlineData(64, 15)]
    [InlineData(0, 16)]
    public void Shim_ThatLeavesOutMore_IsFoundOut(int second, int last)
    {
        Write(PagemapEntry.Present, (Two, (ulong)second), (Three, 16), (Three + 48 * Page, (ulong)last));
        Assert.Contains($"saves {second + 16 + last} of 96 pages", DumpTrial.JudgeShim(_folder.Path), StringComparison.Ordinal);
    }

    [Fact]
    public void Shim_ThatMixesUpPages_IsFoundOut()
    {
        Write(PagemapEntry.Present, s_toBeSaved);
        byte[] pages = File.ReadAllBytes($"{_folder.Path}/pages-1.img");
        pages[5 * (int)Page + 17] ^= 1;
        File.WriteAllBytes($"{_folder.Path}/pages-1.img", pages);
        Assert.Contains("saves 95 of 96 pages", DumpTrial.JudgeShim(_folder.Path), StringComparison.Ordinal);
        File.WriteAllBytes($"{_folder.Path}/pages-1.img", pages[..^(int)Page]);
        Assert.Contains("saves 94 of 96 pages", DumpTrial.JudgeShim(_folder.Path), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 64, true, null)]
    [InlineData(64, 64, false, null)]
    [InlineData(0, 63, true, "saves 63 of 64 pages of shared memory")]
    [InlineData(0, 0, true, "saves 0 of 64 pages of shared memory")]
    public void Shared_OwnedAndNot_IsJudged(int owned, int other, bool hides, string? expected)
    {
        WriteShared(3, 7, First + 3 * Apart, owned);
        WriteShared(4, 9, First + 4 * Apart, other);
        string? wrong = DumpTrial.JudgeShared(_folder.Path, owned: 7, other: 9, out bool hidden);
        Assert.Equal(hides, hidden);
        if (expected is null)
            Assert.Null(wrong);
        else
            Assert.Contains(expected, wrong, StringComparison.Ordinal);
    }

    [Fact]
    public void LazyPages_AllNamedAndNoneWritten_Passes()
    {
        Write(PagemapEntry.Lazy, (One, 64), (Two, 64), (Three, 64));
        Assert.Null(DumpTrial.JudgeLazyPages(_folder.Path));
    }

    [Theory]
    [InlineData(PagemapEntry.Lazy | PagemapEntry.Present, 64, "writes memory")]
    [InlineData(PagemapEntry.Present, 64, "writes memory")]
    [InlineData(PagemapEntry.Lazy, 63, "names 191 of 192 pages")]
    public void LazyPages_WrittenOrMissing_IsFoundOut(uint flags, int pages, string expected)
    {
        Write(flags, (One, 64), (Two, 64), (Three, (ulong)pages));
        Assert.Contains(expected, DumpTrial.JudgeLazyPages(_folder.Path), StringComparison.Ordinal);
    }

    [Fact]
    public void Settle_ADumpWithLazyPages_LeavesNoPageToNobodyAndNoneToTwo()
    {
        ulong stack = 0x7fff_0000_0000;
        PagemapImage image = Image(
            (Heap, 10, PagemapEntry.Lazy), (Heap + 10 * Page, 1, PagemapEntry.Present | PagemapEntry.Lazy), (Heap + 11 * Page, 5, PagemapEntry.Lazy),
            (stack, 4, PagemapEntry.Lazy), (stack + 4 * Page, 1, PagemapEntry.Present));
        LazyPagesDump.Settlement settlement = LazyPagesDump.Settle(image, owned: [new MemoryRange(Heap, Heap + 32 * Page)]);

        // What is owned and was not sent is zero, as the engine knows (here the ninth page); the stack is nobody's.
        Assert.Equal([new MemoryRange(stack, stack + 4 * Page)], settlement.ToSend);
        Assert.Equal([new MemoryRange(Heap + 10 * Page, Heap + 11 * Page)], settlement.ToDrop);
        Assert.Equal([(Heap + 10 * Page, 1UL), (stack + 4 * Page, 1UL)], settlement.Image.Entries.Select(entry => (entry.Address, entry.Pages)));
        // What is left to the destination is what it could complete after a dump with the shim.
        PagemapImage completed = settlement.Image.WithLazy([(Heap, 8), (Heap + 9 * Page, 1), (Heap + 11 * Page, 5), (stack, 4)]);
        Assert.Equal(6, completed.Entries.Count);
    }

    /// <param name="id">of the image of pages; the object's own number is its inode's</param>
    private void WriteShared(byte id, int inode, ulong area, int count)
    {
        PagemapImage image = Image(id, count == 0 ? [] : [(0, (ulong)count, PagemapEntry.Present)]);
        Assert.Equal(id, image.PagesId);
        File.WriteAllBytes($"{_folder.Path}/pagemap-shmem-{inode}.img", image.Write());
        byte[] pages = new byte[count * (int)Page];
        for (int at = 0; at < pages.Length; at += 8)
            BinaryPrimitives.WriteUInt64LittleEndian(pages.AsSpan(at), unchecked((area + (ulong)at) * 0x9E37_79B9_7F4A_7C15));
        if (count > 0)
            File.WriteAllBytes($"{_folder.Path}/pages-{id}.img", pages);
    }

    private void Write(uint flags, params (ulong Address, ulong Pages)[] runs)
    {
        runs = [.. runs.Where(run => run.Pages > 0)];
        File.WriteAllBytes($"{_folder.Path}/pagemap-1.img", Image([.. runs.Select(run => (run.Address, run.Pages, flags))]).Write());
        if ((flags & PagemapEntry.Present) == 0)
            return;
        byte[] pages = new byte[runs.Sum(run => (int)run.Pages) * (int)Page];
        int at = 0;
        foreach ((ulong address, ulong count) in runs)
            for (ulong word = address; word < address + count * Page; word += 8, at += 8)
                BinaryPrimitives.WriteUInt64LittleEndian(pages.AsSpan(at), unchecked(word * 0x9E37_79B9_7F4A_7C15));
        File.WriteAllBytes($"{_folder.Path}/pages-1.img", pages);
    }

    /// <summary>As CRIU writes it: 32-bit magic numbers, then messages with their length before them.</summary>
    private static PagemapImage Image(params (ulong Address, ulong Pages, uint Flags)[] entries) => Image(1, entries);

    private static PagemapImage Image(byte id, (ulong Address, ulong Pages, uint Flags)[] entries)
    {
        using MemoryStream bytes = new();
        using BinaryWriter writer = new(bytes);
        writer.Write(0x54564319u);
        writer.Write(0x56084025u);
        Message([8, id]);
        foreach ((ulong address, ulong pages, uint flags) in entries)
            Message([.. Number(1, address), .. Number(2, pages), .. Number(4, flags)]);
        writer.Flush();
        return PagemapImage.Read(bytes.ToArray());

        void Message(byte[] message)
        {
            writer.Write(message.Length);
            writer.Write(message);
        }

        static IEnumerable<byte> Number(int field, ulong value)
        {
            yield return (byte)(field << 3);
            for (; value >= 0x80; value >>= 7)
                yield return (byte)(value | 0x80);
            yield return (byte)value;
        }
    }
}
