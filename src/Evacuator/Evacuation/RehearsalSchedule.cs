using Evacuator.Common.Configuration;
using Quartz;

namespace Evacuator.Evacuation;

/// <summary>When rehearsals begin by themselves: pure functions of [rehearsal] schedule and a passed-in time. Quartz' calendar knows what daylight saving does to a time of day.</summary>
internal static class RehearsalSchedule
{
    /// <summary>The first time after this one; null: never.</summary>
    /// <param name="schedule">a cron expression in Quartz' dialect; empty: none</param>
    /// <param name="zone">what it is read in</param>
    public static DateTimeOffset? Next(string schedule, DateTimeOffset after, TimeZoneInfo zone) =>
        schedule.Length == 0 ? null : new CronExpression(schedule, zone).GetNextValidTimeAfter(after);

    /// <summary>What the table of settings cannot see: whether the words make a schedule, and one that comes at all.</summary>
    public static IReadOnlyList<ConfigurationMistake> Mistakes(ConfigurationResult configuration, string file, DateTimeOffset now)
    {
        if (configuration.Options?.Rehearsal.Schedule is not { Length: > 0 } schedule)
            return [];
        string? text = !CronExpression.TryParse(schedule, out _) ? $"\"{schedule}\" is no cron expression: seconds minutes hours day-of-month month day-of-week, with ? for the day that is not used, such as 0 30 3 * * ?"
            : Next(schedule, now, TimeZoneInfo.Utc) is null ? $"\"{schedule}\" will never come"
            : null;
        return text is null ? [] : [configuration.MistakeAt("rehearsal", "schedule", file, text)];
    }
}
