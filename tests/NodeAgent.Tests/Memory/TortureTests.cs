using Evacuator.NodeAgent.Memory;

namespace Evacuator.NodeAgent.Tests.Memory;

public sealed class TortureTests
{
    [TargetTheory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(3, true)]
    [InlineData(4, true)]
    public async Task Rounds_OfAProgramThatTorturesItsMemory_GiveExactlyItsMemory(int seed, bool forks)
    {
        using Target target = new(Targets.Compile("torture"), forks ? [$"{seed}", "forks"] : [$"{seed}"]);
        using ContainerTracker tracker = await ContainerTracker.AttachAsync(target.Cgroup, Targets.Features, TimeProvider.System);
        Assert.All(tracker.Processes.Where(process => process.HostPid == target.FirstPid), process => Assert.Null(process.WhyUntracked));
        ShadowMemory shadow = new();
        Random random = new(seed);
        ulong compared = 0;
        for (int look = 0; look < 8; look++)
        {
            for (int round = random.Next(1, 4); round > 0; round--)
            {
                await shadow.ReceiveAsync(tracker.RoundAsync(CancellationToken.None));
                await Task.Delay(random.Next(30));
            }
            target.Freeze(true);
            await shadow.ReceiveAsync(tracker.FrozenRoundAsync(CancellationToken.None));
            compared += shadow.AssertEqual(tracker, target.Pids);
            target.Freeze(false);
        }
        Assert.False(target.HasExited);
        Assert.True(compared > 0 && shadow.BytesReceived > 0);
    }
}
