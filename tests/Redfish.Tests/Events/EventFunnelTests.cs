using Evacuator.Redfish.Events;
using Evacuator.Testing;

namespace Evacuator.Redfish.Tests.Events;

public sealed class EventFunnelTests
{
    private readonly ManualTime _time = new();

    [Fact]
    public void Offer_DeliveredTwice_ComesOutOnceUntilTheWindowHasPassed()
    {
        EventFunnel funnel = new(_time);
        Assert.True(funnel.Offer(Record("A", "/redfish/v1/Systems/1"), ListenMode.Sse));
        Assert.False(funnel.Offer(Record("A", "/redfish/v1/systems/1/"), ListenMode.Push));
        Assert.Equal(1, funnel.Take()!.Count);
        Assert.Null(funnel.Take());
        _time.Advance(EventFunnel.Window + TimeSpan.FromSeconds(1));
        Assert.True(funnel.Offer(Record("A", "/redfish/v1/Systems/1"), ListenMode.Sse));
    }

    [Fact]
    public void Offer_AlikeWhileWaiting_AreMerged()
    {
        EventFunnel funnel = new(_time);
        for (int i = 0; i < 50; i++)
            funnel.Offer(Record("A", "/redfish/v1/Systems/1", i.ToString(null, null)), ListenMode.Sse);
        BmcEvent merged = funnel.Take()!;
        Assert.Equal(50, merged.Count);
        Assert.Null(funnel.Take());
        funnel.Offer(Record("A", "/redfish/v1/Systems/1", "new"), ListenMode.Sse);
        Assert.Equal(1, funnel.Take()!.Count);
    }

    [Fact]
    public void Offer_StormOfDifferentEvents_IsBoundedAndEndsInOneResync()
    {
        EventFunnel funnel = new(_time);
        for (int i = 0; i < 100_000; i++)
            funnel.Offer(Record($"K{i}", $"/redfish/v1/Chassis/{i}"), ListenMode.Push);
        List<BmcEvent> taken = [];
        while (funnel.Take() is { } next)
            taken.Add(next);
        Assert.Equal(EventFunnel.Capacity + 1, taken.Count);
        BmcEvent resync = Assert.Single(taken, e => e.Kind == BmcEventKind.Resync);
        Assert.Equal(100_000 - EventFunnel.Capacity, resync.Count);
        Assert.InRange(resync.Touched.Count, 1, 64);
    }

    [Fact]
    public void Resync_AskedTwice_IsOne()
    {
        EventFunnel funnel = new(_time);
        funnel.Resync("a", ListenMode.Sse);
        funnel.Resync("b", ListenMode.Sse);
        Assert.Equal(BmcEventKind.Resync, funnel.Take()!.Kind);
        Assert.Null(funnel.Take());
        funnel.Resync("c", ListenMode.Sse);
        Assert.NotNull(funnel.Take());
    }

    [Fact]
    public async Task ReadAll_ReaderWaits_IsWokenByAnEvent()
    {
        EventFunnel funnel = new(_time);
        await using IAsyncEnumerator<BmcEvent> reader = funnel.ReadAllAsync(CancellationToken.None).GetAsyncEnumerator();
        ValueTask<bool> next = reader.MoveNextAsync();
        Assert.False(next.IsCompleted);
        funnel.Offer(Record("A", null), ListenMode.Sse);
        Assert.True(await next);
        Assert.Equal("A", reader.Current.Record!.MessageKey);
    }

    private static EventRecord Record(string key, string? origin, string? argument = null) => new()
    {
        MessageId = key,
        MessageKey = key,
        Origin = origin,
        Touched = origin is null ? [] : [origin],
        MessageArgs = argument is null ? [] : [argument],
    };
}
