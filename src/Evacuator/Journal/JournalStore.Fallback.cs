using Microsoft.Data.Sqlite;

namespace Evacuator.Journal;

/// <summary>
/// The disk that fails may be the reason for leaving. When a write fails, everything is copied to the fallback (on tmpfs), the write is repeated there, and a
/// notice says so. The next start that finds the disk writable again brings the entries home.
/// </summary>
internal sealed partial class JournalStore
{
    private static readonly string[] Tables = ["evacuations", "moves", "witnesses", "facts", "guests", "departures", "homecomings", "windows", "notices"];

    /// <summary>Copies every row of another journal over those of this one.</summary>
    /// <exception cref="JournalException">not copied</exception>
    public void TakeFrom(JournalStore other) => Guarded(() =>
    {
        using SqliteTransaction transaction = _connection.BeginTransaction();
        // Moves refer to evacuations, so the order of the tables matters.
        foreach (string table in Tables)
            Copy(other._connection, _connection, table);
        transaction.Commit();
        return true;
    });

    /// <summary>It is in memory, for this reason.</summary>
    public void Note(string notice)
    {
        IsFallback = true;
        Tell(notice);
    }

    /// <summary>Something else that a person has to know about it.</summary>
    public void Tell(string notice) => _notices = [.. _notices, notice];

    private T Written<T>(Func<T> write)
    {
        FaultPoint?.Invoke(false);
        T result = WrittenSomewhere(write);
        Interlocked.Increment(ref _writes);
        FaultPoint?.Invoke(true);
        return result;
    }

    private T WrittenSomewhere<T>(Func<T> write)
    {
        try
        {
            return Guarded(write);
        }
        catch (JournalException e) when (_fallbackPath is not null && Path != _fallbackPath)
        {
            FallBack(e);
            return Guarded(write);
        }
    }

    private void FallBack(JournalException cause)
    {
        lock (_lock)
        {
            if (Path == _fallbackPath)
                return; // another thread was faster
            SqliteConnection fallback = Connect(_fallbackPath!);
            try
            {
                foreach (string table in Tables)
                    Copy(_connection, fallback, table);
            }
            catch (SqliteException e)
            {
                fallback.Dispose();
                throw new JournalException($"{cause.Message}, and its entries cannot be copied to {_fallbackPath}: {e.Message}", e);
            }

            _connection.Dispose();
            _connection = fallback;
            Note(JournalLocation.FallbackNotice(cause.Message, _fallbackPath!));
            Path = _fallbackPath!;
        }
    }

    private static void Copy(SqliteConnection from, SqliteConnection to, string table)
    {
        using SqliteCommand select = Command(from, $"SELECT * FROM {table}", []);
        using SqliteDataReader reader = select.ExecuteReader();
        while (reader.Read())
        {
            (string, object)[] values = [.. Enumerable.Range(0, reader.FieldCount).Select(column => ($"$c{column}", reader.GetValue(column)))];
            Execute(to, $"INSERT OR REPLACE INTO {table} VALUES ({string.Join(", ", values.Select(value => value.Item1))})", values);
        }
    }
}
