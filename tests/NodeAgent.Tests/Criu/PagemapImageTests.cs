using Evacuator.NodeAgent.Criu;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Criu;

public class PagemapImageTests
{
    // pagemap-1.img of a small static program, as CRIU 4.2.1 wrote it.
    private static readonly byte[] Image = Convert.FromHexString(
        "1943565425400856" + "020000000801"
        + "0b0000000880a08002100020042801"
        + "0b000000088080a902100020042805"
        + "0b000000088080ac02100020062801"
        + "0b0000000880a0ad02100020062801"
        + "0b0000000880e0dd78100020042802"
        + "0e0000000880e085b3c8e61f100020042802"
        + "0e000000088080b8b1d2ff1f100020062803");

    [Fact]
    public void Image_Read_GivesItsRuns() => Assert.Equal(
        [
            new PagemapEntry(0x401000, 1, 4), new PagemapEntry(0x4A4000, 5, 4), new PagemapEntry(0x4B0000, 1, 6), new PagemapEntry(0x4B5000, 1, 6),
            new PagemapEntry(0xF177000, 2, 4), new PagemapEntry(0x7F3486617000, 2, 4), new PagemapEntry(0x7FFD262E0000, 3, 6),
        ],
        PagemapImage.Read(Image).Entries);

    [Fact]
    public void Image_ReadAndWritten_IsTheSame()
    {
        PagemapImage image = PagemapImage.Read(Image);

        Assert.Equal(image.Entries, PagemapImage.Read(image.Write()).Entries);
    }

    [Fact]
    public void WithLazy_RunsBetween_AreSortedIn()
    {
        PagemapImage image = PagemapImage.Read(PagemapImage.Read(Image).WithLazy([(0x402000, 3), (0x4AA000, 1)]).Write());

        Assert.Equal([0x401000UL, 0x402000, 0x4A4000, 0x4AA000], image.Entries.Take(4).Select(entry => entry.Address));
        Assert.Equal(new PagemapEntry(0x402000, 3, PagemapEntry.Lazy), image.Entries[1]);
    }

    [Fact]
    public void WithLazy_PagesOfTheImage_AreRestoredAtOnce()
    {
        PagemapImage image = PagemapImage.Read(Image).WithLazy([(0x402000, 3)]);

        Assert.All(image.Entries, entry => Assert.Equal(entry.Address == 0x402000 ? PagemapEntry.Lazy : PagemapEntry.Present, entry.Flags));
    }

    /// <summary>A process that was executed just before the freeze has nothing in the page store, and its stack is all it begins with.</summary>
    [Fact]
    public void CompleteAll_ProcessThatIsOwedNothing_GetsItsStackAtOnce()
    {
        using TemporaryFolder folder = new();
        foreach (string name in (string[])["pagemap-1.img", "pagemap-57.img", "pagemap-shmem-9.img"])
            File.WriteAllBytes(Path.Combine(folder.Path, name), Image);

        PagemapImage.CompleteAll(folder.Path, pid => pid == 1 ? [(0x402000, 3)] : []);

        PagemapImage Of(string name) => PagemapImage.Read(File.ReadAllBytes(Path.Combine(folder.Path, name)));
        Assert.Contains(new PagemapEntry(0x402000, 3, PagemapEntry.Lazy), Of("pagemap-1.img").Entries);
        Assert.All(Of("pagemap-57.img").Entries, entry => Assert.Equal(PagemapEntry.Present, entry.Flags));
        Assert.Equal(Image, File.ReadAllBytes(Path.Combine(folder.Path, "pagemap-shmem-9.img")));
    }

    [Fact]
    public void WithLazy_LongRun_KeepsItsLength()
    {
        // 16 TiB of pages do not fit the old 32-bit field.
        PagemapImage image = PagemapImage.Read(PagemapImage.Read(Image).WithLazy([(0x10_0000_0000, 1UL << 32)]).Write());

        Assert.Contains(image.Entries, entry => entry.Pages == 1UL << 32);
    }

    [Fact]
    public void WithLazy_PageThatCriuSavedToo_IsRefused() =>
        Assert.Throws<InvalidDataException>(() => PagemapImage.Read(Image).WithLazy([(0x4A5000, 1)]));

    [Fact]
    public void Image_CutAnywhere_IsRefusedOrShorter()
    {
        int whole = PagemapImage.Read(Image).Entries.Count;
        for (int length = 0; length < Image.Length; length++)
        {
            try
            {
                Assert.True(PagemapImage.Read(Image.AsSpan(0, length)).Entries.Count < whole);
            }
            catch (InvalidDataException)
            {
                // What it should be in the middle of an entry.
            }
        }
    }
}
