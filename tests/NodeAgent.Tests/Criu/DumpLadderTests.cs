using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.NodeAgent.Criu;
using Evacuator.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Evacuator.NodeAgent.Tests.Criu;

public sealed class DumpLadderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly ManualTime _time = new();
    private readonly List<DumpRung> _tried = [];
    private readonly HashSet<DumpRung> _working = [DumpRung.Shim, DumpRung.LazyPages];

    private string Shim => Path.Combine(_folder.Path, "criu-shim.so");

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(DumpRule.Auto, true, true, DumpRung.Shim, "")]
    [InlineData(DumpRule.Auto, false, true, DumpRung.LazyPages, "no Shim")]
    [InlineData(DumpRule.Auto, false, false, DumpRung.Plain, "no Shim; no LazyPages")]
    [InlineData(DumpRule.Shim, true, true, DumpRung.Shim, "")]
    [InlineData(DumpRule.Shim, false, true, DumpRung.Plain, "no Shim")]
    [InlineData(DumpRule.LazyPages, true, true, DumpRung.LazyPages, "[move] dump in evacuator.conf")]
    [InlineData(DumpRule.LazyPages, true, false, DumpRung.Plain, "[move] dump in evacuator.conf; no LazyPages")]
    [InlineData(DumpRule.Plain, true, true, DumpRung.Plain, "[move] dump in evacuator.conf")]
    public async Task Choose_WhatWorksAndIsPermitted_IsTheBestOfIt(DumpRule rule, bool shim, bool lazyPages, DumpRung expected, string reason)
    {
        Only((DumpRung.Shim, shim), (DumpRung.LazyPages, lazyPages));
        DumpReport report = await Ladder(rule).ChooseAsync(CancellationToken.None);
        Assert.Equal((expected, reason), (report.Rung, report.Reason));
    }

    [Fact]
    public async Task Choose_AHostThatCannotTrack_TriesNothing()
    {
        DumpReport report = await Ladder(DumpRule.Auto, "no PAGEMAP_SCAN").ChooseAsync(CancellationToken.None);
        Assert.Equal((DumpRung.Plain, "no PAGEMAP_SCAN"), (report.Rung, report.Reason));
        Assert.Null(report.At);
        Assert.Empty(_tried);
    }

    [Fact]
    public async Task Choose_WhileTheFirstTrialRuns_WaitsForIt()
    {
        TaskCompletionSource<TrialResult> trial = new();
        DumpLadder ladder = new(DumpRule.Auto, "", (_, _) => trial.Task, Shim, [Shim], _time, NullLogger.Instance);
        ladder.Start();
        Assert.Equal(DumpRung.None, ladder.Report.Rung);
        Task<DumpReport> chosen = ladder.ChooseAsync(CancellationToken.None);
        Assert.False(chosen.IsCompleted);
        trial.SetResult(new TrialResult("", TimeSpan.FromMilliseconds(170)));
        Assert.Equal((DumpRung.Shim, 170.0), ((await chosen).Rung, ladder.Report.Milliseconds));
    }

    [Fact]
    public async Task Choose_AnotherShim_IsTriedAnew()
    {
        File.WriteAllText(Shim, "one");
        DumpLadder ladder = Ladder(DumpRule.Auto);
        DumpReport first = await ladder.ChooseAsync(CancellationToken.None);
        _ = await ladder.ChooseAsync(CancellationToken.None);
        Assert.Single(_tried);
        Only((DumpRung.LazyPages, true));
        File.WriteAllText(Shim, "another");
        DumpReport second = await ladder.ChooseAsync(CancellationToken.None);
        Assert.Equal((DumpRung.Shim, DumpRung.LazyPages), (first.Rung, second.Rung));
        Assert.NotEqual(first.Shim, second.Shim);
        File.Delete(Shim);
        Assert.Equal("", (await ladder.ChooseAsync(CancellationToken.None)).Shim);
    }

    [Fact]
    public async Task Choose_AfterAFailure_IsTriedAgainAfterAWhileAndNotBefore()
    {
        Only((DumpRung.LazyPages, true));
        DumpLadder ladder = Ladder(DumpRule.Auto);
        Assert.Equal(DumpRung.LazyPages, (await ladder.ChooseAsync(CancellationToken.None)).Rung);
        Only((DumpRung.Shim, true));
        Assert.Equal(DumpRung.LazyPages, (await ladder.ChooseAsync(CancellationToken.None)).Rung);
        _time.Advance(TimeSpan.FromMinutes(3));
        Assert.Equal(DumpRung.Shim, (await ladder.ChooseAsync(CancellationToken.None)).Rung);
        _time.Advance(TimeSpan.FromMinutes(3));
        _ = await ladder.ChooseAsync(CancellationToken.None);
        Assert.Equal([DumpRung.Shim, DumpRung.LazyPages, DumpRung.Shim], _tried);
    }

    private void Only(params (DumpRung Rung, bool Works)[] rungs)
    {
        _working.Clear();
        foreach ((DumpRung rung, bool works) in rungs)
            if (works)
                _working.Add(rung);
    }

    private DumpLadder Ladder(DumpRule rule, string whyNoTracking = "") => new(rule, whyNoTracking, Attempt, Shim, [Shim], _time, NullLogger.Instance);

    private Task<TrialResult> Attempt(DumpRung rung, CancellationToken cancel)
    {
        _tried.Add(rung);
        return Task.FromResult(new TrialResult(_working.Contains(rung) ? "" : $"no {rung}", TimeSpan.FromMilliseconds(1)));
    }
}
