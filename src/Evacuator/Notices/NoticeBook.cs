using Evacuator.Common.Configuration;
using Evacuator.Journal;
using Microsoft.Extensions.Logging;

namespace Evacuator.Notices;

/// <summary>Where notices are raised: into the journal and to systemd's journal at once, to the hooks by <see cref="NoticeService"/>.</summary>
internal sealed partial class NoticeBook(JournalStore journal, NoticeHooks hooks, SystemJournal system, EvacuatorOptions options, TimeProvider time, ILogger<NoticeBook> log)
{
    // Counts only that there is something: one place is enough.
    private readonly SemaphoreSlim _news = new(0, 1);

    /// <summary>False if a notice of this key was raised before.</summary>
    /// <exception cref="JournalException">not written</exception>
    public bool Raise(Notice notice)
    {
        DateTimeOffset now = time.GetUtcNow();
        NoticeEntry entry = new()
        {
            Notice = notice,
            Deliveries = hooks.All.ToDictionary(hook => hook.Name, _ => new Delivery(0, now, false, "")),
        };
        if (!journal.TryAdd(entry))
            return false;
        if (!system.TryWrite(notice))
            LogNotice(log, notice.Kind, notice.Text);
        if (_news.CurrentCount == 0)
        {
            try
            {
                _news.Release();
            }
            catch (SemaphoreFullException)
            {
                // Another was faster.
            }
        }

        return true;
    }

    public Notice Make(NoticeKind kind, string key, string text) => new()
    {
        Key = key,
        Kind = kind,
        At = time.GetUtcNow(),
        Node = options.Node.Name,
        About = options.Node.Name,
        Text = text,
    };

    /// <summary>Returns when something was raised, or after the time.</summary>
    public Task WaitAsync(TimeSpan limit, CancellationToken token) => _news.WaitAsync(limit, token);

    [LoggerMessage(EventId = 350, Level = LogLevel.Warning, Message = "{Kind}: {Text}")]
    private static partial void LogNotice(ILogger logger, NoticeKind kind, string text);
}

/// <summary>The hooks that are configured.</summary>
internal sealed class NoticeHooks : IDisposable
{
    public NoticeHooks(EvacuatorOptions options, TimeProvider time)
    {
        NotifyOptions notify = options.Notify;
        List<INoticeHook> hooks = [];
        if (notify.Webhook.Length > 0)
            hooks.Add(new WebhookHook(new Uri(notify.Webhook), notify.Timeout, time));
        if (notify.Command.Length > 0)
            hooks.Add(new CommandHook(notify.Command, notify.Timeout, time));
        All = hooks;
    }

    public IReadOnlyList<INoticeHook> All { get; }

    public void Dispose()
    {
        foreach (IDisposable hook in All.OfType<IDisposable>())
            hook.Dispose();
    }
}
