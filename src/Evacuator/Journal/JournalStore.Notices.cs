using Evacuator.Notices;
using Microsoft.Data.Sqlite;

namespace Evacuator.Journal;

internal sealed partial class JournalStore
{
    private long _writes;

    /// <summary>How often anything was written: tells whether it is worth looking again.</summary>
    public long Writes => Interlocked.Read(ref _writes);

    /// <summary>False if a notice of this key is there already.</summary>
    /// <exception cref="JournalException">not written</exception>
    public bool TryAdd(NoticeEntry entry)
    {
        // Asked before it is written: most notices that are found have been told long ago, and a write costs an fsync.
        if (Guarded(() => Scalar(_connection, "SELECT 1 FROM notices WHERE key = $key", ("$key", entry.Notice.Key))) is not null)
            return false;
        return Written(() => Execute(_connection, "INSERT INTO notices VALUES ($key, $raised, $open, $body) ON CONFLICT(key) DO NOTHING",
            ("$key", entry.Notice.Key), ("$raised", Text(entry.Notice.At)), ("$open", Open(entry)), ("$body", Serialize(entry)))) > 0;
    }

    /// <summary>Oldest first; if there are more than the limit, the newest of them.</summary>
    public IReadOnlyList<NoticeEntry> Undelivered(string hook, int limit) => Guarded(() =>
        Rows<NoticeEntry>("SELECT body FROM (SELECT body, raised, rowid AS number FROM notices WHERE open LIKE $hook ORDER BY raised DESC LIMIT $limit) ORDER BY raised, number",
            ("$hook", $"% {hook} %"), ("$limit", limit)));

    /// <summary>Newest first.</summary>
    public IReadOnlyList<NoticeEntry> RecentNotices(int limit) => Guarded(() => Rows<NoticeEntry>("SELECT body FROM notices ORDER BY raised DESC, rowid DESC LIMIT $limit", ("$limit", limit)));

    /// <exception cref="JournalException">not written</exception>
    public void Delivered(string key, string hook, Delivery delivery) => Written(() =>
    {
        using SqliteTransaction transaction = _connection.BeginTransaction();
        if (Rows<NoticeEntry>("SELECT body FROM notices WHERE key = $key", ("$key", key)).FirstOrDefault() is { } entry)
        {
            entry = entry with { Deliveries = new Dictionary<string, Delivery>(entry.Deliveries) { [hook] = delivery } };
            Execute(_connection, "UPDATE notices SET open = $open, body = $body WHERE key = $key", ("$key", key), ("$open", Open(entry)), ("$body", Serialize(entry)));
        }

        transaction.Commit();
        return true;
    });

    /// <summary>Drops what is older than this.</summary>
    public void ForgetNotices(DateTimeOffset before)
    {
        if (Guarded(() => Scalar(_connection, "SELECT 1 FROM notices WHERE raised < $before LIMIT 1", ("$before", Text(before)))) is not null)
            Written(() => Execute(_connection, "DELETE FROM notices WHERE raised < $before", ("$before", Text(before))));
    }

    /// <summary>Names of the hooks that still have to get it, each between blanks.</summary>
    private static string Open(NoticeEntry entry) => $" {string.Join("  ", entry.Deliveries.Where(delivery => delivery.Value.Next is not null).Select(delivery => delivery.Key))} ";
}
