using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Host;
using Evacuator.NodeAgent.Migration;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Host;

public sealed class ImageRoomTests
{
    private const long GiB = 1L << 30;

    [Fact]
    public void Needed_WithoutTheEngine_IsAllOfTheMemory()
    {
        Assert.Equal(ImageRoom.Least + 4 * GiB, ImageRoom.Needed(4 * GiB, engine: false));
        Assert.InRange(ImageRoom.Needed(4 * GiB, engine: true), ImageRoom.Least, 64L << 20);
    }

    [RootFact]
    public void Room_OnASmallFileSystem_IsMissingAndSaysWhere()
    {
        using TemporaryFolder folder = new();
        using SmallDisk disk = new(Path.Combine(folder.Path, "run"));

        Requirement requirement = ImageRoom.Require(Path.Combine(disk.Path, "moves"));
        Blocker? blocker = ImageRoom.WhyNot("node2", disk.Path, "web", memoryBytes: 0, engine: true);

        Assert.False(requirement.Met);
        Assert.Equal(BlockerCode.NotEnoughDisk, requirement.Code);
        Assert.Contains(disk.Path, requirement.Remedy, StringComparison.Ordinal);
        Assert.Equal(BlockerCode.NotEnoughDisk, blocker?.Code);
        Assert.Contains("web", blocker!.Text, StringComparison.Ordinal);
    }

    [RootFact]
    public void FreeSpace_FullFileSystem_IsNone()
    {
        using TemporaryFolder folder = new();
        using SmallDisk disk = new(Path.Combine(folder.Path, "disk"));
        long before = FreeSpace.At(Path.Combine(disk.Path, "not", "made", "yet"));
        disk.Fill();

        Assert.InRange(before, 1, 8 << 20);
        // What ext4 has in half blocks nobody else gets either.
        Assert.InRange(FreeSpace.At(disk.Path), 0, 64 << 10);
        Assert.True(FreeSpace.At("/nonexistent/containers") > 0);
    }

    [RootFact]
    public void Disk_FilesGoToAFullFileSystem_RefusedWhateverTheHostHasElsewhere()
    {
        using TemporaryFolder folder = new();
        using SmallDisk disk = new(Path.Combine(folder.Path, "srv"));

        Blocker? small = Disk(Path.Combine(disk.Path, "web"), diskBytes: 1 << 20, reserved: 0);
        Blocker? large = Disk(Path.Combine(disk.Path, "web"), diskBytes: 64 << 20, reserved: 0);
        Blocker? late = Disk(Path.Combine(disk.Path, "web"), diskBytes: 1 << 20, reserved: 64 << 20);

        Assert.Null(small);
        Assert.Equal(BlockerCode.NotEnoughDisk, large?.Code);
        Assert.Contains(disk.Path, large!.Text, StringComparison.Ordinal);
        Assert.Contains("kept for others", late?.Text, StringComparison.Ordinal);
    }

    private static Blocker? Disk(string bundle, long diskBytes, long reserved) => InboundChecks.Disk(
        new ContainerReport
        {
            Name = "web", Runtime = "runc", State = "running", Pid = 1, Bundle = bundle, Rootfs = $"{bundle}/rootfs", MemoryBytes = 0, DiskBytes = diskBytes, Processes = 1, Threads = 1,
            Addresses = [], Macs = [], Bridges = [], Annotations = new Dictionary<string, string>(), Blockers = [],
        },
        new HostReport
        {
            Node = "node2", BootId = "b", AgentVersion = "1", ProtocolVersion = 1, Kernel = "6.12", MemoryTotal = GiB, MemoryAvailable = GiB, MemoryReserved = 0, DiskAvailable = 1000 * GiB,
            Cpus = 1, LoadAverage = 0, InboundOpen = true, Requirements = [],
        }, reserved);
}
