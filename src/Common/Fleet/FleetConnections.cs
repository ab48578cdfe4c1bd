using System.Collections.Concurrent;

namespace Evacuator.Common.Fleet;

/// <summary>
/// The connections that stand between this service and others of the fleet. A handshake decides once; this is how a node that is revoked afterwards loses
/// what it has already.
/// </summary>
internal sealed class FleetConnections
{
    private readonly ConcurrentDictionary<long, Connection> _open = new();
    private long _last;

    public int Count => _open.Count;

    /// <summary>Until disposed, <paramref name="abort"/> is called when <see cref="Recheck"/> no longer allows it.</summary>
    public IDisposable Add(PeerIdentity identity, DateTimeOffset notBefore, Action<string> abort)
    {
        long number = Interlocked.Increment(ref _last);
        _open[number] = new Connection(identity, notBefore, abort);
        return new Entry(this, number);
    }

    /// <summary>For a stream that does not tell when it is closed: kept weakly, and forgotten when it cannot be read any more.</summary>
    public void Add(PeerIdentity identity, DateTimeOffset notBefore, Stream stream)
    {
        foreach ((long number, Connection connection) in _open)
        {
            if (connection.Stream is { } kept && (!kept.TryGetTarget(out Stream? known) || !known.CanRead))
                _open.TryRemove(number, out _);
        }

        WeakReference<Stream> weak = new(stream);
        _open[Interlocked.Increment(ref _last)] = new Connection(identity, notBefore, _ => Close(weak), weak);
    }

    /// <param name="whyNot">null while a connection with that node and that certificate may go on</param>
    public void Recheck(Func<PeerIdentity, DateTimeOffset, string?> whyNot)
    {
        foreach (Connection connection in _open.Values)
        {
            if (whyNot(connection.Identity, connection.NotBefore) is { } reason)
                connection.Abort(reason);
        }
    }

    private static void Close(WeakReference<Stream> weak)
    {
        if (weak.TryGetTarget(out Stream? stream))
            stream.Dispose();
    }

    private sealed record Connection(PeerIdentity Identity, DateTimeOffset NotBefore, Action<string> Abort, WeakReference<Stream>? Stream = null);

    private sealed class Entry(FleetConnections connections, long number) : IDisposable
    {
        public void Dispose() => connections._open.TryRemove(number, out _);
    }
}
