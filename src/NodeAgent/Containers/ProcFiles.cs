using System.Globalization;
using System.Text;

namespace Evacuator.NodeAgent.Containers;

/// <summary>Reads of /proc that expect processes to end at any moment: what is gone reads as null.</summary>
internal sealed class ProcFiles(string root)
{
    internal string Root { get; } = root;

    internal IEnumerable<int> Processes()
    {
        foreach (string directory in Directory.EnumerateDirectories(Root))
            if (int.TryParse(Path.GetFileName(directory.AsSpan()), NumberStyles.None, CultureInfo.InvariantCulture, out int pid))
                yield return pid;
    }

    internal ProcessStat? Stat(int pid) => ReadBytes($"{Root}/{pid}/stat") is { } line && ProcessStat.TryParse(line, out ProcessStat stat) ? stat : null;

    /// <summary>A line "Name:\tvalue" of /proc/PID/status, smaps_rollup and the like; null without it.</summary>
    internal static string? Field(string text, string name)
    {
        foreach (ReadOnlySpan<char> line in text.AsSpan().EnumerateLines())
            if (line.Length > name.Length && line[name.Length] == ':' && line.StartsWith(name, StringComparison.Ordinal))
                return line[(name.Length + 1)..].Trim().ToString();
        return null;
    }

    /// <summary>Bytes of memory that belong to a process, pages of files counted by their share, and without shared memory. Zero for one that is gone or a zombie.</summary>
    internal long ProportionalMemory(int pid) =>
        ReadText($"{Root}/{pid}/smaps_rollup") is { } text ? Math.Max(0, Kilobytes(text, "Pss") - Kilobytes(text, "Pss_Shmem")) * 1024 : 0;

    private static long Kilobytes(string text, string name) =>
        Field(text, name) is { } field && long.TryParse(field.AsSpan(0, Math.Max(0, field.IndexOf(' '))), NumberStyles.None, CultureInfo.InvariantCulture, out long kib) ? kib : 0;

    internal IReadOnlyList<MountLine>? Mounts(int pid) => ReadText($"{Root}/{pid}/mountinfo") is { } text ? ParseMounts(text) : null;

    internal static IReadOnlyList<MountLine> ParseMounts(string text)
    {
        List<MountLine> mounts = [];
        foreach (string line in text.Split('\n'))
            if (MountLine.TryParse(line, out MountLine mount))
                mounts.Add(mount);
        return mounts;
    }

    /// <summary>The path in "0::/path" of /proc/PID/cgroup: where the process is in cgroup2.</summary>
    internal string? Cgroup(int pid) => ReadText($"{Root}/{pid}/cgroup") is { } text ? ParseCgroup(text) : null;

    internal static string? ParseCgroup(string text) =>
        text.Split('\n').FirstOrDefault(line => line.StartsWith("0::", StringComparison.Ordinal))?[3..].Replace(" (deleted)", "", StringComparison.Ordinal);

    /// <summary>Where a link of /proc points, e.g. net:[4026531840] for ns/net.</summary>
    internal string? Link(int pid, string name)
    {
        try
        {
            return new FileInfo($"{Root}/{pid}/{name}").LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    internal static string? ReadText(string path) => ReadBytes(path) is { } bytes ? Encoding.UTF8.GetString(bytes) : null;

    /// <summary>Files of /proc have no length; null if it is gone or closed to us.</summary>
    internal static byte[]? ReadBytes(string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // ENOENT and ESRCH: it ended. EACCES: not ours; the caller knows whether that matters.
            return null;
        }
    }
}
