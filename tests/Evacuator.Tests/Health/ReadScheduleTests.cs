using Evacuator.Health;
using Evacuator.Redfish.Health;
using Evacuator.Testing;

namespace Evacuator.Tests.Health;

public sealed class ReadScheduleTests
{
    private static readonly TimeSpan Interval = TimeSpan.FromMinutes(5);
    private readonly ManualTime _clock = new(Signals.Start);

    [Fact]
    public void Nothing_Happens_EverythingIsReadSoOftenThatTheSecondReadFallsIntoTheInterval()
    {
        ReadSchedule schedule = New();
        Assert.True(schedule.Take(TrackerState.Empty).Everything);
        Assert.Equal(TimeSpan.FromMinutes(3), schedule.Wait(TrackerState.Empty));
        _clock.Advance(TimeSpan.FromMinutes(3));
        Assert.True(schedule.Take(TrackerState.Empty).Everything);
    }

    [Fact]
    public void Pace_WhileEventsAreHeard_WaitsLonger_AndNoLongerOnceTheyAreNot()
    {
        ReadSchedule schedule = New();
        Whole(schedule);
        schedule.Pace(TimeSpan.FromHours(2));
        _clock.Advance(TimeSpan.FromMinutes(90));
        Assert.True(schedule.Take(TrackerState.Empty) is { Everything: false, Uris.Count: 0 });
        // What an event names is read at once all the same.
        schedule.Want(["/redfish/v1/Systems/1/Memory/A1"]);
        Assert.Single(schedule.Take(TrackerState.Empty).Uris);
        schedule.Pace(TimeSpan.Zero);
        Assert.True(schedule.Wait(TrackerState.Empty) <= TimeSpan.Zero);
        Assert.True(schedule.Take(TrackerState.Empty).Everything);
    }

    [Fact]
    public void ReadOnce_IsReadAgainByItselfWhenItCanConfirm()
    {
        ReadSchedule schedule = New();
        Whole(schedule);
        TrackerState state = State(new TrackedSignal(Signals.Dimm() with { FirstSeen = _clock.GetUtcNow(), LastSeen = _clock.GetUtcNow() }, 1, 0, null, 0, false));
        Assert.Equal(TimeSpan.FromMinutes(2), schedule.Wait(state));
        _clock.Advance(TimeSpan.FromMinutes(2));
        ReadRequest request = schedule.Take(state);
        Assert.Equal((false, 1), (request.Everything, request.Uris.Count));
        // It could not be read: not asked again and again.
        schedule.Done(request, covered: true);
        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Empty(schedule.Take(state).Uris);
    }

    [Fact]
    public void Event_NamesAPart_OnlyThatIsReadAtOnce_AndTheControllerHasItsRest()
    {
        ReadSchedule schedule = New();
        Whole(schedule);
        _clock.Advance(TimeSpan.FromMinutes(1));
        schedule.Want(["/redfish/v1/Systems/1/Memory/A1"]);
        Assert.True(schedule.Wait(TrackerState.Empty) <= TimeSpan.Zero);
        ReadRequest request = schedule.Take(TrackerState.Empty);
        Assert.Equal(["/redfish/v1/Systems/1/Memory/A1"], request.Uris);
        _clock.Advance(TimeSpan.FromSeconds(4));
        schedule.Done(request, covered: true);
        schedule.Want(["/redfish/v1/Systems/1/Memory/A1/"]);
        Assert.Empty(schedule.Take(TrackerState.Empty).Uris);
        Assert.Equal(TimeSpan.FromSeconds(4), schedule.Wait(TrackerState.Empty));
    }

    [Fact]
    public void Storm_OfEventsAboutEverything_IsOneWholeReadInHalfAMinute()
    {
        ReadSchedule schedule = New();
        Whole(schedule);
        for (int number = 0; number < 1000; number++)
            schedule.Want([$"/redfish/v1/Chassis/1/Sensors/{number}"]);
        int whole = 0, parts = 0;
        for (int second = 0; second < 60; second++)
        {
            ReadRequest request = schedule.Take(TrackerState.Empty);
            whole += request.Everything ? 1 : 0;
            parts += request.Uris.Count;
            schedule.Done(request, covered: true);
            _clock.Advance(TimeSpan.FromSeconds(1));
            schedule.Want([]);
        }

        Assert.Equal(1, whole);
        Assert.True(parts <= 64, $"{parts}");
    }

    [Fact]
    public void Event_ToldBeforeItIsShown_IsLookedAtAgain()
    {
        ReadSchedule schedule = New();
        Whole(schedule);
        Signal told = Signals.Dimm();
        TrackerState state = State(new TrackedSignal(told, 0, 1, null, 0, false));
        _clock.Advance(TimeSpan.FromMinutes(1));
        schedule.Want([told.Evidence]);
        schedule.Done(schedule.Take(state), covered: true);
        _clock.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal([told.Evidence], schedule.Take(state).Uris);
        _clock.Advance(TimeSpan.FromSeconds(50));
        // Shown by now: no need.
        Assert.Empty(schedule.Take(State(new TrackedSignal(told with { LastSeen = told.FirstSeen.AddMinutes(2) }, 1, 1, null, 0, false))).Uris);
    }

    [Fact]
    public void Event_AboutNoPart_AsksForEverything()
    {
        ReadSchedule schedule = New();
        Whole(schedule);
        _clock.Advance(TimeSpan.FromMinutes(1));
        schedule.Want(["/redfish/v1/Systems/1"]);
        schedule.Done(schedule.Take(TrackerState.Empty), covered: false);
        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.True(schedule.Take(TrackerState.Empty).Everything);
    }

    private ReadSchedule New() => new(Interval, TimeSpan.FromMinutes(2), _clock);

    private static void Whole(ReadSchedule schedule) => schedule.Done(schedule.Take(TrackerState.Empty), covered: true);

    private static TrackerState State(params TrackedSignal[] signals) => TrackerState.Empty with { Signals = TrackerState.Empty.Signals.AddRange(signals.Select(each => KeyValuePair.Create(each.Signal.Key, each))) };
}
