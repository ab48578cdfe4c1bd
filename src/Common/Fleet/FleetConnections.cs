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
    public IDisposable Add(ShownCertificate shown, Action<string> abort)
    {
        long number = Interlocked.Increment(ref _last);
        _open[number] = new Connection(shown, abort);
        return new Entry(this, number);
    }

    /// <summary>For a stream that does not tell when it is closed: kept weakly, and forgotten when it cannot be read any more.</summary>
    public void Add(ShownCertificate shown, Stream stream)
    {
        foreach ((long number, Connection connection) in _open)
        {
            if (connection.Stream is { } kept && (!kept.TryGetTarget(out Stream? known) || !known.CanRead))
                _open.TryRemove(number, out _);
        }

        WeakReference<Stream> weak = new(stream);
        _open[Interlocked.Increment(ref _last)] = new Connection(shown, _ => Close(weak), weak);
    }

    /// <summary>How many stand with a certificate of which this is so.</summary>
    public int CountOf(Func<ShownCertificate, bool> isSo) =>
        _open.Values.Count(connection => isSo(connection.Shown) && (connection.Stream is not { } stream || (stream.TryGetTarget(out Stream? open) && open.CanRead)));

    /// <param name="whyNot">null while a connection with that certificate may go on</param>
    public void Recheck(Func<ShownCertificate, string?> whyNot)
    {
        foreach (Connection connection in _open.Values)
        {
            if (whyNot(connection.Shown) is { } reason)
                connection.Abort(reason);
        }
    }

    private static void Close(WeakReference<Stream> weak)
    {
        if (weak.TryGetTarget(out Stream? stream))
            stream.Dispose();
    }

    private sealed record Connection(ShownCertificate Shown, Action<string> Abort, WeakReference<Stream>? Stream = null);

    private sealed class Entry(FleetConnections connections, long number) : IDisposable
    {
        public void Dispose() => connections._open.TryRemove(number, out _);
    }
}

/// <summary>What of a certificate decides whether a connection that was made with it may go on.</summary>
/// <param name="Authority">fingerprint of the one that vouched for it; empty if none does any more</param>
internal sealed record ShownCertificate(PeerIdentity Identity, DateTimeOffset NotBefore, string Authority);
