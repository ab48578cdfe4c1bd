using Evacuator.Common.Hosting;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.PageStore;

/// <summary>What systemd kept of one process that was still owed pages. The name is MOVE.VIRTUALPID.NUMBER; each descriptor's has its kind added.</summary>
internal sealed record KeptDescriptors(string Name, Guid MoveId, int VirtualPid, SafeFileHandle UserFault, SafeFileHandle Data, SafeFileHandle Table)
{
    public static IReadOnlyList<string> Kinds { get; } = ["uffd", "data", "table"];

    private const int First = 3; // SD_LISTEN_FDS_START

    /// <summary>Takes the descriptors that systemd handed to this process; whatever is incomplete or unknown is closed.</summary>
    /// <param name="count">$LISTEN_FDS</param>
    /// <param name="names">$LISTEN_FDNAMES</param>
    /// <param name="processId">$LISTEN_PID: they are meant for this process only</param>
    public static IReadOnlyList<KeptDescriptors> Take(string? count, string? names, string? processId)
    {
        if (!int.TryParse(count, out int descriptors) || names is null || processId != Environment.ProcessId.ToString())
            return [];
        Dictionary<string, Dictionary<string, SafeFileHandle>> found = [];
        string[] list = names.Split(':');
        for (int i = 0; i < descriptors; i++)
        {
            SafeFileHandle handle = new(First + i, ownsHandle: true);
            int dot = i < list.Length ? list[i].LastIndexOf('.') : -1;
            if (dot < 0)
            {
                handle.Dispose();
                continue;
            }
            if (!found.TryGetValue(list[i][..dot], out Dictionary<string, SafeFileHandle>? kinds))
                found[list[i][..dot]] = kinds = [];
            if (kinds.Remove(list[i][(dot + 1)..], out SafeFileHandle? twice))
                twice.Dispose();
            kinds[list[i][(dot + 1)..]] = handle;
        }
        List<KeptDescriptors> complete = [];
        foreach ((string name, Dictionary<string, SafeFileHandle> kinds) in found)
        {
            if (name.Split('.') is [var move, var pid, _] && Guid.TryParseExact(move, "N", out Guid id) && int.TryParse(pid, out int virtualPid)
                && kinds.TryGetValue("uffd", out SafeFileHandle? userFault) && kinds.TryGetValue("data", out SafeFileHandle? data) && kinds.TryGetValue("table", out SafeFileHandle? table))
                complete.Add(new KeptDescriptors(name, id, virtualPid, userFault, data, table));
            else
                foreach (SafeFileHandle handle in kinds.Values)
                    handle.Dispose();
        }
        return complete;
    }

    /// <summary>Lets go of them, here and in systemd's keeping.</summary>
    public void Drop(SystemdNotify systemd)
    {
        UserFault.Dispose();
        Data.Dispose();
        Table.Dispose();
        foreach (string kind in Kinds)
            systemd.RemoveDescriptor($"{Name}.{kind}");
    }
}
