using System.Diagnostics;
using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Files;

/// <summary>The other end of <see cref="TreeSender"/>: an rsync server locked (chroot) into the one directory that the move reserved, so that a
/// hostile source can write nowhere else.</summary>
internal static class TreeReceiver
{
    /// <param name="index">position in the description's list of trees</param>
    /// <param name="target">directory to fill; it exists</param>
    /// <param name="workDirectory">of the move, for rsync's configuration</param>
    /// <param name="news">told whenever something has arrived</param>
    public static async Task ServeAsync(Stream peer, int index, string target, string workDirectory, Action news, CancellationToken cancel)
    {
        string configuration = Path.Combine(workDirectory, $"tree{index}.rsyncd.conf");
        await File.WriteAllTextAsync(configuration, Configuration(index, target), cancel);
        using Process server = new()
        {
            StartInfo = new ProcessStartInfo("rsync", ["--server", "--daemon", $"--config={configuration}", "."])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                WorkingDirectory = "/",
            },
        };
        server.Start();
        Task<string> errors = server.StandardError.ReadToEndAsync(cancel);
        try
        {
            await Duplex.JoinAsync(
                peer, peer, peer.Dispose,
                server.StandardOutput.BaseStream, server.StandardInput.BaseStream, server.StandardInput.Close,
                count: _ =>
                {
                    news();
                    return ValueTask.CompletedTask;
                },
                cancel);
            await server.WaitForExitAsync(cancel);
            await errors;
        }
        finally
        {
            if (!server.HasExited)
                server.Kill(entireProcessTree: true);
        }
    }

    // A newline in a path would be a second setting: such paths are refused when the move is offered.
    private static string Configuration(int index, string target) =>
        $"""
        use chroot = yes
        numeric ids = yes
        munge symlinks = no
        log file = /dev/null
        uid = 0
        gid = 0
        list = no
        timeout = 120
        [tree{index}]
        path = {target}
        read only = no

        """;
}
