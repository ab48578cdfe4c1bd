using System.Net;
using System.Net.Sockets;
using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Tests.Transfer;

public sealed class PeerConnectionTests : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

    public PeerConnectionTests() => _listener.Start();

    public void Dispose() => _listener.Dispose();

    [Fact]
    public async Task Write_PeerTakesNothing_Breaks()
    {
        await using Stream stream = await PeerConnection.OpenAsync(Peer, TimeSpan.FromMilliseconds(300), default);
        using Socket peer = await _listener.AcceptSocketAsync();
        byte[] piece = new byte[1 << 20];

        // Without a limit it waits for ever: the peer's kernel answers, its program does not.
        await Assert.ThrowsAsync<IOException>(async () =>
        {
            while (true)
                await stream.WriteAsync(piece);
        });
    }

    [Fact]
    public async Task Read_PeerThatAnswersLate_IsWaitedFor()
    {
        await using Stream stream = await PeerConnection.OpenAsync(Peer, PeerConnection.Patience, default);
        using Socket peer = await _listener.AcceptSocketAsync();
        await stream.WriteAsync(new byte[] { 1 });
        byte[] got = new byte[1];
        await peer.ReceiveAsync(got);
        await peer.SendAsync(got);

        await stream.ReadExactlyAsync(got);

        Assert.Equal(1, got[0]);
    }

    /// <summary>A destination that was out of reach in the freeze must not hear afterwards that the container is to be held there: it runs here again.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task TakeBack_ConnectionIsClosed_WhatThePeerHasNotIsNotSentAnyMore(bool isVoid)
    {
        Socket? socket = null;
        Stream stream = await PeerConnection.OpenAsync(Peer, PeerConnection.Patience, default, opened: made => socket = made);
        using Socket peer = await _listener.AcceptSocketAsync();
        socket!.Blocking = false;
        byte[] piece = new byte[16 * 1024];
        long said = 0, heard = 0;
        SocketError error;
        do
            said += socket.Send(piece, SocketFlags.None, out error);
        while (error == SocketError.Success);

        PeerConnection.TakeBack(socket, isVoid: true);
        PeerConnection.TakeBack(socket, isVoid);
        await stream.DisposeAsync();

        try
        {
            for (int got; (got = await peer.ReceiveAsync(piece)) > 0;)
                heard += got;
        }
        catch (SocketException)
        {
            // It was reset.
        }
        Assert.Equal(isVoid, heard < said);
    }

    /// <summary>What the kernel holds of a connection that may send nothing stands before a frozen container's pages, whoever gives way.</summary>
    [Fact]
    public async Task Write_PeerTakesNothing_LittleWaitsInTheKernel()
    {
        await using Stream stream = await PeerConnection.OpenAsync(Peer, TimeSpan.FromSeconds(1), default);
        using Socket peer = await _listener.AcceptSocketAsync();
        Socket socket = ((NetworkStream)stream).Socket;
        socket.Blocking = false;
        byte[] piece = new byte[16 * 1024];
        SocketError error;
        do
            socket.Send(piece, SocketFlags.None, out error);
        while (error == SocketError.Success);

        Assert.InRange(Unsent(socket), 1, 2 * PeerConnection.Unsent);
    }

    /// <summary>SIOCOUTQNSD of linux/sockios.h: not sent yet, as opposed to sent and not acknowledged.</summary>
    private static unsafe int Unsent(Socket socket)
    {
        int bytes = 0;
        Assert.Equal(0, IoControl((int)socket.Handle, 0x894B, &bytes));
        return bytes;
    }

    [System.Runtime.InteropServices.DllImport("libc", EntryPoint = "ioctl")]
    private static extern unsafe int IoControl(int descriptor, nuint request, int* argument);

    private DnsEndPoint Peer => new(IPAddress.Loopback.ToString(), ((IPEndPoint)_listener.LocalEndpoint).Port);
}
