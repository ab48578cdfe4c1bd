using System.Buffers.Binary;
using System.Net.Sockets;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// All connections of this agent to others, as the kernel sees them: what they got through, and what of it still waits. What one container's own rounds get says little of its freeze, in which the
/// others hold: beside four of them it is a fifth.
/// </summary>
internal sealed class Wire(TimeProvider time)
{
    /// <summary>Less stands before nobody for long, on any wire.</summary>
    private const long Nothing = 64 * 1024;

    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(5);

    private readonly Lock _lock = new();
    private readonly Dictionary<Socket, ulong> _sockets = [];
    private readonly LinkSpeed _speed = new();
    private ITimer? _sampling;
    private int _users;
    private long _sampled;

    /// <summary>Bytes per second that all of this host's moves together got when they had more to send; 0 if that was never seen.</summary>
    public double BytesPerSecond
    {
        get
        {
            lock (_lock)
                return _speed.BytesPerSecond;
        }
    }

    /// <summary>Bytes that were handed to the kernel and have not arrived.</summary>
    public long Queued
    {
        get
        {
            lock (_lock)
                return Measure().Queued;
        }
    }

    /// <summary>More than one move has something to send.</summary>
    public bool IsShared
    {
        get
        {
            lock (_lock)
                return _users > 1;
        }
    }

    /// <summary>Counts from now on, until it is closed.</summary>
    public void Add(Socket socket)
    {
        lock (_lock)
            _sockets[socket] = 0;
    }

    /// <summary>Something is to be sent, until it is disposed: meanwhile the wire is measured.</summary>
    public IDisposable Use()
    {
        lock (_lock)
        {
            if (_users++ == 0)
            {
                _sampled = time.GetTimestamp();
                _ = Measure();
                _sampling = time.CreateTimer(static wire => ((Wire)wire!).Sample(), this, LinkSpeed.Window, LinkSpeed.Window);
            }
        }
        return new User(this);
    }

    /// <summary>Whoever holds has handed something over before, and that goes first. Waits until it is through.</summary>
    /// <param name="patience">no longer than this: another host's freeze, or a peer that takes nothing, may be in the way</param>
    public async Task DrainAsync(TimeSpan patience, CancellationToken cancel)
    {
        long start = time.GetTimestamp();
        while (Queued > Nothing && time.GetElapsedTime(start) < patience)
            await Task.Delay(Look, time, cancel);
    }

    private void Sample()
    {
        lock (_lock)
        {
            if (_users == 0)
                return;
            long now = time.GetTimestamp();
            (ulong taken, _, bool full) = Measure();
            _speed.Add(taken, time.GetElapsedTime(_sampled, now), full);
            _sampled = now;
        }
    }

    /// <returns>acknowledged since the last call; still waiting; something was handed over that has not been sent once</returns>
    private (ulong Taken, long Queued, bool Full) Measure()
    {
        ulong taken = 0;
        long queued = 0;
        bool full = false;
        foreach (Socket socket in _sockets.Keys.ToArray())
        {
            if (TcpCounters.Read(socket) is not { } counters)
            {
                _sockets.Remove(socket);
                continue;
            }
            taken += counters.Acknowledged - _sockets[socket];
            _sockets[socket] = counters.Acknowledged;
            queued += counters.Unsent + counters.Unacknowledged;
            full |= counters.Unsent > 0;
        }
        return (taken, queued, full);
    }

    private void Leave()
    {
        lock (_lock)
        {
            if (--_users > 0)
                return;
            _sampling?.Dispose();
            _sampling = null;
        }
    }

    private sealed class User(Wire wire) : IDisposable
    {
        private Wire? _wire = wire;

        public void Dispose() => Interlocked.Exchange(ref _wire, null)?.Leave();
    }
}

/// <summary>What the kernel counts of a connection: struct tcp_info of linux/tcp.h.</summary>
/// <param name="Acknowledged">bytes, since it was opened</param>
/// <param name="Unacknowledged">bytes on their way</param>
/// <param name="Unsent">bytes handed over and not sent</param>
internal readonly record struct TcpCounters(ulong Acknowledged, long Unacknowledged, long Unsent)
{
    private const int IPPROTO_TCP = 6, TCP_INFO = 11;

    /// <summary>Offsets; a test compares what is there with what was sent.</summary>
    private const int BytesAcked = 120, NotSentBytes = 144, BytesSent = 200, BytesAgain = 208, Length = 216;

    /// <returns>null if it is closed</returns>
    public static TcpCounters? Read(Socket socket)
    {
        Span<byte> info = stackalloc byte[Length];
        try
        {
            int length = socket.GetRawSocketOption(IPPROTO_TCP, TCP_INFO, info);
            if (length < Length)
                return null;
            ulong acknowledged = BinaryPrimitives.ReadUInt64LittleEndian(info[BytesAcked..]);
            long sent = (long)(BinaryPrimitives.ReadUInt64LittleEndian(info[BytesSent..]) - BinaryPrimitives.ReadUInt64LittleEndian(info[BytesAgain..]));
            // The first segment of all counts as a byte that is acknowledged.
            return new TcpCounters(acknowledged, Math.Max(0, sent - (long)acknowledged), BinaryPrimitives.ReadUInt32LittleEndian(info[NotSentBytes..]));
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return null;
        }
    }
}
