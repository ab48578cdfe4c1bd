using System.Security.Cryptography;

namespace Evacuator.Lab.BmcSimulator.Sessions;

/// <summary>The logins; a small table, as in a real BMC. Sessions unused for longer than the timeout are gone.</summary>
internal sealed class SessionTable(int limit, Func<TimeSpan> timeout, TimeProvider time)
{
    private readonly Lock _lock = new();
    private readonly List<Session> _sessions = [];
    private int _lastId;

    /// <summary>The highest number of sessions that were open at once.</summary>
    public int Peak { get; private set; }

    /// <returns>The new session, or null where the table is full.</returns>
    public Session? Open(string user)
    {
        DateTimeOffset now = time.GetUtcNow();
        lock (_lock)
        {
            Expire_NeedsLock(now);
            if (_sessions.Count >= limit)
            {
                return null;
            }

            _lastId++;
            var session = new Session(_lastId.ToString(System.Globalization.CultureInfo.InvariantCulture), RandomNumberGenerator.GetHexString(32, lowercase: true), user, now);
            _sessions.Add(session);
            Peak = Math.Max(Peak, _sessions.Count);
            return session;
        }
    }

    public Session? FindByToken(string token)
    {
        DateTimeOffset now = time.GetUtcNow();
        lock (_lock)
        {
            Expire_NeedsLock(now);
            Session? session = _sessions.Find(session => session.Token == token);
            session?.LastUsed = now;
            return session;
        }
    }

    public Session? FindById(string id) => List().FirstOrDefault(session => session.Id == id);

    public bool Close(string id)
    {
        lock (_lock)
        {
            Session? session = _sessions.Find(session => session.Id == id);
            return session is not null && End_NeedsLock(session);
        }
    }

    public void CloseAll()
    {
        lock (_lock)
        {
            _sessions.ToList().ForEach(session => End_NeedsLock(session));
        }
    }

    public IReadOnlyList<Session> List()
    {
        lock (_lock)
        {
            Expire_NeedsLock(time.GetUtcNow());
            return [.. _sessions];
        }
    }

    private void Expire_NeedsLock(DateTimeOffset now) =>
        _sessions.FindAll(session => now - session.LastUsed > timeout()).ForEach(session => End_NeedsLock(session));

    private bool End_NeedsLock(Session session)
    {
        _sessions.Remove(session);
        // Whoever listens to the token (a stream) must not run here, under the lock.
        _ = Task.Run(session.End);
        return true;
    }
}
