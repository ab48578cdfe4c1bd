using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.PageStore;

/// <summary>
/// What systemd kept of one process whose pages had arrived. All of its descriptors have the same name; which is which, and whose, they say themselves.
/// </summary>
/// <param name="UserFault">null until it is restored</param>
/// <param name="Data">null for a child that was forked before it was filled: it reads its parent's</param>
internal sealed record KeptDescriptors(string Name, Guid MoveId, int VirtualPid, SafeFileHandle? UserFault, SafeFileHandle? Data, SafeFileHandle Table)
{
    private const int First = 3; // SD_LISTEN_FDS_START

    /// <summary>Takes the descriptors that systemd handed to this process.</summary>
    /// <param name="count">$LISTEN_FDS</param>
    /// <param name="names">$LISTEN_FDNAMES</param>
    /// <param name="processId">$LISTEN_PID: they are meant for this process only</param>
    /// <returns>what is complete, and the names of all the rest, which nobody can use; of those nothing is open here any more</returns>
    public static (IReadOnlyList<KeptDescriptors> Kept, IReadOnlyList<string> Useless) Take(string? count, string? names, string? processId)
    {
        if (!int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out int descriptors) || names is null
            || processId != Environment.ProcessId.ToString(CultureInfo.InvariantCulture))
            return ([], []);
        string[] list = names.Split(':');
        return Sort(Enumerable.Range(0, descriptors).Select(i => (i < list.Length ? list[i] : "", new SafeFileHandle(First + i, ownsHandle: true))));
    }

    /// <inheritdoc cref="Take"/>
    internal static (IReadOnlyList<KeptDescriptors> Kept, IReadOnlyList<string> Useless) Sort(IEnumerable<(string Name, SafeFileHandle Handle)> descriptors)
    {
        List<KeptDescriptors> kept = [];
        List<string> rest = [];
        foreach (IGrouping<string, SafeFileHandle> process in descriptors.GroupBy(item => item.Name, item => item.Handle))
        {
            SafeFileHandle? userFault = null, data = null, table = null;
            bool strange = false;
            foreach (SafeFileHandle handle in process)
            {
                // "anon_inode:[userfaultfd]", "/memfd:evacuator-index-17 (deleted)"
                string link = new FileInfo($"/proc/self/fd/{(int)handle.DangerousGetHandle()}").LinkTarget ?? "";
                ref SafeFileHandle? place = ref data;
                if (link.Contains("[userfaultfd]", StringComparison.Ordinal))
                    place = ref userFault;
                else if (link.Contains($":{RegionTable.FileName}", StringComparison.Ordinal))
                    place = ref table;
                else
                    strange |= !link.Contains($":{ProcessPages.FileName}", StringComparison.Ordinal);
                strange |= place is not null;
                place ??= handle;
            }
            if (!strange && table is not null && RegionTable.ReadOwner(table) is { } owner && (userFault ?? data) is not null)
            {
                kept.Add(new KeptDescriptors(process.Key, owner.Move, owner.VirtualPid, userFault, data, table));
                continue;
            }
            rest.Add(process.Key);
            foreach (SafeFileHandle handle in process)
                handle.Dispose();
        }
        return (kept, rest);
    }

    /// <summary>Closes them here.</summary>
    public void Close()
    {
        UserFault?.Dispose();
        Data?.Dispose();
        Table.Dispose();
    }
}
