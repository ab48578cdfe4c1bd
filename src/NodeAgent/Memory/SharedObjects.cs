using System.Text;
using Evacuator.NodeAgent.Containers;

namespace Evacuator.NodeAgent.Memory;

/// <summary>
/// Bytes of memory that belong to no process alone: shared anonymous memory, memfds, SysV segments that are attached, and what lies in the container's own tmpfs mounts. CRIU
/// writes and restores all of it inside the freeze, whoever has mapped how much of it, and it may be written without any mapping; so it is what the kernel has allocated that counts.
/// </summary>
/// <remarks>Not seen: SysV segments that nobody has attached.</remarks>
internal sealed class SharedObjects
{
    private const int BlockBytes = 512;

    private readonly Dictionary<(uint Device, ulong Inode), SharedPlace> _objects = [];
    private readonly Dictionary<(uint Major, uint Minor), ulong> _tmpfs = [];

    private bool _sawMounts;

    /// <summary>What is mapped from a file in a tmpfs is that file's, and counts with its mount.</summary>
    public ulong Bytes =>
        _objects.Where(known => !_tmpfs.ContainsKey((known.Key.Device >> 20, known.Key.Device & 0xFFFFF))).Aggregate(0UL, (sum, known) => sum + known.Value.Bytes)
        + _tmpfs.Values.Aggregate(0UL, (sum, bytes) => sum + bytes);

    /// <summary>All that was seen but for the mounts, each once.</summary>
    public IReadOnlyCollection<SharedPlace> Places => _objects.Values;

    /// <summary>What stands behind a shared mapping, once for all who have it.</summary>
    public void AddMapped(int pid, MemoryMapping mapping)
    {
        if (_objects.ContainsKey((mapping.Device, mapping.Inode)))
            return;
        // The link leads to the object itself, also where no path does any more.
        string link = $"/proc/{pid}/map_files/{mapping.Start:x}-{mapping.End:x}";
        if (Interop.FileCalls.TryStat(link, out Interop.FileCalls.Statx file))
            Add(file, link);
    }

    /// <summary>memfds that are open, mapped or not.</summary>
    public void AddOpen(int pid)
    {
        foreach (string link in Names($"/proc/{pid}/fd"))
            // The name first: to ask a file of a file server for its attributes may take as long as that is away.
            if (Target(link)?.StartsWith("/memfd:", StringComparison.Ordinal) == true
                && Interop.FileCalls.TryStat(link, out Interop.FileCalls.Statx file) && file.Type == Interop.FileCalls.S_IFREG)
                Add(file, link);
    }

    /// <summary>The tmpfs mounts that a process sees; all processes of a container that can move see the same. Of one that is a part of another file system's, the host has the rest: it is not the container's.</summary>
    public void AddMounts(int pid)
    {
        if (_sawMounts)
            return;
        foreach (MountLine mount in Containers.ProcFiles.ParseMounts(Encoding.UTF8.GetString(ProcFiles.Read($"/proc/{pid}/mountinfo"))))
        {
            _sawMounts = true;
            if (mount.Type != "tmpfs" || mount.Root != "/" || _tmpfs.ContainsKey((mount.Major, mount.Minor)))
                continue;
            try
            {
                DriveInfo space = new($"/proc/{pid}/root{mount.Point}");
                _tmpfs[(mount.Major, mount.Minor)] = (ulong)Math.Max(0, space.TotalSize - space.TotalFreeSpace);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
            {
                // Unmounted since, or the process has ended.
            }
        }
    }

    private void Add(in Interop.FileCalls.Statx file, string link)
    {
        uint device = file.DevMajor << 20 | file.DevMinor;
        _objects[(device, file.Inode)] = new SharedPlace(device, file.Inode, file.Blocks512 * BlockBytes, link);
    }

    private static IEnumerable<string> Names(string directory)
    {
        try
        {
            return Directory.GetFileSystemEntries(directory);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    private static string? Target(string link)
    {
        try
        {
            return new FileInfo(link).LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
