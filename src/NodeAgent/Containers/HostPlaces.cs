namespace Evacuator.NodeAgent.Containers;

/// <summary>Which paths belong to the operating system of a host and so are never copied, replaced or removed with a container.</summary>
internal static class HostPlaces
{
    private static readonly string[] Systems =
    [
        "/bin", "/boot", "/dev", "/efi", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/lost+found", "/proc", "/sbin", "/sys", "/usr",
        "/root/.ssh", "/run/dbus", "/run/evacuator", "/run/evacuator-agent", "/run/lock", "/run/netns", "/run/runc", "/run/systemd", "/run/udev",
        "/var/lib/apt", "/var/lib/dpkg", "/var/lib/evacuator", "/var/lib/evacuator-agent", "/var/lib/systemd", "/var/run",
    ];

    // Directories that many share: nothing may take them as a whole.
    private static readonly string[] Shared = ["/var/backups", "/var/cache", "/var/lib", "/var/local", "/var/lock", "/var/log", "/var/mail", "/var/opt", "/var/spool", "/var/tmp", "/usr/local", "/run/user"];

    /// <summary>Inside of the operating system's own directories.</summary>
    internal static bool IsSystem(string path) => Systems.Any(place => IsWithin(path, place));

    /// <summary>A directory of the first level (/srv, /data), or one that many share: too wide to belong to one container.</summary>
    internal static bool IsTooWide(string path) => path.Count(c => c == '/') < 2 || Shared.Contains(path);

    internal static bool IsWithin(string path, string place) =>
        path.StartsWith(place, StringComparison.Ordinal) && (path.Length == place.Length || path[place.Length] == '/' || place == "/");

    /// <summary>Absolute, without //, /./, /../ and without an end slash: the only form in which paths can be compared.</summary>
    internal static bool IsPlain(string path) =>
        path.Length is > 1 and < 4096 && path[0] == '/' && !path.Contains('\0') && path[1..].Split('/').All(part => part is not ("" or "." or ".."));

    /// <summary>
    /// Whether a cgroup is one of systemd's own units (*.service, *.slice, init.scope, the root) rather than a container's. A scope may be a
    /// container's (runc with systemd makes those), and so may a plain directory below a unit.
    /// </summary>
    internal static bool IsUnitCgroup(string path)
    {
        string last = path[(path.LastIndexOf('/') + 1)..];
        return last.Length == 0 || last == "init.scope" || last.EndsWith(".service", StringComparison.Ordinal) || last.EndsWith(".slice", StringComparison.Ordinal)
            || last.EndsWith(".socket", StringComparison.Ordinal) || last.EndsWith(".mount", StringComparison.Ordinal) || last.EndsWith(".swap", StringComparison.Ordinal);
    }
}
