using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Network.Netlink;

namespace Evacuator.NodeAgent.Network;

// Frames held. While a container stands still, its link is cut at the source and not yet made at the destination:
//
//   source                                  destination
//   hold, cut, freeze
//   send what it said since the cut         hold, announce on the bridge: from here on its frames come to this host
//   hand over what was held       ───────▶
//                                           sockets exist: link up, announce; it runs: deliver what the source and then what this host held
//   undone: reconnect, deliver both ◀─────  forgotten: what was held goes back
internal sealed partial class NetworkHandover
{
    private const int LastWordsRoom = 1 << 20;

    /// <summary>A quarter of what a socket takes by default; then its reader gets the time to read.</summary>
    private const int DeliveryBurst = 64;

    private static readonly TimeSpan DeliveryPause = TimeSpan.FromMilliseconds(1);

    /// <summary>Opens what holds a container's frames; nothing is held before <see cref="FrameHold.Start"/>.</summary>
    /// <param name="atSource">what the container still says after its link was cut is heard too</param>
    /// <returns>null for a container without a network of its own</returns>
    /// <exception cref="NetworkException">the kernel refused, or an interface is not what it was</exception>
    public FrameHold? Hold(ContainerDescription container, bool atSource)
    {
        if (!HasOwnNetwork(container) || container.NetworkFaults.Count > 0)
            return null;
        bool router = container.Sysctls.GetValueOrDefault("net/ipv6/conf/all/forwarding") == "1";
        (int Bridge, int HostEnd)[] indexes = OnHost(host => container.Interfaces.Select(link => (BridgeOf(host, link).Index, HostEnd(host, link).Index)).ToArray());
        using NetworkNamespace own = NetworkNamespace.Open(_paths.HostNetns);
        using NetworkNamespace? inside = atSource ? NetworkNamespace.Open(container.NetnsPath!) : null;
        List<FrameHold.Held> links = [];
        try
        {
            own.Run(() =>
            {
                foreach ((InterfaceDescription link, (int bridge, int hostEnd)) in container.Interfaces.Zip(indexes))
                {
                    byte[] mac = RouteSocket.ParseMac(link.Mac);
                    FrameSocket held = FrameSocket.Open(bridge, FrameDirection.Passing, mac, FrameHold.Room);
                    links.Add(new FrameHold.Held(mac, [.. AddressesOf(link)], held, Announcer.FramesOf(link.Mac, AddressesOf(link), router)));
                    if (atSource)
                        links[^1] = links[^1] with { HostEnd = FrameSocket.Open(hostEnd, FrameDirection.Incoming, mac: null, LastWordsRoom) };
                }
                return true;
            });
            if (atSource)
                inside!.Run(() =>
                {
                    for (int i = 0; i < links.Count; i++)
                        links[i] = links[i] with { Inside = FrameSocket.Open(container.Interfaces[i].Index, FrameDirection.Send) };
                    return true;
                });
        }
        catch
        {
            new FrameHold(links).Dispose();
            throw;
        }
        return new FrameHold(links);
    }

    /// <summary>
    /// Source, when the container stands still: what it said between the cut of its link and now goes out, the usual way. Its ports are open for
    /// that moment; what comes in meanwhile is held all the same.
    /// </summary>
    /// <returns>frames that went out</returns>
    public int SendLastWords(ContainerDescription container, FrameHold hold)
    {
        IReadOnlyList<HeldFrame> said = hold.TakeLastWords();
        if (said.Count == 0)
            return 0;
        int sent = 0;
        OnHost(host =>
        {
            LinkInfo[] ends = [.. container.Interfaces.Select(link => HostEnd(host, link))];
            // Where the link was set down instead, nothing can go out any more.
            if (ends.All(end => host.TrySetPortState(end.Index, RouteSocket.BR_STATE_FORWARDING) == 0))
                sent = hold.Say(said);
        });
        Disconnect(container);
        return sent;
    }

    /// <summary>
    /// Delivers what came before and what is held, oldest first, to a container whose link is up and which runs: while it stands still its
    /// sockets have room for some 250 datagrams only.
    /// </summary>
    /// <param name="earlier">frames of the other host</param>
    /// <param name="hold">stopped</param>
    public async Task<HeldCount> DeliverAsync(ContainerDescription container, IReadOnlyList<HeldFrame> earlier, FrameHold? hold)
    {
        (IReadOnlyList<HeldFrame> held, long dropped) = hold?.Take(long.MaxValue) ?? ([], 0);
        HeldFrame[] frames = [.. earlier.Where(frame => frame.IsUsable(container.Interfaces.Count)), .. held];
        int delivered = frames.Length == 0 ? 0 : await DeliverAsync(container, frames);
        HeldCount count = new(delivered, dropped + earlier.Count + held.Count - delivered);
        if (count.Dropped > 0)
            LogFramesDropped(container.Name, count.Delivered, count.Dropped);
        else if (count.Delivered > 0)
            LogFramesDelivered(container.Name, count.Delivered);
        return count;
    }

    private async Task<int> DeliverAsync(ContainerDescription container, HeldFrame[] frames)
    {
        int[] ends = OnHost(host => container.Interfaces.Select(link => HostEnd(host, link).Index).ToArray());
        using NetworkNamespace own = NetworkNamespace.Open(_paths.HostNetns);
        List<FrameSocket> sockets = [];
        int delivered = 0;
        try
        {
            own.Run(() =>
            {
                foreach (int end in ends)
                    sockets.Add(FrameSocket.Open(end, FrameDirection.Send));
                return true;
            });
            for (int i = 0; i < frames.Length; i++)
            {
                // Sent by the host's end, which is to say received by the container's: no bridge learns anything from it.
                delivered += sockets[frames[i].Link].TrySend(frames[i].Bytes) ? 1 : 0;
                if (i % DeliveryBurst == DeliveryBurst - 1)
                    await Task.Delay(DeliveryPause, time);
            }
        }
        finally
        {
            foreach (FrameSocket socket in sockets)
                socket.Dispose();
        }
        return delivered;
    }

    private void RehearseHold(ContainerDescription container)
    {
        try
        {
            using FrameHold? hold = Hold(container, atSource: false);
            hold?.Say(hold.TakeLastWords());
            hold?.Stop();
            hold?.Take(0);
        }
        catch (NetworkException)
        {
            // Then it fails again when it matters, and is told there.
        }
    }

    private static LinkInfo BridgeOf(RouteSocket host, InterfaceDescription link) => host.Link(link.Bridge ?? "") ?? throw new NetworkException(
        $"there is no bridge {link.Bridge} on this host", ENODEV, code: Common.AgentApi.BlockerCode.BridgeMissing);
}
