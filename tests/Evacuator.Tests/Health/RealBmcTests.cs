using System.Net;
using Evacuator.Common.Configuration;
using Evacuator.Fleet;
using Evacuator.Health;
using Evacuator.Lab.BmcSimulator;
using Evacuator.Lab.BmcSimulator.Power;
using Evacuator.Power;
using Evacuator.Redfish.Events;
using Evacuator.Redfish.Health;
using Evacuator.Testing;
using Evacuator.Tests.Fakes;
using Microsoft.Extensions.Logging.Abstractions;

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
    public async Task Watch_EventAboutAModuleThatShowsIt_IsConfirmedAtOnceAndATestEventIsNothing()
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        await using IAsyncEnumerator<SignalNews> news = Source().WatchAsync(limit.Token).GetAsyncEnumerator(limit.Token);

        SignalNews healthy = await NextAsync(news, each => each.Listening?.Hearing == true);
        Assert.Equal((Verdict.Ok, "On"), (Judge(healthy).Verdict, healthy.PowerState));
        Assert.Equal(ListenMode.Sse, healthy.Listening!.Mode);

        _bmc.PostEvent(Event("test-event"));
        _bmc.PostEvent(Event("fan-failed"));
        SignalNews fan = await NextAsync(news, each => each.Signals.Any(tracked => !tracked.IsOnlyAnnounced));
        Assert.Equal(Verdict.Notify, Judge(fan).Verdict);

        DateTimeOffset began = TimeProvider.System.GetUtcNow();
        _bmc.PostEvent(Event("predicted-memory"));
        SignalNews grave = await NextAsync(news, each => Judge(each).Verdict == Verdict.Evacuate);
        SignalJudgement judged = Judge(grave).Signals[0];
        Assert.Equal((ComponentKind.Memory, SignalStage.Confirmed, 1), (judged.Known.Signal.Component, judged.Stage, judged.Known.Reads));
        Assert.Contains("DIMM", judged.Known.Signal.Location.Place ?? judged.Known.Signal.Name, StringComparison.OrdinalIgnoreCase);
        // Not a measurement: far from the minutes that polling alone would take.
        Assert.True(TimeProvider.System.GetUtcNow() - began < TimeSpan.FromSeconds(30));
    }

    [Fact]
    public async Task Watch_EventAboutAModuleThatIsWell_IsOnlyAnnounced()
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        await using IAsyncEnumerator<SignalNews> news = Source().WatchAsync(limit.Token).GetAsyncEnumerator(limit.Token);
        await NextAsync(news, each => each.Listening?.Hearing == true);
        _bmc.PostEvent("""{"MessageId":"IDRAC.2.8.MEM0005","MessageArgs":["DIMM A1"],"OriginOfCondition":"/redfish/v1/Systems/1/Memory/DIMM_A1","Severity":"Critical"}""");
        SignalNews told = await NextAsync(news, each => each.Signals.Count > 0);
        Assert.Equal((Verdict.Notify, SignalStage.Announced), (Judge(told).Verdict, Judge(told).Signals[0].Stage));
    }

    [Fact]
    public async Task Watch_WithoutEvents_ConfirmsByTwoReadsWithinTheInterval()
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        _bmc.Patch("/redfish/v1/EventService", """{"ServiceEnabled":false}""");
        await using IAsyncEnumerator<SignalNews> news = Source(poll: TimeSpan.FromSeconds(4)).WatchAsync(limit.Token).GetAsyncEnumerator(limit.Token);
        await NextAsync(news, each => each.Listening is { Hearing: true, Mode: ListenMode.Poll });
        _bmc.Patch("/redfish/v1/Systems/1/Memory/DIMM_A1/MemoryMetrics", """{"HealthData":{"AlarmTrips":{"CorrectableECCError":true}}}""");
        SignalNews first = await NextAsync(news, each => each.Signals.Count > 0);
        Assert.Equal((Verdict.Notify, SignalStage.Unconfirmed), (Judge(first).Verdict, Judge(first).Signals[0].Stage));
        await NextAsync(news, each => Judge(each, TimeSpan.FromSeconds(2)).Verdict == Verdict.Evacuate);
    }

    [Fact]
    public async Task Watch_StormOfAThousandEvents_ReadsAFewTimes()
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        await using IAsyncEnumerator<SignalNews> news = Source().WatchAsync(limit.Token).GetAsyncEnumerator(limit.Token);
        await NextAsync(news, each => each.Listening?.Hearing == true);
        int before = _bmc.Requests.Total;
        string patched = Event("predicted-memory");
        _bmc.PostEvent(patched);
        for (int number = 0; number < 1000; number++)
            _bmc.PostEvent($$"""{"MessageId":"IDRAC.2.8.MEM0005","Message":"number {{number}}","MessageArgs":["DIMM A1"],"OriginOfCondition":"/redfish/v1/Systems/1/Memory/DIMM_A1","Severity":"Critical"}""");
        SignalNews last = await NextAsync(news, each => Judge(each).Verdict == Verdict.Evacuate);
        Assert.Single(last.Signals, tracked => tracked.Signal.Component == ComponentKind.Memory && tracked.Signal.Kind == SignalKind.CorrectableErrorThreshold);
        Assert.True(_bmc.Requests.Total - before < 300, $"{_bmc.Requests.Total - before} requests");
    }

    [Fact]
    public async Task Watch_PostedEvents_AreTakenWhereNothingStreams()
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        _bmc.Patch("/redfish/v1/EventService", """{"ServerSentEventUri":null}""");
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 1);
        EvacuatorOptions options = new() { Bmc = new BmcSettings { PushAddress = "127.0.0.1", PushPort = TestFleet.FreePort() } };
        using PushReceiver push = new(options, fleet["node1"].Tls, TimeProvider.System, NullLogger<PushReceiver>.Instance);
        await push.StartAsync(limit.Token);
        await using IAsyncEnumerator<SignalNews> news = Source(push: push, poll: TimeSpan.FromSeconds(30)).WatchAsync(limit.Token).GetAsyncEnumerator(limit.Token);
        await NextAsync(news, each => each.Listening is { Hearing: true, Mode: ListenMode.Push });
        Assert.Single(_bmc.Subscriptions);
        _bmc.PostEvent(Event("predicted-memory"));
        await NextAsync(news, each => Judge(each).Verdict == Verdict.Evacuate);

        // Whoever does not know the secret gets nothing, and a peer's question is not one of this listener.
        using HttpClient stranger = new(new HttpClientHandler { ServerCertificateCustomValidationCallback = (_, _, _, _) => true });
        using StringContent body = new("{}");
        foreach (string path in (string[])["/redfish/events/", "/redfish/events/0123", "/v1/capacity"])
            Assert.Equal(HttpStatusCode.NotFound, (await stranger.PostAsync(new Uri(push.Destination!, path), body, limit.Token)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await stranger.GetAsync(push.Destination, limit.Token)).StatusCode);
        // Too much of it is not read, and still answered as the BMC needs it.
        using ByteArrayContent much = new(new byte[EventPayload.MaxBytes + 1]);
        Assert.Equal(HttpStatusCode.OK, (await stranger.PostAsync(push.Destination, much, limit.Token)).StatusCode);
        await push.StopAsync(limit.Token);
    }

    [Fact]
    public async Task Watch_Stopped_LeavesNoSessionAndNoSubscription()
    {
        using (CancellationTokenSource stop = new())
        {
            IAsyncEnumerator<SignalNews> news = Source().WatchAsync(stop.Token).GetAsyncEnumerator(stop.Token);
            await NextAsync(news, each => each.Knowledge.CanTell);
            Assert.Single(_bmc.Sessions);
            await stop.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await NextAsync(news, _ => false));
            await news.DisposeAsync();
        }

        Assert.Empty(_bmc.Sessions);
        Assert.Empty(_bmc.Subscriptions);
    }

    [Fact]
    public async Task Watch_BmcThatCannotBeReached_CannotTell()
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        RedfishSignalSource source = Source();
        await _bmc.DisposeAsync();
        await using IAsyncEnumerator<SignalNews> news = source.WatchAsync(limit.Token).GetAsyncEnumerator(limit.Token);
        Assert.True(await news.MoveNextAsync());
        Assert.Equal(Verdict.Unknown, Judge(news.Current).Verdict);
        Assert.NotEqual("", news.Current.Knowledge.Problem);
        _bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
    }

    private RedfishBmcs Bmcs() => new(_state, TimeProvider.System, new Random(1));

    private BmcAccess Access() => new() { Url = _bmc.BaseAddress.ToString(), User = "evacuator", Password = "evacuator", Fingerprint = _bmc.Fingerprint };

    private RedfishSignalSource Source(TimeSpan? poll = null, PushReceiver? push = null)
    {
        BmcSettings settings = new() { Url = _bmc.BaseAddress.ToString(), User = "evacuator", Fingerprint = _bmc.Fingerprint, PollInterval = poll ?? TimeSpan.FromMinutes(5) };
        EvacuatorOptions options = new() { Bmc = settings };
        return new RedfishSignalSource(new OwnBmc(settings, () => new Checked<string>("evacuator")), Bmcs(), options,
            push ?? new PushReceiver(options, null!, TimeProvider.System, NullLogger<PushReceiver>.Instance), TimeProvider.System, new Random(1));
    }

    private static HealthJudgement Judge(SignalNews news, TimeSpan? confirmAfter = null) => HealthJudge.Judge(
        new HealthFacts
        {
            Knowledge = news.Knowledge,
            Signals = [.. news.Signals.Select(tracked => KnownSignal.Of(tracked, tracked.Signal.FirstSeen))],
            Parts = news.Parts,
            ConfirmAfter = confirmAfter ?? TimeSpan.FromMinutes(2),
        },
        SignalRules.Default);

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
