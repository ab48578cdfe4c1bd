using System.Globalization;

namespace Evacuator.NodeAgent.Containers;

/// <summary>A cgroup with its children, in cgroup2.</summary>
internal static class CgroupTree
{
    /// <summary>Processes of the cgroup and of all below it; empty if it is gone.</summary>
    internal static IReadOnlyList<int> Processes(string directory)
    {
        List<int> processes = [];
        foreach (string member in WithChildren(directory))
            if (ProcFiles.ReadText($"{member}/cgroup.procs") is { } text)
                foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
                    if (int.TryParse(line, NumberStyles.None, CultureInfo.InvariantCulture, out int pid))
                        processes.Add(pid);
        return processes;
    }

    /// <summary>The directory and all below it, parents first; what vanishes meanwhile is left out.</summary>
    internal static IReadOnlyList<string> WithChildren(string directory)
    {
        List<string> found = [];
        Stack<string> open = new([directory]);
        while (open.TryPop(out string? next))
        {
            try
            {
                string[] children = Directory.GetDirectories(next);
                found.Add(next);
                foreach (string child in children)
                    open.Push(child);
            }
            catch (DirectoryNotFoundException)
            {
            }
        }
        return found;
    }

    /// <summary>A flag of cgroup.events ("populated 1\nfrozen 0\n"); null if the cgroup is gone.</summary>
    internal static bool? Event(string directory, string name) => ProcFiles.ReadText($"{directory}/cgroup.events") is { } text ? ParseEvent(text, name) : null;

    internal static bool? ParseEvent(string text, string name)
    {
        foreach (ReadOnlySpan<char> line in text.AsSpan().EnumerateLines())
            if (line.Length == name.Length + 2 && line.StartsWith(name, StringComparison.Ordinal) && line[name.Length] == ' ')
                return line[^1] == '1';
        return null;
    }

    /// <summary>
    /// Waits until a flag of cgroup.events has a value. The kernel wakes poll(2) at every change, but holds a wake-up back for 10 ms after
    /// the last one (CGROUP_FILE_NOTIFY_MIN_INTV), so the flag is also looked at each millisecond.
    /// </summary>
    /// <returns>false when the time is over; null if the cgroup is gone</returns>
    internal static unsafe bool? WaitForEvent(string directory, string name, bool wanted, TimeSpan timeout, TimeProvider time, CancellationToken cancel)
    {
        long start = time.GetTimestamp();
        try
        {
            using FileStream file = new($"{directory}/cgroup.events", FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
            byte[] buffer = new byte[256];
            while (true)
            {
                int length = RandomAccess.Read(file.SafeFileHandle, buffer, 0);
                if (ParseEvent(System.Text.Encoding.ASCII.GetString(buffer, 0, length), name) == wanted)
                    return true;
                if (time.GetElapsedTime(start) >= timeout || cancel.IsCancellationRequested)
                    return false;
                Interop.FileCalls.PollFd poll = new() { Fd = (int)file.SafeFileHandle.DangerousGetHandle(), Events = Interop.FileCalls.POLLPRI };
                Interop.FileCalls.Poll(&poll, 1, 1);
            }
        }
        catch (IOException)
        {
            // ENOENT on open, ENODEV on a read: the cgroup was removed.
            return null;
        }
    }
}
