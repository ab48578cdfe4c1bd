using System.Net;

namespace Evacuator.NodeAgent.Network;

/// <summary>
/// Holds what is sent to a container while it stands still: all that passes its bridges for its hardware addresses, and all who ask for it.
/// The kernel keeps the frames, up to <see cref="Room"/> for each interface; what comes beyond is dropped and counted. Owns its sockets.
/// </summary>
internal sealed class FrameHold : IDisposable
{
    /// <summary>Bytes as the kernel counts them: some 5000 small frames, or 2000 full ones.</summary>
    internal const int Room = 4 << 20;

    private readonly IReadOnlyList<Held> _links;
    private readonly byte[] _buffer = new byte[HeldFrame.MaxLength];
    private long _dropped;

    internal FrameHold(IReadOnlyList<Held> links) => _links = links;

    /// <summary>
    /// An interface and the socket on its bridge; at the source also one on the host's end that hears what it still says, and one inside that can
    /// say it again.
    /// </summary>
    internal sealed record Held(byte[] Mac, IReadOnlyList<IPAddress> Addresses, FrameSocket Bridge, IReadOnlyList<byte[]> Announcement)
    {
        internal FrameSocket? HostEnd { get; init; }

        internal FrameSocket? Inside { get; init; }
    }

    /// <summary>From here on frames are held. At the source at the moment of the cut: those before it have reached the container.</summary>
    internal void Start()
    {
        foreach (Held link in _links)
        {
            link.HostEnd?.Start();
            link.Bridge.Start();
        }
    }

    /// <summary>Tells the switches that the addresses are here now; sent on the bridges, so that the container's own link can stay down.</summary>
    /// <returns>frames that went out</returns>
    internal int Announce()
    {
        int sent = 0;
        foreach (Held link in _links)
            foreach (byte[] frame in link.Announcement)
                sent += link.Bridge.TrySend([.. new byte[HeldFrame.HeaderLength], .. frame]) ? 1 : 0;
        return sent;
    }

    /// <summary>Source: what the container has said since the cut of its link.</summary>
    internal IReadOnlyList<HeldFrame> TakeLastWords()
    {
        List<HeldFrame> said = [];
        for (int i = 0; i < _links.Count; i++)
            while (_links[i].HostEnd?.Receive(_buffer) is { } frame)
                said.Add(new HeldFrame(i, frame));
        return said;
    }

    /// <summary>Source: says it again, from the container's own end.</summary>
    internal int Say(IReadOnlyList<HeldFrame> frames) => frames.Count(frame => _links[frame.Link].Inside?.TrySend(frame.Bytes) == true);

    /// <summary>Takes nothing in from now on.</summary>
    internal void Stop()
    {
        foreach (Held link in _links)
            link.Bridge.Stop();
    }

    /// <summary>Gives away what is held, oldest first for each interface. What does not fit is dropped.</summary>
    /// <param name="room">bytes</param>
    internal (IReadOnlyList<HeldFrame> Frames, long Dropped) Take(long room)
    {
        List<HeldFrame> frames = [];
        for (int i = 0; i < _links.Count; i++)
        {
            while (_links[i].Bridge.Receive(_buffer) is { } frame)
            {
                if (!Network.Frames.IsFor(frame.AsSpan(HeldFrame.HeaderLength), _links[i].Mac, _links[i].Addresses))
                    continue;
                room -= frame.Length;
                if (room < 0)
                    _dropped++;
                else
                    frames.Add(new HeldFrame(i, frame));
            }
            _dropped += _links[i].Bridge.TakeDropped();
        }
        long dropped = _dropped;
        _dropped = 0;
        return (frames, dropped);
    }

    public void Dispose()
    {
        foreach (Held link in _links)
        {
            link.Bridge.Dispose();
            link.HostEnd?.Dispose();
            link.Inside?.Dispose();
        }
    }
}
