namespace Evacuator.NodeAgent.Containers;

/// <summary>
/// While it lives, the kernel moves processes between cgroups at once. Otherwise the first such move after a pause waits until every processor has
/// passed through the scheduler (an RCU grace period: 7 to 25 ms measured, 100 on a busy host), and CRIU moves each process that it restores.
/// </summary>
/// <remarks>
/// The kernel's lock cgroup_threadgroup_rwsem stays in the mode that favours movers for a grace period after each of them (kernel/rcu/sync.c). So one
/// that changes nothing, our own process into the cgroup that it is in, is made every few milliseconds. Forks and exits of the host cost a little more
/// meanwhile, which is why it ends by itself.
/// </remarks>
internal sealed class QuickCgroupMoves : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(2);
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(10);

    private readonly ManualResetEventSlim _stop = new(initialState: false);
    private readonly TimeProvider _time;
    private readonly string _own;

    private QuickCgroupMoves(string own, TimeProvider time) => (_own, _time) = (own, time);

    /// <summary>Begins, in the background.</summary>
    public static QuickCgroupMoves Begin(TimeProvider time, KernelPaths paths)
    {
        QuickCgroupMoves moves = new(OwnProcesses(paths), time);
        new Thread(moves.Run) { Name = "cgroup moves", IsBackground = true }.Start();
        return moves;
    }

    public void Dispose() => _stop.Set();

    private void Run()
    {
        string pid = Environment.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture);
        long start = _time.GetTimestamp();
        try
        {
            do
                File.WriteAllText(_own, pid);
            while (!_stop.Wait(Pause) && _time.GetElapsedTime(start) < Longest);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Refused: restores take the time that they take.
        }
    }

    /// <summary>"0::/system.slice/evacuator-agent.service" of /proc/self/cgroup, as the file that takes processes in.</summary>
    private static string OwnProcesses(KernelPaths paths)
    {
        string line = File.ReadLines(Path.Combine(paths.Proc, "self/cgroup")).FirstOrDefault(line => line.StartsWith("0::/", StringComparison.Ordinal)) ?? "0::/";
        return Path.Combine(paths.CgroupDirectory(line[3..]), "cgroup.procs");
    }
}
