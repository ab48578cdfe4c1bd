using System.Net;
using System.Net.Sockets;
using System.Text;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Network;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Network;

/// <summary>Frames for a container that stands still, on two hosts made of namespaces.</summary>
public sealed class FrameHoldTests : IDisposable
{
    private const string Address = "10.77.0.7";
    private readonly NetworkLab _lab = Prerequisites.WhyNoRoot is null ? new NetworkLab() : null!;

    public void Dispose() => _lab?.Dispose();

    [RootFact]
    public async Task Datagrams_SentThroughoutTheHandover_AllArriveAtTheDestination()
    {
        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(_lab.Container(), default);
        ContainerDescription prepared = await _lab.Destination.Handover.PrepareAsync(_lab.AtDestination(captured), default);
        using Socket sender = Open(_lab.Source.Paths.HostNetns, bind: null), atSource = Open(captured.NetnsPath!, Address);
        Send(sender, "before");
        Assert.Equal("before", Receive(atSource));

        using FrameHold here = _lab.Source.Handover.Hold(captured, atSource: true)!;
        here.Start();
        _lab.Source.Handover.Disconnect(captured);
        Send(sender, "at the source");
        using FrameHold there = _lab.Destination.Handover.Hold(prepared, atSource: false)!;
        there.Start();
        Assert.True(there.Announce() > 0);
        Send(sender, "at the destination");
        (IReadOnlyList<HeldFrame> earlier, long dropped) = here.Take(1 << 20);
        Assert.Equal(0, dropped);
        Assert.NotEmpty(earlier);
        using Socket atDestination = Open(prepared.NetnsPath!, Address);
        _lab.Destination.Handover.Connect(prepared);
        there.Stop();
        HeldCount count = await _lab.Destination.Handover.DeliverAsync(prepared, earlier, there);
        Send(sender, "after");

        Assert.Equal(0, count.Dropped);
        // What both hosts have seen comes twice, which a network may do; nothing may be missing, and nothing come to the source any more.
        List<string> received = [];
        while (!received.Contains("after"))
            received.Add(Receive(atDestination));
        Assert.Equal(["at the source", "at the destination", "after"], received.Distinct());
        Assert.Equal(0, atSource.Available);
    }

    [RootFact]
    public async Task Datagrams_OfAHandoverThatIsUndone_GoBackToTheSource()
    {
        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(_lab.Container(), default);
        ContainerDescription prepared = await _lab.Destination.Handover.PrepareAsync(_lab.AtDestination(captured), default);
        using Socket sender = Open(_lab.Source.Paths.HostNetns, bind: null), container = Open(captured.NetnsPath!, Address);
        Send(sender, "before");
        Assert.Equal("before", Receive(container));
        using FrameHold here = _lab.Source.Handover.Hold(captured, atSource: true)!;
        here.Start();
        _lab.Source.Handover.Disconnect(captured);
        Send(sender, "at the source");
        using FrameHold there = _lab.Destination.Handover.Hold(prepared, atSource: false)!;
        there.Start();
        there.Announce();
        Send(sender, "at the destination");

        (IReadOnlyList<HeldFrame> returned, _) = there.Take(1 << 20);
        _lab.Source.Handover.Reconnect(captured);
        here.Stop();
        await _lab.Source.Handover.DeliverAsync(captured, [], here);
        await _lab.Source.Handover.DeliverAsync(captured, returned, hold: null);
        Send(sender, "after");

        HashSet<string> received = [];
        while (!received.Contains("after"))
            received.Add(Receive(container));
        Assert.Equal(["after", "at the destination", "at the source"], received.Order());
    }

    /// <summary>Between the cut and the standing still a program still answers: what it says then must not be lost with the link.</summary>
    [RootFact]
    public async Task LastWords_SaidAfterTheCut_GoOut()
    {
        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(_lab.Container(), default);
        using Socket asker = Open(_lab.Source.Paths.HostNetns, "10.77.0.1"), container = Open(captured.NetnsPath!, Address);
        Send(asker, "question");
        byte[] buffer = new byte[2048];
        EndPoint from = new IPEndPoint(IPAddress.Any, 0);
        int length = container.ReceiveFrom(buffer, ref from);
        using FrameHold hold = _lab.Source.Handover.Hold(captured, atSource: true)!;
        hold.Start();
        _lab.Source.Handover.Disconnect(captured);
        container.SendTo(buffer.AsSpan(0, length), from);
        Assert.Equal(0, asker.Available);

        Assert.True(_lab.Source.Handover.SendLastWords(captured, hold) >= 1);
        Assert.Equal("question", Receive(asker));
        Send(asker, "after");
        Assert.Equal(0, container.Available);
    }

    [RootFact]
    public async Task Datagrams_MoreThanThereIsRoomFor_AreCounted()
    {
        ContainerDescription captured = await _lab.Source.Handover.CaptureAsync(_lab.Container(), default);
        using Socket sender = Open(_lab.Source.Paths.HostNetns, bind: null), container = Open(captured.NetnsPath!, Address);
        Send(sender, "before");
        Assert.Equal("before", Receive(container));
        using FrameHold hold = _lab.Source.Handover.Hold(captured, atSource: true)!;
        hold.Start();
        _lab.Source.Handover.Disconnect(captured);
        for (int i = 0; i < 20; i++)
            Send(sender, new string('x', 1000));

        (IReadOnlyList<HeldFrame> frames, long dropped) = hold.Take(10_500);

        Assert.InRange(frames.Count, 8, 10);
        Assert.Equal(20, frames.Count + dropped);
        Assert.All(frames, frame => Assert.True(frame.IsUsable(1)));
        Assert.False(new HeldFrame(1, frames[0].Bytes).IsUsable(1));
        Assert.False(new HeldFrame(0, new byte[HeldFrame.MaxLength + 1]).IsUsable(1));
    }

    [Fact]
    public void UnreadDatagrams_OfTwoSockets_AreAddedUp() => Assert.Equal(0x300 + 0x2400, UnreadDatagrams.Parse(
        """
           sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
          517: 00000000:1B59 00000000:0000 07 00000000:00000300 00:00000000 00000000     0        0 26142 2 0000000000000000 0
          518: 00000000:1B5A 00000000:0000 07 00000100:00002400 00:00000000 00000000     0        0 26143 2 0000000000000000 0
        """));

    private static Socket Open(string space, string? bind)
    {
        using NetworkNamespace inside = NetworkNamespace.Open(space);
        Socket socket = inside.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp));
        socket.ReceiveTimeout = 10_000;
        if (bind is not null)
            socket.Bind(new IPEndPoint(IPAddress.Parse(bind), 7001));
        return socket;
    }

    private static void Send(Socket socket, string text) => socket.SendTo(Encoding.ASCII.GetBytes(text), new IPEndPoint(IPAddress.Parse(Address), 7001));

    private static string Receive(Socket socket)
    {
        byte[] buffer = new byte[2048];
        return Encoding.ASCII.GetString(buffer, 0, socket.Receive(buffer));
    }
}
