using System.Diagnostics;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Migration;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Containers;

public sealed class CgroupThrottleTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [RootFact]
    public void Pulses_BusyProcess_GetsItsPartAndRunsOnAfterwards()
    {
        using TestCgroup cgroup = new();
        Process busy = cgroup.Start("while :; do :; done");
        using CgroupThrottle throttle = new(cgroup.Path, _folder.Path, TimeProvider.System);
        throttle.Set(0.25);
        Assert.Equal(ThrottleKind.Pulses, throttle.Kind);
        // Pulses are counted, not seconds: a late pulse only makes the container wait.
        SpinWait.SpinUntil(() => throttle.Pulses > 5);
        (TimeSpan used, long start, long pulses) = (CpuTime(busy), Stopwatch.GetTimestamp(), throttle.Pulses);
        SpinWait.SpinUntil(() => throttle.Pulses > pulses + 40);
        double part = (CpuTime(busy) - used) / Stopwatch.GetElapsedTime(start);

        throttle.Release();

        Assert.InRange(part, 0.01, 0.6);
        Assert.Equal("0", File.ReadAllText($"{cgroup.FullPath}/cgroup.freeze").Trim());
        TimeSpan before = CpuTime(busy);
        Assert.True(SpinWait.SpinUntil(() => CpuTime(busy) > before + TimeSpan.FromMilliseconds(50), TimeSpan.FromSeconds(30)));
    }

    [RootFact]
    public void Pulses_CgroupVanishes_EndsQuietly()
    {
        TestCgroup cgroup = new();
        cgroup.Start("sleep 600");
        using CgroupThrottle throttle = new(cgroup.Path, _folder.Path, TimeProvider.System);
        throttle.Set(0.5);
        SpinWait.SpinUntil(() => throttle.Pulses > 2);
        cgroup.Dispose();
        throttle.Release();
        Assert.False(Directory.Exists(cgroup.FullPath));
    }

    [Theory]
    // Two processors were used for ten seconds: half of them, of 20 ms each.
    [InlineData("max 100000", 20_000_000, 0.5, "20000 20000")]
    // Held to one processor already: half of that.
    [InlineData("100000 100000", 20_000_000, 0.5, "10000 20000")]
    // Nearly idle: the least that the kernel takes.
    [InlineData("max 100000", 1_000, 0.2, "1000 20000")]
    public void Quota_OfWhatItUsed_AndBackAfterwards(string before, long usedMicroseconds, double share, string expected)
    {
        KernelPaths paths = Group(before, used: 1000);
        ManualTime time = new();
        using CgroupThrottle throttle = new("/c1", _folder.Path + "/kept", time, paths);
        time.Advance(TimeSpan.FromSeconds(10));
        WriteUsed(usedMicroseconds + 1000);

        throttle.Set(share);

        Assert.Equal((ThrottleKind.Quota, expected), (throttle.Kind, Quota));
        throttle.Set(share / 2);
        throttle.Release();
        Assert.Equal(before, Quota);
        Assert.Empty(Directory.GetFiles(_folder.Path + "/kept"));
    }

    [Fact]
    public void RestoreAll_AfterADeath_PutsTheFormerQuotaBack()
    {
        KernelPaths paths = Group("max 100000", used: 0);
        CgroupThrottle died = new("/c1", _folder.Path + "/kept", TimeProvider.System, paths);
        died.Set(0.5);
        Assert.NotEqual("max 100000", Quota);
        File.WriteAllText(_folder.Path + "/kept/not hexadecimal", "");

        Assert.Equal([_folder.Path + "/cgroup/c1"], CgroupThrottle.RestoreAll(_folder.Path + "/kept"));

        Assert.Equal("max 100000", Quota);
        Assert.Empty(Directory.GetFiles(_folder.Path + "/kept"));
        Assert.Empty(CgroupThrottle.RestoreAll(_folder.Path + "/none"));
    }

    [Fact]
    public void Quota_OfAGroupWithALongPath_IsKeptAndPutBack()
    {
        string name = $"/kubepods.slice/{new string('b', 120)}.slice/{new string('c', 80)}.scope";
        KernelPaths paths = Group("max 100000", used: 0);
        string quota = $"{_folder.Path}/cgroup{name}/cpu.max";
        Directory.CreateDirectory(Path.GetDirectoryName(quota)!);
        File.WriteAllText(quota, "max 100000\n");
        using CgroupThrottle died = new(name, _folder.Path + "/kept", TimeProvider.System, paths);

        died.Set(0.5);

        Assert.NotEqual("max 100000", File.ReadAllText(quota));
        Assert.Equal([Path.GetDirectoryName(quota)!], CgroupThrottle.RestoreAll(_folder.Path + "/kept"));
        Assert.Equal("max 100000", File.ReadAllText(quota));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(1.1)]
    public void Set_NoSuchShare_IsRefused(double share)
    {
        using CgroupThrottle throttle = new("/c1", _folder.Path, TimeProvider.System, Group("max 100000", 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => throttle.Set(share));
    }

    [Theory]
    [InlineData(null, 50)]
    [InlineData("30", 30)]
    [InlineData("30 %", 100)]
    [InlineData("30%", 30)]
    [InlineData("4", 100)]
    [InlineData("101", 100)]
    [InlineData("slow", 100)]
    public void LeastSpeed_OfAnAnnotation_NonsenseIsNoPermission(string? text, int expected) =>
        Assert.Equal(expected, MemoryAhead.LeastSpeed(text is null ? new Dictionary<string, string>() : new Dictionary<string, string> { [Annotations.LeastSpeed] = text }, host: 50));

    private string Quota => File.ReadAllText(_folder.Path + "/cgroup/c1/cpu.max");

    private KernelPaths Group(string quota, long used)
    {
        Directory.CreateDirectory(_folder.Path + "/cgroup/c1");
        Directory.CreateDirectory(_folder.Path + "/kept");
        File.WriteAllText(_folder.Path + "/cgroup/c1/cpu.max", quota);
        WriteUsed(used);
        return new KernelPaths { Cgroup = _folder.Path + "/cgroup" };
    }

    private void WriteUsed(long microseconds) => File.WriteAllText(_folder.Path + "/cgroup/c1/cpu.stat", $"usage_usec {microseconds}\nuser_usec 0\n");

    private static TimeSpan CpuTime(Process process)
    {
        process.Refresh();
        return process.TotalProcessorTime;
    }
}
