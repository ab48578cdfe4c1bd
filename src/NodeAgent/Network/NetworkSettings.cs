namespace Evacuator.NodeAgent.Network;

/// <summary>
/// The settings below /proc/sys/net that belong to a network namespace. /proc/sys shows those of the reading thread's namespace, so these
/// run inside of <see cref="NetworkNamespace.Run"/>.
/// </summary>
internal static class NetworkSettings
{
    private const string Root = "/proc/sys";
    private const UnixFileMode Writable = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    // Actions and secrets: they are not states, or may not be copied by value.
    private static readonly string[] LeftOut = ["net/ipv4/route/flush", "net/ipv6/route/flush", "net/ipv4/tcp_fastopen_key"];

    /// <summary>All that can be written, by path below /proc/sys (net/ipv4/ip_forward), values trimmed.</summary>
    internal static Dictionary<string, string> Read()
    {
        Dictionary<string, string> settings = [];
        foreach (string file in Directory.EnumerateFiles($"{Root}/net", "*", SearchOption.AllDirectories))
        {
            string key = file[(Root.Length + 1)..];
            if (!LeftOut.Contains(key) && !key.StartsWith("net/unix/", StringComparison.Ordinal) && IsWritable(file) && TryRead(file, out string value))
                settings[key] = value;
        }
        return settings;
    }

    /// <summary>Writes those that differ, the general ones (all, default) before those of single interfaces. Answers what could not be written.</summary>
    internal static IReadOnlyList<string> Write(IReadOnlyDictionary<string, string> settings, Func<string, bool> wanted)
    {
        List<string> failed = [];
        foreach ((string key, string value) in settings.Where(s => wanted(s.Key)).OrderBy(s => s.Key.Contains("/all/") ? 0 : s.Key.Contains("/default/") ? 1 : 2))
        {
            string file = $"{Root}/{key}";
            if (!TryRead(file, out string present))
                failed.Add(key);
            else if (present != value && !TryWrite(file, value))
                failed.Add(key);
        }
        return failed;
    }

    /// <summary>The interface that a setting belongs to (net/ipv4/conf/eth0/…); null if to none, or to all or default.</summary>
    internal static string? InterfaceOf(string key)
    {
        string[] parts = key.Split('/');
        return parts.Length == 5 && parts[2] is "conf" or "neigh" && parts.Length == 5 && parts[3] is not ("all" or "default") ? parts[3] : null;
    }

    private static bool IsWritable(string file)
    {
        try
        {
            return (File.GetUnixFileMode(file) & Writable) == Writable;
        }
        catch (IOException)
        {
            // An interface that is being removed takes its settings along: a container beside the one that moves may just be leaving.
            return false;
        }
    }

    private static bool TryRead(string file, out string value)
    {
        value = "";
        try
        {
            value = File.ReadAllText(file).Trim();
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Some read as EIO while they are unset (stable_secret), some are for writing alone.
            return false;
        }
    }

    private static bool TryWrite(string file, string value)
    {
        try
        {
            File.WriteAllText(file, value);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
