using Evacuator.Health;
using Evacuator.Redfish.Health;

namespace Evacuator.Tests.Health;

public sealed class SignalMemoryTests
{
    private static readonly TimeSpan Settle = TimeSpan.FromMinutes(15);
    private static readonly Signal Dimm = Signals.Dimm();

    [Fact]
    public void GoneAndBack_BeforeItSettles_IsTheSame_AfterItIsANewOne()
    {
        DateTimeOffset now = Signals.Start;
        SignalMemory memory = SignalMemory.Empty.After(News(true, Dimm), Settle, now);
        string first = memory.TriggerOf(Dimm.Key);
        memory = memory.WithSettled([Dimm.Key]).After(News(true), Settle, now.AddMinutes(1));
        Assert.Equal(now.AddMinutes(1), Assert.Single(memory.Gone).GoneSince);

        SignalMemory soon = memory.After(News(true, Dimm), Settle, now.AddMinutes(15));
        Assert.Equal((first, true), (soon.TriggerOf(Dimm.Key), soon.Signals[Dimm.Key].Settled));
        Assert.Empty(soon.Gone);

        SignalMemory over = memory.After(News(true), Settle, now.AddMinutes(16));
        Assert.Empty(over.Signals);
        SignalMemory late = over.After(News(true, Dimm), Settle, now.AddMinutes(17));
        Assert.NotEqual(first, late.TriggerOf(Dimm.Key));
        Assert.False(late.Signals[Dimm.Key].Settled);
    }

    [Fact]
    public void Silence_HoweverLong_ForgetsNothing()
    {
        SignalMemory memory = SignalMemory.Empty.After(News(true, Dimm), Settle, Signals.Start).After(News(false), Settle, Signals.Start.AddDays(9));
        Assert.Single(memory.Signals);
        Assert.Empty(memory.Gone);
    }

    [Fact]
    public void Written_ReadBack_IsTheSameAndTheFirstReleasesFormIsUnderstood()
    {
        SignalMemory memory = SignalMemory.Empty.After(News(true, Dimm), Settle, Signals.Start).After(News(true), Settle, Signals.Start.AddMinutes(1));
        Assert.True(memory.SameAs(SignalMemory.Read(memory.Write(), null)));
        SignalMemory old = SignalMemory.Read(null, $$"""{"{{Dimm.Key}}":"2026-03-01T03:00:00+00:00"}""");
        Assert.Equal($"signal:{Dimm.Key}@{Signals.Start.ToUnixTimeMilliseconds()}", old.TriggerOf(Dimm.Key));
    }

    private static SignalNews News(bool canTell, params Signal[] open) =>
        new(new HealthKnowledge(canTell, "", null), null, [.. open.Select(signal => new TrackedSignal(signal, 1, 1, null, 0, false))]);
}
