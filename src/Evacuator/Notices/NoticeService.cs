using System.Globalization;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Notices;

/// <summary>
/// Looks what the journal has that should be told, and delivers it. Each hook has a loop of its own, so one that hangs holds up neither the other nor anything
/// else; what it does not take is tried again, later each time, for a day, over restarts.
/// </summary>
internal sealed partial class NoticeService(
    JournalStore journal, NoticeBook book, NoticeHooks hooks, EvacuatorOptions options, BrainTimings timings, TimeProvider time, ILogger<NoticeService> log) : BackgroundService
{
    private const string Since = "notices-since";
    private const int Recent = 20;

    /// <summary>A hook that is away for longer gets the newest of these.</summary>
    private const int MostWaiting = 1000;

    private static readonly TimeSpan GiveUpAfter = TimeSpan.FromDays(1);
    private static readonly TimeSpan Keep = TimeSpan.FromDays(30);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(30);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken) =>
        await Task.WhenAll([LookAsync(stoppingToken), .. hooks.All.Select(hook => DeliverAllAsync(hook, stoppingToken))]).ConfigureAwait(false);

    /// <summary>What is waiting or was not taken, for "evacuator status"; empty when all is well.</summary>
    public IReadOnlyList<string> Problems() =>
    [
        .. hooks.All.Select(hook => (hook.Name, Waiting: journal.Undelivered(hook.Name, MostWaiting).Where(entry => entry.Deliveries[hook.Name].Attempts > 0).ToList()))
            .Where(hook => hook.Waiting.Count > 0)
            .Select(hook => $"the {hook.Name} has not taken {hook.Waiting.Count} of the notices: {hook.Waiting[0].Deliveries[hook.Name].Problem}"),
    ];

    /// <summary>After the n-th failure: 2 s, 8 s, 32 s, 2 min, 9 min, then every half hour.</summary>
    internal static TimeSpan Pause(int attempts, TimeSpan first) =>
        TimeSpan.FromTicks((long)Math.Min(LongestPause.Ticks, first.Ticks * Math.Pow(4, Math.Clamp(attempts - 1, 0, 20))));

    private async Task LookAsync(CancellationToken stop)
    {
        // What happened before this version, or before the hooks were there, is no news.
        if (journal.Fact(Since) is null)
            journal.SetFact(Since, time.GetUtcNow().ToString("O", CultureInfo.InvariantCulture));
        DateTimeOffset since = DateTimeOffset.Parse(journal.Fact(Since)!, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind);
        long seen = -1;
        long looked = time.GetTimestamp();
        while (true)
        {
            long version = journal.Writes;
            // Some follow from nothing but time that has passed.
            if (version != seen || time.GetElapsedTime(looked) > timings.StandsStill / 2)
            {
                (seen, looked) = (version, time.GetTimestamp());
                try
                {
                    foreach (Notice notice in Known().Where(notice => notice.At >= since))
                        book.Raise(notice);
                    journal.ForgetNotices(time.GetUtcNow() - Keep);
                }
                catch (JournalException e)
                {
                    LogNotKept(log, e.Message);
                }
            }

            await Task.Delay(timings.NoticePoll, time, stop).ConfigureAwait(false);
        }
    }

    private IEnumerable<Notice> Known()
    {
        DateTimeOffset oldest = time.GetUtcNow() - Keep / 2;
        foreach (EvacuationState state in journal.Evacuations(Recent).Where(state => (state.Ended ?? state.Updated) > oldest))
        {
            foreach (Notice notice in NoticeRules.Of(state, journal.Moves(state.Id), time.GetUtcNow(), timings.StandsStill))
                yield return notice;
        }

        foreach (WitnessState state in journal.Witnesses(Recent).Where(state => (state.Ended ?? state.Started) > oldest))
        {
            foreach (Notice notice in NoticeRules.Of(state, options.Node.Name))
                yield return notice;
        }

        foreach (Homecoming.HomecomingState state in journal.Homecomings(Recent).Where(state => (state.Ended ?? state.Started) > oldest))
        {
            foreach (Notice notice in NoticeRules.Of(state))
                yield return notice;
        }
    }

    private async Task DeliverAllAsync(INoticeHook hook, CancellationToken stop)
    {
        while (true)
        {
            foreach (NoticeEntry entry in journal.Undelivered(hook.Name, MostWaiting))
            {
                if (entry.Deliveries[hook.Name].Next <= time.GetUtcNow())
                    await DeliverAsync(hook, entry.Notice, entry.Deliveries[hook.Name], stop).ConfigureAwait(false);
            }

            await Task.Delay(timings.NoticePoll, time, stop).ConfigureAwait(false);
        }
    }

    private async Task DeliverAsync(INoticeHook hook, Notice notice, Delivery before, CancellationToken stop)
    {
        string? problem;
        try
        {
            problem = await hook.DeliverAsync(notice, stop).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // Whatever a hook does, it is only a hook.
            problem = e.Message;
        }

        DateTimeOffset now = time.GetUtcNow();
        int attempts = before.Attempts + 1;
        bool givenUp = problem is not null && now - notice.At > GiveUpAfter;
        Delivery after = new(attempts, problem is null || givenUp ? null : now + Pause(attempts, timings.NoticeRetry), problem is null, problem ?? "");
        if (problem is not null && (attempts == 1 || givenUp))
            LogNotDelivered(log, hook.Name, problem, givenUp ? "it is given up" : "it is tried again for a day");
        try
        {
            journal.Delivered(notice.Key, hook.Name, after);
        }
        catch (JournalException e)
        {
            LogNotKept(log, e.Message);
        }
    }

    [LoggerMessage(EventId = 351, Level = LogLevel.Warning, Message = "A notice was not taken by the {Hook}: {Problem}; {Next}")]
    private static partial void LogNotDelivered(ILogger logger, string hook, string problem, string next);

    [LoggerMessage(EventId = 352, Level = LogLevel.Warning, Message = "Notices cannot be kept: {Problem}")]
    private static partial void LogNotKept(ILogger logger, string problem);
}
