using System.Net;

namespace Evacuator.NodeAgent.Network;

/// <summary>
/// Sockets in a container's namespace with the frames to send on them, opened before the link is up so that the announcement costs nothing
/// but the sending. Owns the sockets.
/// </summary>
internal sealed class Announcer(string container, IReadOnlyList<AnnouncedLink> links) : IDisposable
{
    private IReadOnlyList<AnnouncedLink>? _links = links;

    internal string Container { get; } = container;

    /// <summary>Sends all frames once. Answers how many went out and on which interface any did not.</summary>
    internal (int Sent, string? Lost) Send()
    {
        int sent = 0;
        string? lost = null;
        foreach (AnnouncedLink link in _links ?? [])
            foreach (byte[] frame in link.Frames)
                if (link.Socket.TrySend(frame))
                    sent++;
                else
                    lost = link.Name;
        return (sent, lost);
    }

    /// <summary>Gives the sockets away to one who announces on; this object is empty afterwards.</summary>
    internal Announcer Detach()
    {
        Announcer heir = new(Container, _links ?? []);
        _links = null;
        return heir;
    }

    public void Dispose()
    {
        foreach (AnnouncedLink link in _links ?? [])
            link.Socket.Dispose();
        _links = null;
    }

    /// <summary>All frames that announce an interface.</summary>
    internal static IReadOnlyList<byte[]> FramesOf(string mac, IEnumerable<IPAddress> addresses, bool router)
    {
        byte[] own = Netlink.RouteSocket.ParseMac(mac);
        List<byte[]> frames = [.. addresses.SelectMany(address => Frames.Announce(own, address, router))];
        return frames.Count > 0 ? frames : [Frames.AnnounceMac(own)];
    }
}

/// <summary>An interface and what to send on it.</summary>
internal sealed record AnnouncedLink(string Name, PacketSocket Socket, IReadOnlyList<byte[]> Frames);
