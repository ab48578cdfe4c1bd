using System.Text;
using Evacuator.Lab.BmcSimulator;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Redfish.Events;
using Evacuator.Redfish.Session;
using Evacuator.Redfish.Tests.Fake;
using Evacuator.Testing;

namespace Evacuator.Redfish.Tests.Events;

/// <summary>The listener against the lab's BMC: real TLS, real streams, waits shortened by options.</summary>
public sealed class BmcListenerTests
{
    private const string SystemUri = "/redfish/v1/Systems/1";
    private const string DimmEvent = """{"MessageId":"Platform.1.0.MemoryUncorrectableError","OriginOfCondition":"/redfish/v1/Systems/1/Memory/DIMM_A1","Severity":"Critical"}""";
    private static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(20);

    private static BmcListenerOptions Quick => new()
    {
        SystemUri = SystemUri,
        StreamSettle = Soon,
        RetryFirst = Soon,
        RetryLast = Soon * 5,
        PollInterval = Soon * 2,
        LivenessInterval = Soon * 3,
        PushProofWithin = TimeSpan.FromSeconds(20),
    };

    [Fact]
    public async Task Stream_EventHappens_IsHandedOnWithWhatItTouches()
    {
        await using ListenerRun run = await ListenerRun.StartAsync(Quick);
        Assert.Equal(BmcEventKind.Resync, (await run.NextAsync()).Kind);
        await run.StreamIsOpenAsync();
        run.Bmc.PostEvent(DimmEvent);
        BmcEvent got = await run.NextAsync(BmcEventKind.Record);
        Assert.Equal(("MemoryUncorrectableError", ListenMode.Sse, EventSeverity.Critical), (got.Record!.MessageKey, got.Via, got.Record.Severity));
        Assert.Equal(["/redfish/v1/Systems/1/Memory/DIMM_A1"], got.Touched);
        Assert.True(run.Listener.State.Hearing);
        Assert.NotNull(run.Listener.State.LastEvent);
    }

    [Fact]
    public async Task Stream_StormOfAThousand_IsMergedAndTheListenerLives()
    {
        await using ListenerRun run = await ListenerRun.StartAsync(Quick);
        await run.NextAsync(BmcEventKind.Resync);
        await run.StreamIsOpenAsync();
        for (int i = 0; i < 1000; i++)
            run.Bmc.PostEvent($$"""{"MessageId":"Platform.1.0.MemoryUncorrectableError","OriginOfCondition":"/redfish/v1/Systems/1/Memory/DIMM_A1","Severity":"Critical","MessageArgs":["{{i}}"]}""");
        run.Bmc.PostEvent("""{"MessageId":"Power.1.0.PowerSupplyFailed","OriginOfCondition":"/redfish/v1/Chassis/1/PowerSubsystem/PowerSupplies/PSU_1","Severity":"Critical"}""");
        int handed = 0;
        while (true)
        {
            BmcEvent next = await run.NextAsync();
            handed++;
            // Slow enough a reader to let alike ones meet; the last one must come through, by itself or in a resync.
            if (next.Record?.MessageKey == "PowerSupplyFailed" || next.Kind == BmcEventKind.Resync)
                break;
        }
        Assert.InRange(handed, 1, 1001);
    }

    [Fact]
    public async Task Stream_BmcForgetsTheSession_IsOpenedAgainWithAResync()
    {
        await using ListenerRun run = await ListenerRun.StartAsync(Quick);
        await run.NextAsync(BmcEventKind.Resync);
        run.Bmc.DropSessions();
        await run.NextAsync(BmcEventKind.Resync);
        run.Bmc.PostEvent(DimmEvent);
        await run.NextAsync(BmcEventKind.Record);
    }

    [Fact]
    public async Task Stream_EndsAtOnce_FallsBackAndDoesNotHammer()
    {
        await using ListenerRun run = await ListenerRun.StartAsync(Quick, new Fault { Kind = FaultKind.SseEnds });
        await run.UntilAsync(s => s is { Mode: ListenMode.Poll, Hearing: true });
        Assert.Contains("closed at once", run.Listener.State.Reason, StringComparison.Ordinal);
        run.Bmc.PostEvent(DimmEvent);
        BmcEvent got = await run.NextAsync(BmcEventKind.Record);
        Assert.Equal((ListenMode.Poll, "MemoryUncorrectableError"), (got.Via, got.Record!.MessageKey));
        Assert.InRange(run.Bmc.Requests.CountOf("GET", "/redfish/v1/EventService/SSE"), 1, 3);
    }

    [Fact]
    public async Task Stream_RenewedByAge_LosesNothingAndRepeatsNothing()
    {
        await using ListenerRun run = await ListenerRun.StartAsync(Quick with { MaxStreamAge = Soon * 4 });
        await run.NextAsync(BmcEventKind.Resync);
        await run.StreamIsOpenAsync();
        // Until it has been renewed a few times.
        for (int i = 0; run.Bmc.Requests.CountOf("GET", "/redfish/v1/EventService/SSE") < 4; i++)
        {
            run.Bmc.PostEvent($$"""{"MessageId":"X.1.0.E{{i}}","OriginOfCondition":"{{SystemUri}}"}""");
            BmcEvent got = await run.NextAsync();
            Assert.Equal($"E{i}", got.Record?.MessageKey);
        }
    }

    [Fact]
    public async Task Listening_BmcDies_IsKnownToBeDeafSinceTheLastCertainMoment()
    {
        await using ListenerRun run = await ListenerRun.StartAsync(Quick);
        await run.NextAsync(BmcEventKind.Resync);
        await run.UntilAsync(s => s.Hearing);
        await run.StopBmcAsync();
        ListeningState deaf = await run.UntilAsync(s => !s.Hearing);
        Assert.NotNull(deaf.Problem);
        Assert.True(deaf.Since <= TimeProvider.System.GetUtcNow());
        ListeningState later = await run.UntilAsync(s => !s.Hearing && s.Problem!.Contains("reachable", StringComparison.Ordinal));
        Assert.Equal(deaf.Since, later.Since);
    }

    [Fact]
    public async Task Push_NoStream_SubscribesProvesAndDelivers()
    {
        await using ListenerRun run = await ListenerRun.StartAsync(Quick, push: true, stream: false);
        await run.UntilAsync(s => s is { Mode: ListenMode.Push, Hearing: true } && !s.Reason.Contains("no delivery", StringComparison.Ordinal));
        run.Bmc.PostEvent(DimmEvent);
        BmcEvent got = await run.NextAsync(BmcEventKind.Record);
        Assert.Equal("MemoryUncorrectableError", got.Record!.MessageKey);
        Assert.False(got.Record.IsTest);
        Assert.Single(run.Bmc.Subscriptions);
        await run.StopListenerAsync();
        Assert.Empty(run.Bmc.Subscriptions);
    }

    [Fact]
    public async Task Push_SubscriptionVanishes_IsMadeAgainWithAResync()
    {
        await using ListenerRun run = await ListenerRun.StartAsync(Quick, push: true, stream: false);
        await run.UntilAsync(s => s is { Mode: ListenMode.Push, Hearing: true } && !s.Reason.Contains("no delivery", StringComparison.Ordinal));
        while (run.TryNext() is not null)
        {
        }
        run.Bmc.AddFault(new Fault { Kind = FaultKind.SubscriptionsVanish });
        BmcEvent resync = await run.NextAsync(BmcEventKind.Resync);
        Assert.Contains("lost", resync.Reason, StringComparison.Ordinal);
        Assert.Single(run.Bmc.Subscriptions);
    }

    [Fact]
    public async Task Push_ListenerIsNeverCalled_FallsBackToTheLogsAndSaysWhy()
    {
        await using ListenerRun run = await ListenerRun.StartAsync(Quick with { PushProofWithin = TimeSpan.FromSeconds(1.5) }, new Fault { Kind = FaultKind.PushSilent }, push: true, stream: false);
        // Until that is known, the logs are looked at as well: nothing is missed meanwhile.
        await run.UntilAsync(s => s is { Mode: ListenMode.Push, Hearing: true });
        run.Bmc.PostEvent(DimmEvent);
        Assert.Equal("MemoryUncorrectableError", (await run.NextAsync(BmcEventKind.Record)).Record!.MessageKey);
        ListeningState state = await run.UntilAsync(s => s is { Mode: ListenMode.Poll, Hearing: true });
        Assert.Contains("never called", state.Reason, StringComparison.Ordinal);
        Assert.Empty(run.Bmc.Subscriptions);
    }

    [Fact]
    public async Task Push_StaleSubscriptionOfOurs_IsDeletedAndStrangersStay()
    {
        await using ListenerRun run = await ListenerRun.StartAsync(Quick, push: true, stream: false, before: async client =>
        {
            await client.PostAsync("/redfish/v1/EventService/Subscriptions", System.Text.Json.Nodes.JsonNode.Parse(
                """{"Destination":"https://127.0.0.1:9/events/old-secret","Protocol":"Redfish","Context":"evacuator"}""")!.AsObject(), default);
            await client.PostAsync("/redfish/v1/EventService/Subscriptions", System.Text.Json.Nodes.JsonNode.Parse(
                """{"Destination":"https://127.0.0.1:9/strangers","Protocol":"Redfish","Context":"someone"}""")!.AsObject(), default);
        });
        await run.UntilAsync(s => s is { Mode: ListenMode.Push, Hearing: true });
        string[] left = [.. run.Bmc.Subscriptions.Select(s => s["Destination"]!.ToString())];
        Assert.Equal(2, left.Length);
        Assert.Contains("https://127.0.0.1:9/strangers", left);
        Assert.DoesNotContain("https://127.0.0.1:9/events/old-secret", left);
    }

    [Fact]
    public async Task Push_StreamWasRefused_IsLeftForTheStreamOnceThatWorks()
    {
        await using ListenerRun run = await ListenerRun.StartAsync(Quick with { RetryBetterAfter = Soon * 10 }, new Fault { Kind = FaultKind.SseEnds }, push: true);
        await run.UntilAsync(s => s is { Mode: ListenMode.Push, Hearing: true });
        run.Bmc.ClearFaults();
        await run.UntilAsync(s => s is { Mode: ListenMode.Sse, Hearing: true });
        Assert.Empty(run.Bmc.Subscriptions);
    }

    [Fact]
    public async Task Poll_NothingElseOffered_FindsWhatIsNewInTheLogs()
    {
        await using ListenerRun run = await ListenerRun.StartAsync(Quick, stream: false);
        ListeningState state = await run.UntilAsync(s => s is { Mode: ListenMode.Poll, Hearing: true });
        Assert.Contains("no place is configured", state.Reason, StringComparison.Ordinal);
        await run.NextAsync(BmcEventKind.Resync);
        run.Bmc.PostEvent(DimmEvent);
        Assert.Equal("MemoryUncorrectableError", (await run.NextAsync(BmcEventKind.Record)).Record!.MessageKey);
    }

    [Theory]
    [InlineData(1970)]
    [InlineData(9999)]
    public async Task Stream_BmcClockIsImpossible_EventComesThroughWithoutATime(int year)
    {
        await using ListenerRun run = await ListenerRun.StartAsync(Quick, new Fault { Kind = FaultKind.Clock, Year = year });
        await run.NextAsync(BmcEventKind.Resync);
        await run.StreamIsOpenAsync();
        run.Bmc.PostEvent(DimmEvent);
        BmcEvent got = await run.NextAsync(BmcEventKind.Record);
        Assert.Null(got.Record!.BmcTime);
        Assert.Equal(TimeProvider.System.GetUtcNow().Year, got.ReceivedAt.Year);
    }

    [Theory]
    [InlineData(FaultKind.WrongTypes)]
    [InlineData(FaultKind.DuplicateKeys)]
    [InlineData(FaultKind.HalfBody)]
    [InlineData(FaultKind.Disconnect)]
    [InlineData(FaultKind.NextLinkLoop)]
    [InlineData(FaultKind.MissingMembers)]
    [InlineData(FaultKind.Unavailable)]
    [InlineData(FaultKind.SessionTableFull)]
    [InlineData(FaultKind.Redirect)]
    [InlineData(FaultKind.HugeBody)]
    public async Task Listening_BmcMisbehaves_NeverDiesAndRecovers(FaultKind kind)
    {
        await using ListenerRun run = await ListenerRun.StartAsync(Quick with { RetryBetterAfter = Soon }, new Fault { Kind = kind, Size = 20 << 20 });
        // As long as it takes for the fault to be met a few times.
        for (int i = 0; i < 3; i++)
        {
            int before = run.Bmc.Requests.Total;
            await run.UntilAsync(_ => run.Bmc.Requests.Total > before);
        }
        run.Bmc.ClearFaults();
        await run.UntilAsync(s => s.Hearing);
        while (run.TryNext() is not null)
        {
        }
        run.Bmc.PostEvent(DimmEvent);
        // By itself, or as a resync while modes change: either leads to a read.
        Assert.NotEqual(BmcEventKind.Unset, (await run.NextAsync()).Kind);
        await run.StopListenerAsync();
        await run.Client.DisposeAsync();
        Assert.Empty(run.Bmc.Sessions);
    }

    /// <summary>A watch over a quiet hour, on a clock that only moves when the listener waits.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Idle_AnHourOfQuiet_CostsAtMostOneRequestAMinute(bool stream)
    {
        ManualTime time = new();
        BmcListenerOptions options = new() { SystemUri = SystemUri };
        await using ListenerRun run = await ListenerRun.StartAsync(options, push: !stream, stream: stream, time: time);
        await run.StepAsync(time, () => run.Listener.State.Hearing && !run.Listener.State.Reason.Contains("no delivery", StringComparison.Ordinal));
        DateTimeOffset start = time.GetUtcNow();
        int before = run.Bmc.Requests.Total;
        await run.StepAsync(time, () => time.GetUtcNow() - start >= TimeSpan.FromHours(1));
        Assert.True(run.Listener.State.Hearing);
        Assert.InRange(run.Bmc.Requests.Total - before, 1, 60);
    }
}
