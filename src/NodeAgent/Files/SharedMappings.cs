using System.Text;

namespace Evacuator.NodeAgent.Files;

/// <summary>Files that programs write through shared mappings: the kernel does not move their times with each write.</summary>
internal static class SharedMappings
{
    /// <summary>Paths of regular files that any of the processes has mapped shared and writable, as /proc shows them.</summary>
    public static IReadOnlyCollection<string> WritableFiles(IEnumerable<int> processes)
    {
        HashSet<string> files = [];
        foreach (int process in processes)
        {
            try
            {
                foreach (string line in File.ReadLines($"/proc/{process}/maps", Encoding.UTF8))
                    if (TryParse(line, out string? path))
                        files.Add(path!);
            }
            catch (IOException)
            {
                // It has ended.
            }
        }
        return files;
    }

    /// <summary>"7f0c5a000000-7f0c5a021000 rw-s 00000000 fe:00 1312 /var/lib/c/data": memfd, SysV and /dev/zero are memory, not files.</summary>
    public static bool TryParse(string line, out string? path)
    {
        path = null;
        string[] parts = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
        if (parts.Length < 6 || parts[1].Length < 4 || parts[1][1] != 'w' || parts[1][3] != 's')
            return false;
        string name = parts[5].Trim();
        if (!name.StartsWith('/') || name.EndsWith(" (deleted)") || name.StartsWith("/memfd:") || name.StartsWith("/SYSV") || name.StartsWith("/dev/"))
            return false;
        path = name;
        return true;
    }
}
