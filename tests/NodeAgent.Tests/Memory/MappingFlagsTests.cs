using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.Memory.Mappings;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Memory;

/// <summary>What is written in the place of smaps, compared with smaps.</summary>
public sealed class MappingFlagsTests
{
    [TargetFact]
    public void Mappings_OfAllKinds_AreWrittenAsSmapsHasThem()
    {
        using MappingFlags flags = Open();
        using Target target = new(Targets.Compile("mappings"), []);
        target.Freeze(true);
        foreach (int pid in target.Pids)
        {
            string smaps = Relevant(ProcFiles.Read($"/proc/{pid}/smaps"));
            Assert.True(smaps.Count(letter => letter == '\n') > 60, smaps);
            Assert.Contains(" lo", smaps, StringComparison.Ordinal);
            Assert.Contains(" gd", smaps, StringComparison.Ordinal);
            Assert.Equal(smaps, Written(flags, pid));
        }
    }

    /// <summary>The kernel hands out 32 KiB at a time, some 1,300 mappings.</summary>
    [TargetTheory]
    [InlineData("2600")]
    [InlineData("10001")]
    public void Mappings_OfWhichThereAreMany_AreReadOnceEach(string more)
    {
        using MappingFlags flags = Open();
        using Target target = new(Targets.Compile("mappings"), [more]);
        target.Freeze(true);
        int pid = target.Pids.First();
        Assert.Equal(Relevant(ProcFiles.Read($"/proc/{pid}/smaps")), Written(flags, pid));
    }

    [TargetFact]
    public async Task Mappings_WhileTheyAreTracked_AreWrittenAsSmapsHasThem()
    {
        using MappingFlags flags = Open();
        using Target target = new(Targets.Compile("mappings"), []);
        using ContainerTracker tracker = await ContainerTracker.AttachAsync(target.Cgroup, Targets.Features, TimeProvider.System);
        await foreach (PageBatch batch in tracker.RoundAsync(CancellationToken.None))
            batch.Dispose();
        target.Freeze(true);
        tracker.LookFrozen();
        using TemporaryFolder folder = new();
        tracker.WriteMappings(flags, folder.Path);
        foreach (int pid in target.Pids)
        {
            string smaps = Relevant(ProcFiles.Read($"/proc/{pid}/smaps"));
            Assert.Contains(" uw", smaps, StringComparison.Ordinal);
            Assert.Equal(smaps, await File.ReadAllTextAsync(Path.Combine(folder.Path, $"{pid}")));
        }
    }

    [TargetFact]
    public void Mappings_ThatChangedSinceTheirListWasRead_AreLeftToSmaps()
    {
        using MappingFlags flags = Open();
        using Target target = new(Targets.Compile("mappings"), []);
        int pid = target.Pids.First();
        byte[] maps = ProcFiles.Read($"/proc/{pid}/maps");
        MappingFlags.FlaggedRange[] ranges = flags.Read(pid)!;
        ArrayBufferWriter<byte> output = new();
        Assert.True(flags.TryWrite(maps, ranges, output));
        Assert.False(flags.TryWrite(maps, ranges[1..], output));
        Assert.False(flags.TryWrite(maps, ranges[..^1], output));
        Assert.False(flags.TryWrite(maps.AsSpan(maps.AsSpan().IndexOf((byte)'\n') + 1), ranges, output));
        // A flag that this kernel gives no mapping of ours: nobody knows what it is called.
        ranges[3] = ranges[3] with { Flags = ranges[3].Flags | 1ul << 62 };
        Assert.False(flags.TryWrite(maps, ranges, output));
    }

    [TargetFact]
    public void Process_ThatIsGone_HasNone()
    {
        using MappingFlags flags = Open();
        Assert.False(flags.TryWrite(int.MaxValue - 7, [], new ArrayBufferWriter<byte>()));
    }

    [RootFact]
    public void KernelTypes_OfThisKernel_KnowAStructThatHeadersDescribe()
    {
        if (!File.Exists(KernelTypes.Path))
            return;
        KernelTypes types = KernelTypes.Parse(File.ReadAllBytes(KernelTypes.Path));
        // linux/fs.h: the same as Interop.page_region, which is proven against it.
        Assert.Equal((0, 8, 16), (types.Offset("page_region", "start"), types.Offset("page_region", "end"), types.Offset("page_region", "categories")));
        Assert.Null(types.Offset("page_region", "nothing"));
        Assert.Null(types.FunctionNumber("no_such_function_anywhere"));
    }

    [Fact]
    public void KernelTypes_OfGarbage_AreRefusedInWords()
    {
        Assert.Throws<InvalidDataException>(() => KernelTypes.Parse([]));
        Assert.Throws<InvalidDataException>(() => KernelTypes.Parse(new byte[64]));
        byte[] cut = new byte[64];
        BinaryPrimitives.WriteUInt16LittleEndian(cut, 0xEB9F);
        BinaryPrimitives.WriteUInt32LittleEndian(cut.AsSpan(4), 24);
        BinaryPrimitives.WriteUInt32LittleEndian(cut.AsSpan(12), 1000);
        Assert.Throws<InvalidDataException>(() => KernelTypes.Parse(cut));
        BinaryPrimitives.WriteUInt32LittleEndian(cut.AsSpan(12), 12);
        BinaryPrimitives.WriteUInt32LittleEndian(cut.AsSpan(28), 4u << 24 | 500); // a struct with more members than there is room for
        Assert.Throws<InvalidDataException>(() => KernelTypes.Parse(cut));
        BinaryPrimitives.WriteUInt32LittleEndian(cut.AsSpan(28), 30u << 24);
        Assert.Throws<InvalidDataException>(() => KernelTypes.Parse(cut));
    }

    private static MappingFlags Open()
    {
        MappingFlags? flags = MappingFlags.TryOpen(out string whyNot);
        Assert.True(flags is not null, whyNot);
        return flags;
    }

    private static string Written(MappingFlags flags, int pid)
    {
        ArrayBufferWriter<byte> output = new();
        Assert.True(flags.TryWrite(pid, ProcFiles.Read($"/proc/{pid}/maps"), output));
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }

    /// <summary>The lines that CRIU looks at.</summary>
    private static string Relevant(byte[] smaps) => string.Concat(Encoding.UTF8.GetString(smaps).Split('\n')
        .Where(line => line.StartsWith("VmFlags:", StringComparison.Ordinal) || (line.Length > 0 && !char.IsAsciiLetterUpper(line[0])))
        .Select(line => line.TrimEnd(line.StartsWith("VmFlags:", StringComparison.Ordinal) ? ' ' : '\n') + "\n"));
}
