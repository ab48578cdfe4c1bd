using Evacuator.Tests.Fakes;
using Evacuator.Windows;

namespace Evacuator.Tests.Windows;

public sealed class WindowScheduleTests
{
    private static readonly DateTimeOffset s_now = new(2027, 3, 1, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public void Next_Cron_IsInTheTimeZoneAlsoOverTheChangeOfTheClock()
    {
        MaintenanceWindow window = Sundays("Europe/Berlin");

        Assert.Equal(new DateTimeOffset(2027, 3, 7, 2, 0, 0, TimeSpan.FromHours(1)), WindowSchedule.Next(window, s_now)!.Start);
        Assert.Equal(new DateTimeOffset(2027, 4, 4, 2, 0, 0, TimeSpan.FromHours(2)), WindowSchedule.Next(window, new(2027, 3, 29, 0, 0, 0, TimeSpan.Zero))!.Start);
    }

    [Fact]
    public void Next_BlackoutDay_IsLeftOut() => Assert.Equal(
        14, WindowSchedule.Next(Sundays("UTC") with { Blackouts = [new DateOnly(2027, 3, 7)] }, s_now)!.Start.Day);

    [Fact]
    public void Next_BlackoutDay_IsThatOfTheTimeZone()
    {
        // 02:00 in Auckland on Sunday is Saturday in UTC.
        MaintenanceWindow window = Sundays("Pacific/Auckland") with { Blackouts = [new DateOnly(2027, 3, 6)] };

        Assert.Equal(new DateTimeOffset(2027, 3, 6, 13, 0, 0, TimeSpan.Zero), WindowSchedule.Next(window, s_now)!.Start);
    }

    [Fact]
    public void Current_InTheMiddle_IsTheOpeningThatBeganLast()
    {
        MaintenanceWindow window = Sundays("UTC") with { DrainBy = TimeSpan.FromMinutes(30) };
        DateTimeOffset start = new(2027, 3, 7, 2, 0, 0, TimeSpan.Zero);

        Assert.Null(WindowSchedule.Current(window, start.AddSeconds(-1)));
        Assert.Equal(start, WindowSchedule.Current(window, start)!.Start);
        Assert.Equal(start.AddMinutes(30), WindowSchedule.Current(window, start.AddMinutes(59))!.Deadline);
        Assert.Null(WindowSchedule.Current(window, start.AddHours(1)));
    }

    [Fact]
    public void Once_AfterItsTime_NeverOpensAgain()
    {
        MaintenanceWindow window = Sundays("UTC") with { Cron = null, At = s_now.AddHours(1) };

        Assert.Equal(s_now.AddHours(1), WindowSchedule.Next(window, s_now)!.Start);
        Assert.Null(WindowSchedule.Next(window, s_now.AddHours(1)));
        Assert.NotNull(WindowSchedule.Current(window, s_now.AddMinutes(90)));
    }

    [Theory]
    [InlineData("61 0 2 ? * SUN", "UTC", 60, null, "cron")]
    [InlineData("0 0 2 ? * SUN", "Mars/Base", 60, null, "time zone")]
    [InlineData("0 0 2 ? * SUN", "UTC", 0, null, "duration")]
    [InlineData("0 0 2 ? * SUN", "UTC", 60, 61, "--drain-by")]
    [InlineData(null, "UTC", 60, null, "--cron or --at")]
    [InlineData("0 0 2 ? * SUN 2020", "UTC", 60, null, "never")]
    public void Mistakes_Wrong_SaysWhat(string? cron, string zone, int minutes, int? drainBy, string expected)
    {
        MaintenanceWindow window = Sundays(zone) with { Cron = cron, Duration = TimeSpan.FromMinutes(minutes), DrainBy = drainBy is { } drain ? TimeSpan.FromMinutes(drain) : null };

        Assert.Contains(WindowSchedule.Mistakes(window, s_now), mistake => mistake.Contains(expected, StringComparison.Ordinal));
    }

    [Fact]
    public void Mistakes_Sound_AreNone() => Assert.Empty(WindowSchedule.Mistakes(Sundays("Europe/Berlin"), s_now));

    [Fact]
    public void Estimate_MoreMemory_TakesLongerAndNeverLessThanThePaceSays()
    {
        TimeSpan one = DrainEstimate.Make([FakeRack.Container("a", 1L << 30)], 100 << 20, 3);
        TimeSpan two = DrainEstimate.Make([FakeRack.Container("a", 1L << 30), FakeRack.Container("b", 4L << 30)], 100 << 20, 3);

        Assert.True(one > TimeSpan.FromSeconds(10) && two > one + TimeSpan.FromSeconds(40), $"{one}, {two}");
    }

    private static MaintenanceWindow Sundays(string zone) => new()
    {
        Name = "sundays",
        Cron = "0 0 2 ? * SUN",
        TimeZone = zone,
        Duration = TimeSpan.FromHours(1),
        Reason = "firmware",
        AddedBy = "root",
        Added = s_now,
    };
}
