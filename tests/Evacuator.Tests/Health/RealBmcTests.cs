using Evacuator.Common.Configuration;
using Evacuator.Fleet;
using Evacuator.Health;
using Evacuator.Lab.BmcSimulator;
using Evacuator.Lab.BmcSimulator.Power;
using Evacuator.Power;
using Evacuator.Testing;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Health;

/// <summary>The brain's way to management controllers over real Redfish, HTTPS and events, against the lab's BMC.</summary>
public sealed class RealBmcTests : IAsyncLifetime
{
    private readonly SimulatedMachine _machine = new(running: true);
    private readonly string _state = Directory.CreateTempSubdirectory("evacuator-bmc-").FullName;
    private BmcSimulatorHost _bmc = null!;

    public async Task InitializeAsync() => _bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Machine = _machine.Hooks });

    public async Task DisposeAsync()
    {
        await _bmc.DisposeAsync();
        Directory.Delete(_state, recursive: true);
    }

    [Fact]
    public async Task Open_RightFingerprint_ReadsPowerLedAndSeesOff()
    {
        BmcOpening opening = await Bmcs().OpenAsync(Access(), default);
        Assert.Equal("", opening.Problem);
        await using IBmc bmc = opening.Bmc!;
        Assert.Equal("On", (await bmc.ReadPowerAsync(default)).State);
        Assert.Equal("on", await bmc.SetLedAsync(true, default));
        Assert.Equal("off", await bmc.SetLedAsync(false, default));
        Assert.False((await bmc.VerifyOffAsync(TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(10), default)).IsOff);
        await bmc.ForceOffAsync(default);
        Assert.True((await bmc.VerifyOffAsync(TimeSpan.FromMilliseconds(50), TestLimits.Hang, default)).IsOff);
        Assert.False(_machine.Running);
    }

    [Fact]
    public async Task Open_WrongFingerprint_SaysSoAndSendsNoPassword()
    {
        BmcOpening opening = await Bmcs().OpenAsync(Access() with { Fingerprint = new string('0', 64) }, default);
        Assert.Null(opening.Bmc);
        Assert.Contains("certificate", opening.Problem, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(0, _bmc.SessionPeak);
    }

    [Fact]
    public async Task Open_WrongPassword_SaysSo() =>
        Assert.Contains("evacuator", (await Bmcs().OpenAsync(Access() with { Password = "no" }, default)).Problem, StringComparison.Ordinal);

    [Fact]
    public async Task Open_Closed_LeavesNoSession()
    {
        await using (IBmc bmc = (await Bmcs().OpenAsync(Access(), default)).Bmc!)
            await bmc.ReadPowerAsync(default);
        Assert.Empty(_bmc.Sessions);
    }

    [Fact]
    public async Task Watch_PredictedMemoryFailure_IsGraveAndATestEventIsNot()
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        await using IAsyncEnumerator<SignalNews> news = Source().WatchAsync(limit.Token).GetAsyncEnumerator(limit.Token);

        SignalNews healthy = await NextAsync(news, each => each.CanTell);
        Assert.DoesNotContain(healthy.Open, signal => signal.Critical);
        Assert.Equal("On", healthy.PowerState);

        _bmc.PostEvent(Event("test-event"));
        _bmc.PostEvent(Event("fan-failed"));
        SignalNews fan = await NextAsync(news, each => each.Open.Count > 0);
        Assert.DoesNotContain(fan.Open, signal => signal.Grave);

        _bmc.PostEvent(Event("predicted-memory"));
        SignalNews grave = await NextAsync(news, each => each.Open.Any(signal => signal.Grave));
        OpenSignal signal = grave.Open.First(each => each.Grave);
        Assert.Contains("memory", signal.Text, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("DIMM", signal.Text, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task Watch_BmcThatCannotBeReached_CannotTell()
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        RedfishSignalSource source = Source();
        await _bmc.DisposeAsync();
        await using IAsyncEnumerator<SignalNews> news = source.WatchAsync(limit.Token).GetAsyncEnumerator(limit.Token);
        Assert.True(await news.MoveNextAsync());
        Assert.False(news.Current.CanTell);
        Assert.NotEqual("", news.Current.Problem);
        _bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
    }

    private RedfishBmcs Bmcs() => new(_state, TimeProvider.System, new Random(1));

    private BmcAccess Access() => new() { Url = _bmc.BaseAddress.ToString(), User = "evacuator", Password = "evacuator", Fingerprint = _bmc.Fingerprint };

    private RedfishSignalSource Source()
    {
        BmcSettings settings = new() { Url = _bmc.BaseAddress.ToString(), User = "evacuator", Fingerprint = _bmc.Fingerprint };
        return new RedfishSignalSource(new OwnBmc(settings, () => new Checked<string>("evacuator")), Bmcs(), settings, TimeProvider.System, new Random(1));
    }

    private static string Event(string name) => File.ReadAllText(Path.Combine(Prerequisites.ProjectRoot, "lab", "events", $"{name}.json"));

    private static async Task<SignalNews> NextAsync(IAsyncEnumerator<SignalNews> news, Func<SignalNews, bool> wanted)
    {
        while (await news.MoveNextAsync())
        {
            if (wanted(news.Current))
                return news.Current;
        }

        throw new InvalidOperationException("the source has ended");
    }
}
