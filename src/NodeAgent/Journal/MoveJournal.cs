using System.Text.Json;
using Evacuator.Common.AgentApi;
using Microsoft.Data.Sqlite;

namespace Evacuator.NodeAgent.Journal;

/// <summary>
/// The agent's memory of its moves: SQLite with a write-ahead log, every write on the disk before it returns (urgent ones: with the next). Nothing is acted upon that
/// is not in here first. If the disk cannot be written, the journal goes on in tmpfs, with what could be read: it then survives the agent, not the
/// host, which is enough for the source (its containers do not survive the host either). The next start that can write takes it back.
/// </summary>
internal sealed class MoveJournal : IDisposable
{
    private const int SchemaVersion = 1;
    private const string FileName = "moves.db";

    /// <summary>
    /// What has ended is remembered this long, so that whoever asks late is still told the truth: the same id is the same move for ever, and a
    /// source that was cut off must not hear "unknown" of a container that runs.
    /// </summary>
    internal static readonly TimeSpan Memory = TimeSpan.FromDays(90);

    /// <summary>The description, the bulk of a record, is of no use a week after the end.</summary>
    internal static readonly TimeSpan DescriptionMemory = TimeSpan.FromDays(7);

    private readonly Lock _lock = new();
    private readonly string? _fallback;
    private SqliteConnection _connection;
    private bool _urgent;

    private MoveJournal(SqliteConnection connection, string path, string? degraded, string? fallback = null) =>
        (_connection, Path, Degraded, _fallback) = (connection, path, degraded, fallback);

    public string Path { get; private set; }

    /// <summary>Why the journal is not on the disk; null when it is.</summary>
    public string? Degraded { get; private set; }

    /// <summary>Called, inside of a write, when the disk fails while the agent runs, with what a person has to know.</summary>
    public Action<string>? OnDegraded { get; set; }

    /// <param name="directory">on the disk</param>
    /// <param name="fallback">on tmpfs, used if the first cannot be written</param>
    public static MoveJournal Open(string directory, string fallback)
    {
        MoveJournal? journal = null;
        try
        {
            journal = OpenAt(directory, degraded: null, directory != fallback ? fallback : null);
            if (directory != fallback)
                journal.TakeBack(fallback);
            return journal;
        }
        catch (Exception e) when (e is SqliteException or IOException or UnauthorizedAccessException)
        {
            journal?.Dispose();
            string lost = e is NewerSchemaException ? "" : TakeAlong(directory, fallback);
            return OpenAt(fallback, degraded: $"{directory} cannot be written ({e.Message}); the journal is in {fallback} and does not survive a reboot{lost}");
        }
    }

    /// <summary>What an earlier life wrote while the disk could not be: it began with what the disk had, so each of its records is the newer one.</summary>
    private void TakeBack(string fallback)
    {
        string path = System.IO.Path.Combine(fallback, FileName);
        if (!File.Exists(path))
            return;
        using (MoveJournal other = OpenAt(fallback, degraded: null))
        {
            Execute(_connection, "BEGIN");
            foreach (SourceRecord record in other.ReadSources())
                Write(record);
            foreach (DestinationRecord record in other.ReadDestinations())
                Write(record);
            Execute(_connection, "COMMIT");
        }
        foreach (string suffix in (string[])["", "-wal", "-shm"])
            File.Delete(path + suffix);
    }

    /// <summary>A disk that cannot be written can mostly be read: a restarted agent must know what it was about to do.</summary>
    /// <returns>for people, if that failed</returns>
    private static string TakeAlong(string directory, string fallback)
    {
        string from = System.IO.Path.Combine(directory, FileName), to = System.IO.Path.Combine(fallback, FileName);
        // One that is there already has been written since.
        if (File.Exists(to) || !File.Exists(from))
            return "";
        try
        {
            Directory.CreateDirectory(fallback);
            if (File.Exists(from + "-wal"))
                File.Copy(from + "-wal", to + "-wal", overwrite: true);
            // The database last: with it the copy is whole.
            File.Copy(from, to + ".new", overwrite: true);
            File.Move(to + ".new", to);
            return "";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            File.Delete(to + "-wal");
            File.Delete(to + ".new");
            return $", and begins anew: what it held cannot be read either ({e.Message})";
        }
    }

    private static MoveJournal OpenAt(string directory, string? degraded, string? fallback = null)
    {
        Directory.CreateDirectory(directory);
        string path = System.IO.Path.Combine(directory, FileName);
        SqliteConnection connection = new(new SqliteConnectionStringBuilder { DataSource = path, Pooling = false }.ToString());
        try
        {
            connection.Open();
            // Exclusive, before anything else: the index of the log is then in our own memory. In a mapped file, as by default, a disk that becomes read-only would kill the
            // process with SIGBUS, just when it is needed.
            Execute(connection, "PRAGMA busy_timeout=2000; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;");
            long version = (long)Scalar(connection, "PRAGMA user_version")!;
            if (version > SchemaVersion)
                throw new NewerSchemaException($"{path} was written by a newer version (schema {version}, this program knows {SchemaVersion}): upgrade evacuator");
            Execute(connection, $"""
                CREATE TABLE IF NOT EXISTS source(id TEXT PRIMARY KEY, phase INTEGER NOT NULL, record TEXT NOT NULL);
                CREATE TABLE IF NOT EXISTS destination(id TEXT PRIMARY KEY, phase INTEGER NOT NULL, record TEXT NOT NULL);
                PRAGMA user_version={SchemaVersion};
                """);
            // CREATE … IF NOT EXISTS does not write when the tables exist: prove now, not in the middle of a move, that the disk takes writes.
            Execute(connection, "CREATE TABLE IF NOT EXISTS probe(n INTEGER); DELETE FROM probe; INSERT INTO probe VALUES(1);");
            return new MoveJournal(connection, path, degraded, fallback);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <param name="urgent">
    /// the container stands still: the record is in the kernel's hands when this returns, which survives the agent, and on the disk with the
    /// next record that is not urgent. A power cut in between ends the container itself, and <see cref="SourcePhase.Freezing"/> after a reboot
    /// asks the destination. Measured: waiting for a busy disk cost a freeze up to a second.
    /// </param>
    public void Write(SourceRecord record, bool urgent = false) =>
        Write("source", record.Request.MoveId, (int)record.Phase, JsonSerializer.Serialize(record, ApiJson.Options), urgent);

    /// <inheritdoc cref="Write(SourceRecord, bool)"/>
    public void Write(DestinationRecord record, bool urgent = false) =>
        Write("destination", record.MoveId, (int)record.Phase, JsonSerializer.Serialize(record, ApiJson.Options), urgent);

    /// <summary>Forgets what ended long ago, and the bulk of what ended a while ago.</summary>
    /// <returns>ids of the moves that are forgotten</returns>
    public IReadOnlyList<Guid> Prune(DateTimeOffset now)
    {
        List<Guid> forgotten = [];
        foreach (SourceRecord record in ReadSources().Where(record => record.ToReport().Ended))
        {
            if (now - record.Updated > Memory)
                forgotten.Add(record.Request.MoveId);
            else if (now - record.Updated > DescriptionMemory && record.Description is not null)
                Write(record with { Description = null });
        }
        // One that runs here without its source knowing is not over.
        foreach (DestinationRecord record in ReadDestinations().Where(record => record.Over))
        {
            if (now - record.Updated > Memory)
                forgotten.Add(record.MoveId);
            else if (now - record.Updated > DescriptionMemory && record.Description is not null)
                Write(record with { Description = null });
        }
        foreach (Guid id in forgotten)
            Forget(id);
        return forgotten;
    }

    public void Forget(Guid id)
    {
        lock (_lock)
        {
            using SqliteCommand command = _connection.CreateCommand();
            command.CommandText = "DELETE FROM source WHERE id=$id; DELETE FROM destination WHERE id=$id";
            command.Parameters.AddWithValue("$id", id.ToString());
            try
            {
                command.ExecuteNonQuery();
            }
            catch (SqliteException e) when (IsOfTheDisk(e))
            {
                // Another time: what is remembered too long does no harm.
            }
        }
    }

    /// <summary>Oldest first.</summary>
    public IReadOnlyList<SourceRecord> ReadSources() => Read<SourceRecord>("source");

    /// <summary>Oldest first.</summary>
    public IReadOnlyList<DestinationRecord> ReadDestinations() => Read<DestinationRecord>("destination");

    public void Dispose() => _connection.Dispose();

    private void Write(string table, Guid id, int phase, string json, bool urgent)
    {
        lock (_lock)
        {
            try
            {
                WriteRow(table, id, phase, json, urgent);
            }
            catch (SqliteException e) when (_fallback is not null && Degraded is null && IsOfTheDisk(e))
            {
                // Now, in the middle of a move: it goes on in memory with everything, and this record with it.
                GoToMemory(e);
                WriteRow(table, id, phase, json, urgent);
            }
        }
    }

    private void GoToMemory(SqliteException cause)
    {
        MoveJournal memory = OpenAt(_fallback!, degraded: null);
        foreach (SourceRecord record in ReadSources())
            memory.Write(record);
        foreach (DestinationRecord record in ReadDestinations())
            memory.Write(record);
        _connection.Dispose();
        (_connection, _urgent) = (memory._connection, false);
        Degraded = $"{Path} cannot be written any more ({cause.Message}); the journal is in {memory.Path} and does not survive a reboot";
        Path = memory.Path;
        OnDegraded?.Invoke(Degraded);
    }

    private void WriteRow(string table, Guid id, int phase, string json, bool urgent)
    {
        // In WAL mode NORMAL does not wait for the disk at a commit; the log's order, and so the database, stays whole in any case.
        if (urgent != _urgent)
            Execute(_connection, urgent ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL");
        _urgent = urgent;
        using SqliteCommand command = _connection.CreateCommand();
        command.CommandText = $"INSERT INTO {table}(id, phase, record) VALUES($id, $phase, $record) ON CONFLICT(id) DO UPDATE SET phase=$phase, record=$record";
        command.Parameters.AddWithValue("$id", id.ToString());
        command.Parameters.AddWithValue("$phase", phase);
        command.Parameters.AddWithValue("$record", json);
        command.ExecuteNonQuery();
    }

    private List<T> Read<T>(string table)
    {
        lock (_lock)
        {
            using SqliteCommand command = _connection.CreateCommand();
            command.CommandText = $"SELECT record FROM {table} ORDER BY rowid";
            using SqliteDataReader reader = command.ExecuteReader();
            List<T> records = [];
            while (reader.Read())
                records.Add(JsonSerializer.Deserialize<T>(reader.GetString(0), ApiJson.Options)!);
            return records;
        }
    }

    private static void Execute(SqliteConnection connection, string sql)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    /// <summary>https://www.sqlite.org/rescode.html: READONLY, IOERR, FULL, CANTOPEN.</summary>
    private static bool IsOfTheDisk(SqliteException e) => e.SqliteErrorCode is 8 or 10 or 13 or 14;

    private static object? Scalar(SqliteConnection connection, string sql)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        return command.ExecuteScalar();
    }

    private sealed class NewerSchemaException(string message) : IOException(message);
}
