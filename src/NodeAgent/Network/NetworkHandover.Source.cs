using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Network.Netlink;

namespace Evacuator.NodeAgent.Network;

internal sealed partial class NetworkHandover
{
    /// <summary>Source: from the return on, no frame passes between the container and its bridges. Idempotent; well under 1 ms.</summary>
    /// <exception cref="NetworkException">an interface could not be cut off</exception>
    public void Disconnect(ContainerDescription container)
    {
        if (!HasOwnNetwork(container))
            return;
        foreach (InterfaceDescription link in container.Interfaces)
        {
            long start = time.GetTimestamp();
            OnHost(host =>
            {
                LinkInfo end = HostEnd(host, link);
                int errno = end.Port is null ? ENODEV : host.TrySetPortState(end.Index, RouteSocket.BR_STATE_DISABLED);
                if (errno == 0)
                    return;
                LogPortNotOurs(container.Name, end.Name, errno);
                host.SetUp(end.Index, up: false, end.Name);
            });
            LogDisconnected(container.Name, link.HostName ?? link.Name, (long)time.GetElapsedTime(start).TotalMicroseconds);
        }
    }

    /// <summary>Source, a move undone: frames pass again, and the container's addresses are announced. Idempotent.</summary>
    /// <remarks>The agent may have been restarted since the link was cut, so both ways of cutting it are undone.</remarks>
    /// <exception cref="NetworkException">an interface could not be put back</exception>
    public void Reconnect(ContainerDescription container)
    {
        if (!HasOwnNetwork(container))
            return;
        long start = time.GetTimestamp();
        using Announcer announcer = OpenAnnouncer(container);
        OnHost(host =>
        {
            foreach (InterfaceDescription link in container.Interfaces)
            {
                LinkInfo end = HostEnd(host, link);
                if (!end.Up)
                    host.SetUp(end.Index, up: true, end.Name);
                // EBUSY, as above: the state belongs to the kernel's STP, which restores it itself with the interface up.
                if (end.Port is not null)
                    host.TrySetPortState(end.Index, RouteSocket.BR_STATE_FORWARDING);
            }
        });
        LogConnected(container.Name, Announce(announcer), (long)time.GetElapsedTime(start).TotalMicroseconds);
    }

    /// <summary>
    /// Walks the code of the freeze without effect: run for the first time inside of it, compiling it took 13 ms of a disconnect that else
    /// takes 0.1, and 107 ms of a reconnect that else takes 0.6.
    /// </summary>
    private void Rehearse(ContainerDescription container)
    {
        if (!HasOwnNetwork(container) || container.NetworkFaults.Count > 0)
            return;
        const int nobody = int.MaxValue;
        using (OpenAnnouncer(container))
            OnHost(host =>
            {
                foreach (InterfaceDescription link in container.Interfaces)
                    HostEnd(host, link);
                host.TrySetPortState(nobody, RouteSocket.BR_STATE_FORWARDING);
            });
        new Announcer(container.Name, []).Send();
        RehearseHold(container);
    }

    private static LinkInfo HostEnd(RouteSocket host, InterfaceDescription link)
    {
        if (link.HostName is null)
            throw new NetworkException($"interface {link.Name} has no end on this host");
        LinkInfo? end = host.Link(link.HostName);
        if (end is null || end.Kind != "veth" || end.Mac != link.HostMac)
            throw new NetworkException(
                $"the host's end {link.HostName} of interface {link.Name} is {(end is null ? "gone" : "not the one that was found before")}", ENODEV,
                code: BlockerCode.NetworkNotExternal);
        return end;
    }
}
