using System.CommandLine;
using System.Globalization;
using Evacuator.Api;
using Evacuator.Common.Configuration;
using Evacuator.Windows;

namespace Evacuator.Cli;

internal static class WindowVerbs
{
    private const int MostNext = 1000;

    public static Command Create() => new("windows", "Times in which this node is emptied by itself.") { CreateAdd(), CreateList(), CreateRemove(), CreateNext() };

    private static Command CreateAdd()
    {
        Argument<string> name = new("NAME") { Description = "Name of the window." };
        Option<string?> cron = new("--cron") { Description = "When it opens: seconds minutes hours day-of-month month day-of-week.", HelpName = "EXPRESSION" };
        Option<string?> at = new("--at") { Description = "When it opens, once: 2027-01-31T22:00 in the time zone.", HelpName = "TIME" };
        Option<string> zone = new("--time-zone") { Description = "Such as Europe/Berlin.", HelpName = "ZONE", DefaultValueFactory = _ => "UTC" };
        Option<TimeSpan?> duration = CliOptions.DurationOption("--duration", "How long it is open.");
        duration.HelpName = "DURATION";
        duration.Required = true;
        Option<string[]> blackout = new("--blackout") { Description = "Days on which it does not open: 2027-12-24.", HelpName = "DATE", AllowMultipleArgumentsPerToken = true };
        Option<TimeSpan?> drainBy = CliOptions.DurationOption("--drain-by", "How long after it opened the node has to be empty; the end by default.");
        drainBy.HelpName = "DURATION";
        Option<bool> powerOff = new("--power-off") { Description = "Power the host off when it is proven empty." };
        Option<string> reason = new("--reason") { Description = "Why.", HelpName = "TEXT", DefaultValueFactory = _ => "maintenance window" };
        Option<string?> ticket = new("--ticket") { Description = "Number of the ticket.", HelpName = "TEXT" };
        return Verb.Create("add", "Adds a window.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            string zoneName = context.Get(zone)!;
            MaintenanceWindow window = await client.SendAsync<MaintenanceWindow>(HttpMethod.Post, ApiRoutes.Windows, new WindowRequest
            {
                Name = context.Get(name)!,
                Cron = context.Get(cron),
                At = context.Get(at) is { } text ? ParseTime(text, zoneName) : null,
                TimeZone = zoneName,
                DurationSeconds = (int)context.Get(duration)!.Value.TotalSeconds,
                Blackouts = [.. (context.Get(blackout) ?? []).Select(ParseDate)],
                DrainBySeconds = context.Get(drainBy) is { } drain ? (int)drain.TotalSeconds : null,
                PowerOff = context.Get(powerOff),
                Reason = context.Get(reason)!,
                Ticket = context.Get(ticket),
            }, token).ConfigureAwait(false);
            context.Out.WriteLine($"window {window.Name} added; \"evacuator windows next\" shows when it opens");
            return CliExit.Ok;
        }, name, cron, at, zone, duration, blackout, drainBy, powerOff, reason, ticket);
    }

    private static Command CreateList()
    {
        Option<bool> json = CliOptions.Json();
        return Verb.Create("list", "Shows the windows.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            List<MaintenanceWindow> windows = await client.GetAsync<List<MaintenanceWindow>>(ApiRoutes.Windows, token).ConfigureAwait(false);
            if (context.Get(json))
            {
                context.WriteJson(windows);
                return CliExit.Ok;
            }

            if (windows.Count == 0)
            {
                context.Out.WriteLine("windows: none");
                return CliExit.Ok;
            }

            DateTimeOffset now = TimeProvider.System.GetUtcNow();
            TextTable table = new("WINDOW", "OPENS", "ZONE", "DURATION", "EMPTY BY", "POWER OFF", "NOT ON", "REASON");
            foreach (MaintenanceWindow window in windows)
            {
                table.Add(window.Name, window.Cron ?? Time(window.At!.Value) + (WindowSchedule.IsOver(window, now) ? " (over)" : ""), window.TimeZone, Duration.Format(window.Duration), window.DrainBy is { } drain ? Duration.Format(drain) : "end",
                    window.PowerOff ? "yes" : "no", window.Blackouts.Count > 0 ? string.Join(' ', window.Blackouts.Select(day => day.ToString("O", CultureInfo.InvariantCulture))) : "-", window.Reason);
            }

            table.WriteTo(context.Out);
            return CliExit.Ok;
        }, json);
    }

    private static Command CreateRemove()
    {
        Argument<string> name = new("NAME") { Description = "Name of the window." };
        return Verb.Create("remove", "Removes a window; an evacuation that it has started goes on.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            await client.DeleteAsync($"{ApiRoutes.Windows}/{Uri.EscapeDataString(context.Get(name)!)}", token).ConfigureAwait(false);
            context.Out.WriteLine($"window {context.Get(name)} removed");
            return CliExit.Ok;
        }, name);
    }

    private static Command CreateNext()
    {
        Option<int> count = new("--count")
        {
            Description = "How many.",
            HelpName = "NUMBER",
            DefaultValueFactory = _ => 10,
            CustomParser = result =>
            {
                if (int.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number is >= 1 and <= MostNext)
                    return number;
                result.AddError($"--count {result.Tokens[0].Value}: write a number from 1 to {MostNext}");
                return 0;
            },
        };
        Option<bool> json = CliOptions.Json();
        return Verb.Create("next", "Shows when windows open next.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            List<Occurrence> next = await client.GetAsync<List<Occurrence>>($"{ApiRoutes.Windows}/next?count={context.Get(count)}", token).ConfigureAwait(false);
            if (context.Get(json))
            {
                context.WriteJson(next);
                return CliExit.Ok;
            }

            if (next.Count == 0)
            {
                context.Out.WriteLine("no window opens any more");
                return CliExit.Ok;
            }

            TextTable table = new("WINDOW", "OPENS", "EMPTY BY", "CLOSES");
            foreach (Occurrence occurrence in next)
                table.Add(occurrence.Window, Time(occurrence.Start), Time(occurrence.Deadline), Time(occurrence.End));
            table.WriteTo(context.Out);
            return CliExit.Ok;
        }, count, json);
    }

    /// <summary>With an offset as it stands; without one in the window's time zone.</summary>
    internal static DateTimeOffset ParseTime(string text, string zone)
    {
        if (!DateTime.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind | DateTimeStyles.AllowWhiteSpaces, out DateTime time))
            throw new CliException(CliExit.Usage, $"\"{text}\" is no time such as 2027-01-31T22:00");
        if (time.Kind != DateTimeKind.Unspecified)
            return DateTimeOffset.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind);
        if (!TimeZoneInfo.TryFindSystemTimeZoneById(zone, out TimeZoneInfo? found))
            throw new CliException(CliExit.Usage, $"there is no time zone \"{zone}\" on this host");
        if (found.IsInvalidTime(time))
            throw new CliException(CliExit.Usage, $"{text} does not exist in {zone}: the clock is put forward then");
        return new DateTimeOffset(time, found.GetUtcOffset(time));
    }

    private static DateOnly ParseDate(string text) => DateOnly.TryParseExact(text, "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out DateOnly date)
        ? date
        : throw new CliException(CliExit.Usage, $"\"{text}\" is no day such as 2027-12-24");

    private static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
