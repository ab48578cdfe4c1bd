using System.Collections.Concurrent;
using Microsoft.AspNetCore.Connections;

namespace Evacuator.Lab.BmcSimulator.Tls;

/// <summary>The open connections, so that all can be cut at once, as when a BMC restarts its web server.</summary>
internal sealed class ConnectionList
{
    private readonly ConcurrentDictionary<ConnectionContext, bool> _open = new();

    public async Task TrackAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        _open[connection] = true;
        try
        {
            await next(connection);
        }
        finally
        {
            _open.TryRemove(connection, out _);
        }
    }

    public void CutAll()
    {
        foreach (ConnectionContext connection in _open.Keys)
        {
            connection.Abort(new ConnectionAbortedException("the listener starts again"));
        }
    }
}
