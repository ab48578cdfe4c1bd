using System.Text.Json;
using Evacuator.Common.AgentApi;
using Microsoft.Data.Sqlite;

namespace Evacuator.NodeAgent.Journal;

/// <summary>
/// The agent's memory of its moves: SQLite with a write-ahead log, every write on the disk before it returns (urgent ones: with the next). Nothing is acted upon that
/// is not in here first. If the disk cannot be written, the journal lives on tmpfs: it then survives the agent, not the host, which is
/// enough for the source (its containers do not survive the host either).
/// </summary>
internal sealed class MoveJournal : IDisposable
{
    private const int SchemaVersion = 1;

    private readonly SqliteConnection _connection;
    private readonly Lock _lock = new();
    private bool _urgent;

    private MoveJournal(SqliteConnection connection, string path, string? degraded) =>
        (_connection, Path, Degraded) = (connection, path, degraded);

    public string Path { get; }

    /// <summary>Why the journal is not on the disk; null when it is.</summary>
    public string? Degraded { get; }

    /// <param name="directory">on the disk</param>
    /// <param name="fallback">on tmpfs, used if the first cannot be written</param>
    public static MoveJournal Open(string directory, string fallback)
    {
        try
        {
            return OpenAt(directory, degraded: null);
        }
        catch (Exception e) when (e is SqliteException or IOException or UnauthorizedAccessException)
        {
            return OpenAt(fallback, degraded: $"{directory} cannot be written ({e.Message}); the journal is in {fallback} and does not survive a reboot");
        }
    }

    private static MoveJournal OpenAt(string directory, string? degraded)
    {
        Directory.CreateDirectory(directory);
        string path = System.IO.Path.Combine(directory, "moves.db");
        SqliteConnection connection = new(new SqliteConnectionStringBuilder { DataSource = path, Pooling = false }.ToString());
        try
        {
            connection.Open();
            Execute(connection, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=2000;");
            long version = (long)Scalar(connection, "PRAGMA user_version")!;
            if (version > SchemaVersion)
                throw new IOException($"{path} was written by a newer version (schema {version}, this program knows {SchemaVersion}): upgrade evacuator");
            Execute(connection, $"""
                CREATE TABLE IF NOT EXISTS source(id TEXT PRIMARY KEY, phase INTEGER NOT NULL, record TEXT NOT NULL);
                CREATE TABLE IF NOT EXISTS destination(id TEXT PRIMARY KEY, phase INTEGER NOT NULL, record TEXT NOT NULL);
                PRAGMA user_version={SchemaVersion};
                """);
            // CREATE … IF NOT EXISTS does not write when the tables exist: prove now, not in the middle of a move, that the disk takes writes.
            Execute(connection, "CREATE TABLE IF NOT EXISTS probe(n INTEGER); DELETE FROM probe; INSERT INTO probe VALUES(1);");
            return new MoveJournal(connection, path, degraded);
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

    /// <summary>Oldest first.</summary>
    public IReadOnlyList<SourceRecord> ReadSources() => Read<SourceRecord>("source");

    /// <summary>Oldest first.</summary>
    public IReadOnlyList<DestinationRecord> ReadDestinations() => Read<DestinationRecord>("destination");

    public void Dispose() => _connection.Dispose();

    private void Write(string table, Guid id, int phase, string json, bool urgent)
    {
        lock (_lock)
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

    private static object? Scalar(SqliteConnection connection, string sql)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        return command.ExecuteScalar();
    }
}
