using System.Net.Sockets;
using Evacuator.NodeAgent.Processes;
using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Files;

/// <summary>
/// Brings a directory tree of this host to the same state at the destination, by rsync through our own TLS connection: rsync dials a unix
/// socket of ours (RSYNC_CONNECT_PROG, socat), we join it to the peer. Can be repeated; each pass sends what changed since.
/// </summary>
/// <param name="urgent">a freeze elsewhere on this host, which passes over running containers give way to</param>
/// <param name="bandwidth">what such passes wait for, and others are charged to</param>
internal sealed class TreeSender(PeerClient peer, string workDirectory, Urgency urgent, Bandwidth bandwidth)
{
    private long _sent;
    private int _untaken;

    /// <summary>Bytes put on the wire so far, all passes.</summary>
    public long BytesSent => Interlocked.Read(ref _sent);

    /// <param name="index">position in the description's list of trees</param>
    /// <param name="path">absolute path of a directory, or of a single file</param>
    /// <param name="quiet">the container runs: files that vanish or change while they are read are no error (the next pass gets them)</param>
    /// <param name="byContent">compare contents, not times: a program that writes through a shared mapping does not move the time of each write</param>
    /// <exception cref="CommandException">rsync failed; the message holds its words</exception>
    public async Task CopyAsync(int index, string path, bool quiet, bool byContent, CancellationToken cancel)
    {
        string socketPath = Path.Combine(workDirectory, $"tree{index}.sock");
        File.Delete(socketPath);
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(socketPath));
        File.SetUnixFileMode(socketPath, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        listener.Listen(1);
        // Ends with the copy: linked to the caller's token only to be cut with it.
        using CancellationTokenSource joined = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        Task bridge = BridgeAsync(listener, index, quiet, joined.Token);
        try
        {
            string source = Directory.Exists(path) ? path.TrimEnd('/') + "/" : path;
            CommandResult result = await Command.RunAsync(
                "rsync",
                ["-aHAXS", "--numeric-ids", "--delete", "--inplace", "--whole-file", "--timeout=60", .. byContent ? (string[])["--checksum"] : [], source, $"rsync://peer/tree{index}/"],
                cancel,
                new Dictionary<string, string> { ["RSYNC_CONNECT_PROG"] = $"socat STDIO UNIX-CONNECT:{socketPath}", ["LC_ALL"] = "C" });
            // 23: some files could not be transferred; 24: some vanished. Normal while the container writes, an error once it is frozen.
            bool tolerated = quiet && result.ExitCode is 23 or 24;
            if (!result.Succeeded && !tolerated)
            {
                string cause = bridge.IsFaulted ? $"{bridge.Exception!.GetBaseException().Message}; " : "";
                throw new CommandException($"rsync of {path} ended with {result.ExitCode}: {cause}{result.Tail()}");
            }
        }
        finally
        {
            await joined.CancelAsync();
            try
            {
                await bridge;
            }
            catch (Exception e) when (e is OperationCanceledException or IOException or HttpRequestException or PeerRefusedException or SocketException)
            {
                // rsync's exit code and message say what matters.
            }
            File.Delete(socketPath);
        }
    }

    private async Task BridgeAsync(Socket listener, int index, bool giveWay, CancellationToken cancel)
    {
        using Socket local = await listener.AcceptAsync(cancel);
        await using NetworkStream left = new(local);
        await using Stream right = await peer.OpenTreeAsync(index, cancel);
        await Duplex.JoinAsync(
            left, left, () => local.Shutdown(SocketShutdown.Send),
            right, right, right.Dispose,
            async bytes =>
            {
                Interlocked.Add(ref _sent, bytes);
                if (!giveWay)
                {
                    bandwidth.Charge(bytes);
                    return;
                }
                // In pieces as large as those of memory, so that files get as much as that does.
                if ((_untaken += bytes) >= Bandwidth.Piece)
                {
                    await bandwidth.TakeAsync(_untaken, cancel);
                    _untaken = 0;
                }
                await urgent.GiveWayAsync(cancel);
            }, cancel);
    }
}
