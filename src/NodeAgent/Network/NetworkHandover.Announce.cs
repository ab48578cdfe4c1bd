using Evacuator.NodeAgent.Containers;

namespace Evacuator.NodeAgent.Network;

internal sealed partial class NetworkHandover
{
    // After the first: a frame can be lost where a switch port is just learning, and stacks drop repeats that come faster than their timers.
    private static readonly TimeSpan[] Repeats = [TimeSpan.FromMilliseconds(50), TimeSpan.FromMilliseconds(150), TimeSpan.FromMilliseconds(800)];

    private static Announcer OpenAnnouncer(ContainerDescription container)
    {
        bool router = container.Sysctls.GetValueOrDefault("net/ipv6/conf/all/forwarding") == "1";
        using NetworkNamespace space = NetworkNamespace.Open(container.NetnsPath!);
        List<AnnouncedLink> links = [];
        try
        {
            space.Run(() =>
            {
                foreach (InterfaceDescription link in container.Interfaces)
                    links.Add(new AnnouncedLink(
                        link.Name, PacketSocket.Open(link.Index, listen: false), Announcer.FramesOf(link.Mac, AddressesOf(link), router)));
                return true;
            });
        }
        catch
        {
            new Announcer(container.Name, links).Dispose();
            throw;
        }
        return new Announcer(container.Name, links);
    }

    /// <summary>Sends at once and hands the repeats to a task that <see cref="DisposeAsync"/> waits for. Answers the frames sent at once.</summary>
    private int Announce(Announcer announcer)
    {
        (int sent, string? lost) = announcer.Send();
        if (lost is not null)
            LogAnnouncementLost(announcer.Container, lost);
        lock (_lock)
        {
            _announcements.RemoveAll(task => task.IsCompleted);
            if (!_disposed)
                _announcements.Add(RepeatAsync(announcer.Detach()));
        }
        return sent;
    }

    private async Task RepeatAsync(Announcer announcer)
    {
        using (announcer)
            foreach (TimeSpan pause in Repeats)
            {
                try
                {
                    await Task.Delay(pause, time, _stop.Token);
                }
                catch (OperationCanceledException)
                {
                    return;
                }
                if (announcer.Send().Lost is { } lost)
                    LogAnnouncementLost(announcer.Container, lost);
            }
    }
}
