using System.Globalization;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// How soon this program gets a processor. Its threads go first while a container stands still for it, and are like all others otherwise: what is copied
/// ahead must not take the processors from the containers.
/// </summary>
/// <remarks>
/// Both numbers are needed: where no cgroup divides the processors, the kernel weighs sessions against each other by /proc/PID/autogroup and threads only within
/// one. Threads that chose a niceness of their own keep it, and the runtime's compiler gets the last: what it makes is needed next time. A refusal
/// only makes freezes longer.
/// </remarks>
internal sealed class AgentPriority
{
    public const int Ordinary = 0, Urgent = -15, Last = 19;

    /// <summary>The name of the runtime's thread that compiles methods again which are called often; the kernel keeps 15 letters.</summary>
    private const string Compiler = ".NET Tiered Com";

    private const int MaxPasses = 4;
    private const string Autogroup = "/proc/self/autogroup";

    public void Raise() => Change(Ordinary, Urgent);

    public void Lower() => Change(Urgent, Ordinary);

    private static void Change(int from, int to)
    {
        try
        {
            // A thread that one not yet changed has started meanwhile is not in the list, and has that one's niceness.
            for (int pass = 0; pass < MaxPasses && ChangeAll(from, to); pass++)
            {
            }
            File.WriteAllText(Autogroup, to.ToString(CultureInfo.InvariantCulture));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A kernel without autogroups, or one that finds that it was asked too often; no descriptor left for the list.
        }
    }

    /// <returns>whether there was anything to change</returns>
    private static bool ChangeAll(int from, int to)
    {
        bool changed = false;
        foreach (string thread in Directory.EnumerateDirectories("/proc/self/task"))
        {
            int id = int.Parse(Path.GetFileName(thread.AsSpan()), CultureInfo.InvariantCulture);
            if (Interop.GetNiceness(id) == from)
                changed |= Interop.SetNiceness(id, IsCompiler(thread) ? Last : to) == 0;
        }
        return changed;
    }

    private static bool IsCompiler(string thread)
    {
        try
        {
            return File.ReadAllText(Path.Combine(thread, "comm")).StartsWith(Compiler, StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It has ended.
            return false;
        }
    }
}
