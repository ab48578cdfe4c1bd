using System.Globalization;
using System.Text;

namespace Evacuator.NodeAgent.Containers;

/// <summary>/proc/PID/stat: who a process is.</summary>
/// <param name="State">R, S, D, Z, T, t, X, I</param>
/// <param name="Flags">PF_* of the kernel</param>
/// <param name="StartTime">in clock ticks since boot</param>
internal readonly record struct ProcessStat(int Pid, string Name, char State, int Parent, uint Flags, int Threads, ulong StartTime)
{
    private const uint PF_KTHREAD = 0x00200000;

    public bool IsKernelThread => (Flags & PF_KTHREAD) != 0;

    public bool IsZombie => State is 'Z' or 'X';

    /// <summary>
    /// "4242 (a) name) S 1 4242 4242 0 -1 4194560 …": the name may hold anything, so the last bracket ends it. Then state (field 3), parent 4,
    /// flags 9, threads 20, start time 22.
    /// </summary>
    internal static bool TryParse(ReadOnlySpan<byte> line, out ProcessStat stat)
    {
        stat = default;
        int open = line.IndexOf((byte)'('), close = line.LastIndexOf((byte)')');
        if (open < 2 || close < open || close + 2 > line.Length || !int.TryParse(line[..(open - 1)], NumberStyles.None, CultureInfo.InvariantCulture, out int pid))
            return false;
        string name = Encoding.UTF8.GetString(line[(open + 1)..close]);
        string[] fields = Encoding.ASCII.GetString(line[(close + 2)..]).TrimEnd().Split(' ');
        if (fields.Length < 20 || fields[0].Length != 1
            || !int.TryParse(fields[1], NumberStyles.None, CultureInfo.InvariantCulture, out int parent)
            || !uint.TryParse(fields[6], NumberStyles.None, CultureInfo.InvariantCulture, out uint flags)
            || !int.TryParse(fields[17], NumberStyles.None, CultureInfo.InvariantCulture, out int threads)
            || !ulong.TryParse(fields[19], NumberStyles.None, CultureInfo.InvariantCulture, out ulong start))
            return false;
        stat = new ProcessStat(pid, name, fields[0][0], parent, flags, threads, start);
        return true;
    }
}
