using Quartz;

namespace Evacuator.Windows;

/// <summary>When windows open: pure functions of the window and a passed-in time. Quartz' calendar knows what daylight saving does to a time of day.</summary>
internal static class WindowSchedule
{
    /// <summary>A schedule without any day left, such as one of past years, must not be searched for ever.</summary>
    private const int MostSkipped = 2000;

    /// <summary>Planning and the two looks of the proof take 20 s: one that is shorter would never begin anything.</summary>
    private static readonly TimeSpan ShortestDuration = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan LongestDuration = TimeSpan.FromDays(7);

    /// <summary>All that is wrong with it; empty when it is sound.</summary>
    public static IReadOnlyList<string> Mistakes(MaintenanceWindow window, DateTimeOffset now)
    {
        List<string> mistakes = [];
        if (window.Name.Length is 0 or > 63 || !window.Name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
            mistakes.Add("the name must be 1 to 63 letters, digits, '-', '_' or '.'");
        if (!TimeZoneInfo.TryFindSystemTimeZoneById(window.TimeZone, out _))
            mistakes.Add($"there is no time zone \"{window.TimeZone}\" on this host: write an IANA name such as Europe/Berlin, or UTC");
        if (window.Duration < ShortestDuration || window.Duration > LongestDuration)
            mistakes.Add("the duration must be from one minute, in which next to nothing can be emptied, to seven days");
        if (window.DrainBy is { } drain && (drain <= TimeSpan.Zero || drain > window.Duration))
            mistakes.Add("--drain-by must lie within the duration");
        if (window.Cron is null == window.At is null)
            mistakes.Add("give either --cron or --at");
        if (window.Cron is { } text && !CronExpression.TryParse(text, out _))
            mistakes.Add($"\"{text}\" is no cron expression: seconds minutes hours day-of-month month day-of-week, with ? for the day that is not used, such as \"0 0 2 ? * SUN\"");
        if (IsOver(window, now))
            mistakes.Add($"{window.At:u} is over");
        if (mistakes.Count == 0 && Next(window, now - window.Duration) is null)
            mistakes.Add("it would never open");
        return mistakes;
    }

    /// <summary>The first opening after this time; null if there is none.</summary>
    public static Occurrence? Next(MaintenanceWindow window, DateTimeOffset after)
    {
        TimeZoneInfo zone = TimeZoneInfo.FindSystemTimeZoneById(window.TimeZone);
        if (window.At is { } once)
            return once > after && !IsBlackedOut(window, zone, once) ? Make(window, once) : null;
        CronExpression cron = new(window.Cron!, zone);
        DateTimeOffset? start = after;
        for (int skipped = 0; skipped < MostSkipped; skipped++)
        {
            start = cron.GetNextValidTimeAfter(start.Value);
            if (start is null)
                return null;
            if (!IsBlackedOut(window, zone, start.Value))
                return Make(window, start.Value);
        }

        return null;
    }

    /// <summary>The opening that is going on; null if the window is closed. Of overlapping ones the one that began last.</summary>
    public static Occurrence? Current(MaintenanceWindow window, DateTimeOffset now)
    {
        Occurrence? current = null;
        DateTimeOffset after = now - window.Duration - TimeSpan.FromMilliseconds(1);
        for (int looked = 0; looked < MostSkipped; looked++)
        {
            if (Next(window, after) is not { } next || next.Start > now)
                return current;
            if (next.End > now)
                current = next;
            after = next.Start;
        }

        return current;
    }

    /// <summary>It was to open once, and that has been.</summary>
    public static bool IsOver(MaintenanceWindow window, DateTimeOffset now) => window.At is { } at && at + window.Duration <= now;

    private static bool IsBlackedOut(MaintenanceWindow window, TimeZoneInfo zone, DateTimeOffset start) =>
        window.Blackouts.Contains(DateOnly.FromDateTime(TimeZoneInfo.ConvertTime(start, zone).DateTime));

    private static Occurrence Make(MaintenanceWindow window, DateTimeOffset start) =>
        new(window.Name, start, start + window.Duration, start + (window.DrainBy ?? window.Duration));
}
