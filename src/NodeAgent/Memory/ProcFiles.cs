using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Memory;

/// <summary>Reading /proc: files without a length, of processes that may vanish at any moment.</summary>
internal static class ProcFiles
{
    /// <summary>The whole file, or nothing where the process is gone or the file may not be read.</summary>
    public static byte[] Read(string path)
    {
        byte[] buffer = [];
        int length = ReadInto(path, ref buffer, 16 * 1024);
        return length == buffer.Length ? buffer : buffer[..length];
    }

    /// <summary>Reads the file into a buffer that is kept between calls and grows as needed. Returns the bytes read, 0 where it cannot be read.</summary>
    public static int ReadInto(string path, ref byte[] buffer, int firstSize = 64 * 1024)
    {
        try
        {
            using SafeFileHandle file = File.OpenHandle(path);
            if (buffer.Length < firstSize)
                buffer = new byte[firstSize];
            int length = 0;
            while (true)
            {
                // seq_file answers at most a page per call here and there: only 0 means the end.
                int read = RandomAccess.Read(file, buffer.AsSpan(length), length);
                if (read == 0)
                    return length;
                length += read;
                if (length == buffer.Length)
                    Array.Resize(ref buffer, buffer.Length * 2);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }

    /// <summary>The process ids in a cgroup and all cgroups below it. A process that is in several lists while it moves is named once.</summary>
    public static SortedSet<int> ProcessesOfCgroup(string cgroupPath)
    {
        SortedSet<int> pids = [];
        Collect(cgroupPath);
        return pids;

        void Collect(string folder)
        {
            foreach (Range range in Lines(Read(Path.Combine(folder, "cgroup.procs")), out byte[] text))
                if (System.Buffers.Text.Utf8Parser.TryParse(text.AsSpan(range), out int pid, out _) && pid > 0)
                    pids.Add(pid);
            try
            {
                foreach (string child in Directory.EnumerateDirectories(folder))
                    Collect(child);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // The child cgroup was removed while we looked; it held no process then.
            }
        }

        static List<Range> Lines(byte[] bytes, out byte[] text)
        {
            text = bytes;
            List<Range> lines = [];
            foreach (Range range in bytes.AsSpan().Split((byte)'\n'))
                lines.Add(range);
            return lines;
        }
    }

    /// <summary>The thread ids of a process, the leader first; empty where it is gone.</summary>
    public static List<int> ThreadsOf(int pid)
    {
        List<int> threads = [];
        try
        {
            foreach (string folder in Directory.EnumerateDirectories($"/proc/{pid}/task"))
                if (int.TryParse(Path.GetFileName(folder), out int tid))
                    threads.Add(tid);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
        threads.Sort((a, b) => a == pid ? -1 : b == pid ? 1 : a.CompareTo(b));
        return threads;
    }
}
