namespace Evacuator.NodeAgent.Criu;

/// <summary>
/// Options for CRIU that runc has no flag for. CRIU reads $HOME/.criu/default.conf also when runc drives it, so a home directory of our
/// own reaches it without touching the administrator's /etc/criu.
/// </summary>
internal static class CriuConfiguration
{
    /// <param name="home">directory to become $HOME of runc and CRIU</param>
    /// <param name="canSkipNetworkLock">CRIU 4.2 or later: we cut the network ourselves, and its own lock costs two iptables children, 70 ms of a
    /// freeze (4.1.1 fails with this option)</param>
    public static void Write(string home, bool canSkipNetworkLock)
    {
        string directory = Path.Combine(home, ".criu");
        Directory.CreateDirectory(directory);
        File.WriteAllText(Path.Combine(directory, "default.conf"), canSkipNetworkLock ? "network-lock=skip\n" : "");
    }
}
