using System.Diagnostics;
using Evacuator.NodeAgent.Containers;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Containers;

public sealed class CgroupFreezerTests
{
    private readonly CgroupFreezer _freezer = new(TimeProvider.System);

    [RootFact]
    public async Task Freeze_BusyProcessesAlsoInChildGroups_StandStillUntilThawed()
    {
        using TestCgroup cgroup = new();
        Process busy = cgroup.Start("while :; do :; done");
        Process nested = cgroup.Start("while :; do :; done", child: "/inner");

        Assert.Equal(FreezeOutcome.Frozen, await _freezer.FreezeAsync(cgroup.Path, TimeSpan.FromSeconds(10), default));

        Assert.True(_freezer.IsFrozen(cgroup.Path));
        (TimeSpan, TimeSpan) before = (CpuTime(busy), CpuTime(nested));
        Assert.Equal(FreezeOutcome.Frozen, await _freezer.FreezeAsync(cgroup.Path, TimeSpan.FromSeconds(10), default));
        Assert.Equal(before, (CpuTime(busy), CpuTime(nested)));
        _freezer.Thaw(cgroup.Path);
        SpinWait.SpinUntil(() => CpuTime(busy) > before.Item1 && CpuTime(nested) > before.Item2, TimeSpan.FromSeconds(30));
        Assert.True(CpuTime(busy) > before.Item1);
        Assert.False(_freezer.IsFrozen(cgroup.Path));
    }

    [RootFact]
    public async Task Freeze_CancelledBefore_LeavesItRunning()
    {
        using TestCgroup cgroup = new();
        cgroup.Start("sleep 600");
        using CancellationTokenSource cancelled = new();
        await cancelled.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _freezer.FreezeAsync(cgroup.Path, TimeSpan.FromSeconds(1), cancelled.Token));

        Assert.Equal("0", File.ReadAllText($"{cgroup.FullPath}/cgroup.freeze").Trim());
    }

    [RootFact]
    public async Task Freeze_NoSuchCgroup_IsGone()
    {
        Assert.Equal(FreezeOutcome.Gone, await _freezer.FreezeAsync("/evacuator-test-nothing", TimeSpan.FromSeconds(1), default));
        _freezer.Thaw("/evacuator-test-nothing");
        Assert.False(_freezer.IsFrozen("/evacuator-test-nothing"));
    }

    [Theory]
    [InlineData("/")]
    [InlineData("")]
    [InlineData("c1")]
    public async Task Freeze_TheWholeHost_IsRefused(string path) =>
        await Assert.ThrowsAsync<ArgumentException>(() => _freezer.FreezeAsync(path, TimeSpan.FromSeconds(1), default));

    private static TimeSpan CpuTime(Process process)
    {
        process.Refresh();
        return process.TotalProcessorTime;
    }
}
