using System.Text.Json;
using Evacuator.Common.AgentApi;
using Microsoft.Data.Sqlite;

namespace Evacuator.Journal;

/// <summary>
/// The brain's durable memory. A write that has returned survives a power cut (WAL, synchronous=FULL). Phases have a column of their own so that
/// a person can read them with sqlite3; everything else is one JSON document a row.
/// </summary>
/// <remarks>One connection, used by one caller at a time: every method takes the same lock. SQLite's own locks keep a second process out.</remarks>
internal sealed partial class JournalStore : IDisposable
{
    /// <summary>Raised with each change of the tables; an older one is upgraded in order, a newer one is refused.</summary>
    internal const int SchemaVersion = 2;

    /// <summary>What makes each version out of the one before; never changed once released.</summary>
    private static readonly string[] Upgrades =
    [
        """
        CREATE TABLE evacuations (
          id TEXT PRIMARY KEY,
          trigger_key TEXT NOT NULL UNIQUE,
          phase INTEGER NOT NULL,
          started TEXT NOT NULL,
          body TEXT NOT NULL) STRICT;
        CREATE TABLE moves (
          evacuation_id TEXT NOT NULL REFERENCES evacuations(id),
          container TEXT NOT NULL,
          move_id TEXT NOT NULL,
          phase INTEGER NOT NULL,
          body TEXT NOT NULL,
          PRIMARY KEY (evacuation_id, container)) STRICT;
        CREATE TABLE witnesses (
          evacuation_id TEXT NOT NULL,
          node TEXT NOT NULL,
          phase INTEGER NOT NULL,
          started TEXT NOT NULL,
          body TEXT NOT NULL,
          PRIMARY KEY (evacuation_id, node)) STRICT;
        CREATE TABLE facts (
          name TEXT PRIMARY KEY,
          value TEXT NOT NULL) STRICT;
        """,
        """
        CREATE TABLE guests (
          container TEXT PRIMARY KEY,
          home TEXT NOT NULL,
          body TEXT NOT NULL) STRICT;
        CREATE TABLE departures (
          id TEXT PRIMARY KEY,
          phase INTEGER NOT NULL,
          started TEXT NOT NULL,
          body TEXT NOT NULL) STRICT;
        CREATE TABLE homecomings (
          id TEXT PRIMARY KEY,
          phase INTEGER NOT NULL,
          started TEXT NOT NULL,
          body TEXT NOT NULL) STRICT;
        CREATE TABLE windows (
          id TEXT PRIMARY KEY,
          body TEXT NOT NULL) STRICT;
        CREATE TABLE notices (
          key TEXT PRIMARY KEY,
          raised TEXT NOT NULL,
          open TEXT NOT NULL,
          body TEXT NOT NULL) STRICT;
        """,
    ];

    private readonly Lock _lock = new();
    private readonly string? _fallbackPath;
    private SqliteConnection _connection;
    private volatile IReadOnlyList<string> _notices = [];

    private JournalStore(SqliteConnection connection, string path, string? fallbackPath)
    {
        _connection = connection;
        Path = path;
        _fallbackPath = fallbackPath;
    }

    public string Path { get; private set; }

    /// <summary>
    /// For tests of crashes: called before (false) and after (true) each write; what it throws is the crash. Null in the service.
    /// </summary>
    internal Action<bool>? FaultPoint { get; set; }

    /// <summary>Whether it is in memory because the disk could not be written.</summary>
    public bool IsFallback { get; private set; }

    /// <summary>Whether it has just been made: nothing of an earlier life is in it.</summary>
    public bool IsNew => Fact("opened") == "1";

    /// <summary>What a person has to know about the journal; empty when all is well.</summary>
    public IReadOnlyList<string> Notices => _notices;

    /// <param name="path">the file; made if it does not exist</param>
    /// <param name="fallbackPath">where to go on when the file cannot be written any more; null: nowhere</param>
    /// <exception cref="JournalException">the file cannot be opened, written, or is of a newer version</exception>
    public static JournalStore Open(string path, string? fallbackPath = null) => new(Connect(path), path, fallbackPath);

    private static SqliteConnection Connect(string path)
    {
        SQLitePCL.Batteries_V2.Init();
        SqliteConnection? connection = null;
        try
        {
            connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, Pooling = false }.ToString());
            connection.Open();
            // Exclusive, before anything else: the index of the log is then in our own memory. In a mapped file, as by default, a disk that becomes read-only would kill the
            // process with SIGBUS, just when it is needed.
            Execute(connection, "PRAGMA busy_timeout=5000; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON");
            int version = Convert.ToInt32(Scalar(connection, "PRAGMA user_version"), System.Globalization.CultureInfo.InvariantCulture);
            if (version > SchemaVersion)
                throw new JournalException($"{path} was written by a newer version of Evacuator (schema {version}, this one knows {SchemaVersion}): upgrade the package");
            if (version < SchemaVersion)
            {
                using SqliteTransaction transaction = connection.BeginTransaction();
                foreach (string upgrade in Upgrades.Skip(version))
                    Execute(connection, upgrade);
                Execute(connection, $"PRAGMA user_version={SchemaVersion}");
                transaction.Commit();
            }

            // A read-only or full disk lets the file be opened and read: only a write shows it.
            Execute(connection, "INSERT INTO facts VALUES ('opened', '1') ON CONFLICT(name) DO UPDATE SET value = value + 1");
            SqliteConnection opened = connection;
            connection = null;
            return opened;
        }
        catch (SqliteException e)
        {
            throw new JournalException($"the journal {path} cannot be used: {e.Message}", e);
        }
        finally
        {
            connection?.Dispose();
        }
    }

    /// <summary>Writes all given states in one transaction.</summary>
    /// <exception cref="JournalException">not written: nothing may be done that depends on it</exception>
    public void Write(EvacuationState? evacuation, IReadOnlyCollection<MoveState> moves) => Written(() =>
    {
        using SqliteTransaction transaction = _connection.BeginTransaction();
        if (evacuation is not null)
        {
            Execute(_connection, """
                INSERT INTO evacuations VALUES ($id, $key, $phase, $started, $body)
                ON CONFLICT(id) DO UPDATE SET phase = $phase, body = $body
                """,
                ("$id", Text(evacuation.Id)), ("$key", evacuation.Trigger.Key), ("$phase", (int)evacuation.Phase),
                ("$started", Text(evacuation.Started)), ("$body", Serialize(evacuation)));
        }

        foreach (MoveState move in moves)
        {
            Execute(_connection, """
                INSERT INTO moves VALUES ($evacuation, $container, $move, $phase, $body)
                ON CONFLICT(evacuation_id, container) DO UPDATE SET move_id = $move, phase = $phase, body = $body
                """,
                ("$evacuation", Text(move.EvacuationId)), ("$container", move.Name), ("$move", Text(move.MoveId)),
                ("$phase", (int)move.Phase), ("$body", Serialize(move)));
        }

        transaction.Commit();
        return true;
    });

    /// <exception cref="JournalException">not written</exception>
    public void Write(WitnessState witness) => Written(() => Execute(_connection, """
        INSERT INTO witnesses VALUES ($id, $node, $phase, $started, $body)
        ON CONFLICT(evacuation_id, node) DO UPDATE SET phase = $phase, body = $body
        """,
        ("$id", Text(witness.EvacuationId)), ("$node", witness.Node), ("$phase", (int)witness.Phase),
        ("$started", Text(witness.Started)), ("$body", Serialize(witness))));

    /// <summary>Newest first.</summary>
    public IReadOnlyList<EvacuationState> Evacuations(int limit = 100) =>
        Guarded(() => Rows<EvacuationState>("SELECT body FROM evacuations ORDER BY started DESC, rowid DESC LIMIT $limit", ("$limit", limit)));

    public EvacuationState? Evacuation(Guid id) =>
        Guarded(() => Rows<EvacuationState>("SELECT body FROM evacuations WHERE id = $id", ("$id", Text(id))).FirstOrDefault());

    public EvacuationState? EvacuationByTrigger(string key) =>
        Guarded(() => Rows<EvacuationState>("SELECT body FROM evacuations WHERE trigger_key = $key", ("$key", key)).FirstOrDefault());

    /// <summary>In the order of departure.</summary>
    public IReadOnlyList<MoveState> Moves(Guid evacuation) =>
        Guarded(() => Rows<MoveState>("SELECT body FROM moves WHERE evacuation_id = $id", ("$id", Text(evacuation)))
            .OrderBy(move => move.Order).ToList());

    /// <summary>Newest first.</summary>
    public IReadOnlyList<WitnessState> Witnesses(int limit = 100) =>
        Guarded(() => Rows<WitnessState>("SELECT body FROM witnesses ORDER BY started DESC, rowid DESC LIMIT $limit", ("$limit", limit)));

    public WitnessState? Witness(Guid evacuation, string? node = null) =>
        Guarded(() => Rows<WitnessState>("SELECT body FROM witnesses WHERE evacuation_id = $id", ("$id", Text(evacuation)))
            .FirstOrDefault(witness => node is null || witness.Node == node));

    public string? Fact(string name) =>
        Guarded(() => Scalar(_connection, "SELECT value FROM facts WHERE name = $name", ("$name", name)) as string);

    /// <summary>Null removes it.</summary>
    public void SetFact(string name, string? value) => Written(() => value is null
        ? Execute(_connection, "DELETE FROM facts WHERE name = $name", ("$name", name))
        : Execute(_connection, "INSERT INTO facts VALUES ($name, $value) ON CONFLICT(name) DO UPDATE SET value = $value", ("$name", name), ("$value", value)));

    public void Dispose() => _connection.Dispose();

    /// <summary>SQLite work is short and local; the lock keeps the one connection to one caller and is never held while anything else happens.</summary>
    private T Guarded<T>(Func<T> work)
    {
        lock (_lock)
        {
            try
            {
                return work();
            }
            catch (SqliteException e)
            {
                throw new JournalException($"the journal {Path} failed: {e.Message}", e);
            }
        }
    }

    private List<T> Rows<T>(string sql, params (string Name, object Value)[] parameters)
    {
        using SqliteCommand command = Command(_connection, sql, parameters);
        using SqliteDataReader reader = command.ExecuteReader();
        List<T> rows = [];
        while (reader.Read())
            rows.Add(JsonSerializer.Deserialize<T>(reader.GetString(0), ApiJson.Options) ?? throw new JournalException($"{Path} holds an empty row"));
        return rows;
    }

    private static string Serialize<T>(T state) => JsonSerializer.Serialize(state, ApiJson.Options);

    private static string Text(Guid id) => id.ToString("D");

    private static string Text(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'", System.Globalization.CultureInfo.InvariantCulture);

    private static int Execute(SqliteConnection connection, string sql, params (string Name, object Value)[] parameters)
    {
        using SqliteCommand command = Command(connection, sql, parameters);
        return command.ExecuteNonQuery();
    }

    private static object? Scalar(SqliteConnection connection, string sql, params (string Name, object Value)[] parameters)
    {
        using SqliteCommand command = Command(connection, sql, parameters);
        return command.ExecuteScalar();
    }

    private static SqliteCommand Command(SqliteConnection connection, string sql, (string Name, object Value)[] parameters)
    {
        SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        foreach ((string name, object value) in parameters)
            command.Parameters.AddWithValue(name, value);
        return command;
    }
}

/// <summary>The journal cannot be read or written.</summary>
internal sealed class JournalException(string message, Exception? inner = null) : Exception(message, inner);
