using System.Diagnostics;
using System.Globalization;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.Memory.Injection;
using Evacuator.Testing;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Tests.Memory;

/// <summary>What the target notices of being looked at: nothing.</summary>
public sealed class InjectionTests
{
    [TargetTheory]
    [InlineData("nanosleep")]
    [InlineData("clock_nanosleep")]
    [InlineData("poll")]
    [InlineData("ppoll")]
    [InlineData("select")]
    [InlineData("futex_timeout")]
    [InlineData("epoll_timeout")]
    [InlineData("read")]
    [InlineData("epoll")]
    [InlineData("accept")]
    [InlineData("recv_timeout")]
    [InlineData("waitpid")]
    [InlineData("pause")]
    [InlineData("sigsuspend")]
    [InlineData("poll_signal")]
    [InlineData("sigtimedwait")]
    public async Task Inject_IntoABlockedCall_DoesNotInterruptIt(string call)
    {
        using Target target = new(Targets.Compile("blocked"), [call]);
        int injected = Inject(target.FirstPid, () => false, 300);
        target.Signal("TERM");
        Assert.True(await target.WaitForExitAsync() == 0, $"{call}: {target.Output}");
        Assert.True(injected >= 250, $"only {injected} of 300 injections went through");
    }

    [TargetFact]
    public async Task Inject_IntoComputation_LeavesAllRegisters()
    {
        using Target target = new(Targets.Compile("registers", "-w"), []);
        int injected = Inject(target.FirstPid, () => false, 1000);
        target.Signal("TERM");
        Assert.True(await target.WaitForExitAsync() == 0, target.Output);
        Assert.True(injected > 900);
        Assert.Contains("alive", target.Output, StringComparison.Ordinal);
    }

    [TargetFact]
    public async Task Inject_UnderAFilterThatKills_GoesThrough()
    {
        using Target target = new(Targets.Compile("seccomp"), []);
        await FollowAsync(target);
        target.Signal("TERM");
        Assert.True(await target.WaitForExitAsync() == 0, target.Output);
        Assert.Equal("alive", target.Output);
    }

    [TargetFact]
    public async Task Follow_TwoHundredThreads_LosesNothing()
    {
        using Target target = new(Targets.Compile("threads"), ["200"]);
        await FollowAsync(target);
        target.Signal("TERM");
        Assert.Equal(0, await target.WaitForExitAsync());
        Assert.Equal("alive", target.Output);
    }

    [TargetFact]
    public async Task Follow_ThreadsThatComeAndGo_LosesNothing()
    {
        using Target target = new(Targets.Compile("threads"), ["50", "churn"]);
        await FollowAsync(target);
        target.Signal("TERM");
        Assert.Equal(0, await target.WaitForExitAsync());
        Assert.Equal("alive", target.Output);
    }

    [TargetFact]
    public async Task Inject_WhileItExecutesItselfAgain_BreaksNothing()
    {
        using Target target = new(Targets.Compile("exec"), ["300"]);
        Inject(target.FirstPid, () => target.HasExited, int.MaxValue);
        Assert.True(await target.WaitForExitAsync() == 0, target.Output);
        Assert.Equal("alive", target.Output);
    }

    [TargetFact]
    public async Task Follow_NobodyInItsOwnPidNamespace_IsTracked()
    {
        // What runs as nobody cannot read a build folder of root's; a copy of it can be read by all.
        using TemporaryFolder folder = new();
        string program = Path.Combine(folder.Path, "torture");
        File.Copy(Targets.Compile("torture"), program);
        File.SetUnixFileMode(program, (UnixFileMode)0x1ED);
        File.SetUnixFileMode(Path.GetDirectoryName(program)!, (UnixFileMode)0x1ED);
        using Target target = new(program, ["9"], "unshare", "--pid", "--fork", "--mount-proc", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all");
        using ContainerTracker tracker = await ContainerTracker.AttachAsync(target.Cgroup, Targets.Features, TimeProvider.System);
        ProcessTracking nobody = Assert.Single(tracker.Processes, process => process.HostPid != target.FirstPid);
        Assert.Null(nobody.WhyUntracked);
        Assert.Equal(1, nobody.Pid);
        await FollowAsync(target, tracker);
    }

    [TargetFact]
    public async Task Inject_IntoAStoppedProcess_LeavesItStopped()
    {
        using Target target = new(Targets.Compile("threads"), ["3"]);
        target.Signal("STOP");
        Assert.True(SpinWait.SpinUntil(() => ProcessStatus.Read(target.FirstPid)?.State == 'T', Target.Limit));
        Assert.Equal(20, Inject(target.FirstPid, () => false, 20));
        Assert.True(SpinWait.SpinUntil(() => ProcessStatus.Read(target.FirstPid)?.State == 'T', Target.Limit), "it runs");
        target.Signal("CONT");
        target.Signal("TERM");
        Assert.Equal(0, await target.WaitForExitAsync());
    }

    [TargetFact]
    public async Task Inject_KilledAtRandomMoments_LeavesTheTargetUnharmedAndTheNextCleansUp()
    {
        using Target computing = new(Targets.Compile("registers", "-w"), []);
        // A call that the kernel restarts by itself. One with a time-out of its own (nanosleep) that is interrupted a second time may return EINTR where the
        // tracer dies inside of the few microseconds of an injection: see SyscallFrame.RestartInterruptedCall.
        using Target blocked = new(Targets.Compile("blocked"), ["read"]);
        Random random = new(11);
        for (int kill = 0; kill < 24; kill++)
        {
            int pid = (kill % 2 == 0 ? computing : blocked).FirstPid;
            using Process tracker = Process.Start(new ProcessStartInfo("dotnet", [BenchProgram, "attach-loop", pid.ToString(CultureInfo.InvariantCulture)]) { RedirectStandardOutput = true })!;
            Assert.Equal("ready", await tracker.StandardOutput.ReadLineAsync());
            await Task.Delay(random.Next(120));
            tracker.Kill();
            await tracker.WaitForExitAsync();
        }
        foreach (Target target in (Target[])[computing, blocked])
        {
            Assert.Equal(1, Inject(target.FirstPid, () => false, 1));
            Assert.Empty(UserFaultInjector.LeftoverDescriptors(target.FirstPid));
            target.Signal("TERM");
            Assert.True(await target.WaitForExitAsync() == 0, target.Output);
        }
    }

    private static string BenchProgram => Path.Combine(Prerequisites.ProjectRoot, "tests", "Bench", "bin", new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name, "net10.0", "Bench.dll");

    private static int Inject(int pid, Func<bool> stop, int count)
    {
        UserFaultInjector.Prepare();
        UserFaultInjector injector = new(TimeProvider.System);
        using SafeFileHandle? pidfd = NodeAgent.Interop.PidfdOpen(pid);
        int injected = 0;
        for (int i = 0; pidfd is not null && i < count && !stop(); i++)
        {
            List<int> leftovers = UserFaultInjector.LeftoverDescriptors(pid);
            InjectionResult result = TraceThread.Run(() => injector.Inject(pid, pidfd, leftovers));
            result.UserFault?.Dispose();
            injected += result.Outcome == InjectionOutcome.Injected ? 1 : 0;
        }
        return injected;
    }

    private static async Task FollowAsync(Target target, ContainerTracker? given = null)
    {
        ContainerTracker tracker = given ?? await ContainerTracker.AttachAsync(target.Cgroup, Targets.Features, TimeProvider.System);
        ShadowMemory shadow = new();
        for (int look = 0; look < 3; look++)
        {
            for (int round = 0; round < 3; round++)
                await shadow.ReceiveAsync(tracker.RoundAsync(CancellationToken.None));
            Assert.All(tracker.Processes, process => Assert.Null(process.WhyUntracked));
            target.Freeze(true);
            await shadow.ReceiveAsync(tracker.FrozenRoundAsync(CancellationToken.None));
            Assert.True(shadow.AssertEqual(tracker, target.Pids) > 0);
            target.Freeze(false);
        }
        if (given is null)
            tracker.Dispose();
    }
}
