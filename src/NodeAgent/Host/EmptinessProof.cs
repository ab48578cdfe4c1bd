using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;

namespace Evacuator.NodeAgent.Host;

/// <summary>
/// Shows that no container is left on this host. Each check looks at another trace that a container leaves in the kernel, so that one which
/// hides from the runtime's list still shows elsewhere. What cannot be looked at counts as left.
/// </summary>
internal sealed partial class EmptinessProof(EmptinessOptions options, TimeProvider time)
{
    // A report is read by people: this many examples, and the number of the rest.
    private const int Shown = 20;

    private readonly ProcFiles _proc = new(options.Paths.Proc);

    /// <param name="further">checks of others that belong to the proof, e.g. moves under way</param>
    public EmptinessReport Prove(params IReadOnlyList<EmptinessCheck> further) => Look(Leaving.Nothing, further);

    /// <summary>
    /// What no move can take away: the same looks, without the traces of the containers that are still to leave. Said before anything has moved, it spares a host
    /// that is emptied and then found not empty.
    /// </summary>
    public EmptinessReport ProveWithout(Leaving leaving) => Look(leaving, []);

    private EmptinessReport Look(Leaving leaving, IReadOnlyList<EmptinessCheck> further)
    {
        List<EmptinessCheck> checks =
        [
            Check("cgroups", left => CheckCgroups(left, leaving)),
            Check("processes", left => CheckProcesses(left, leaving)),
            Check("runtimes", left => CheckRuntimes(left, leaving)),
            Check("network-namespaces", left => CheckNetworkNamespaces(left, leaving)),
            Check("veths", left => CheckVeths(left, leaving)),
            Check("mounts", left => CheckMounts(left, leaving)),
            .. further,
        ];
        return new EmptinessReport(checks.All(check => check.Passed), time.GetUtcNow(), checks);
    }

    /// <summary>Runs one check: it adds what it finds left and answers how many things it looked at. A failure is something left.</summary>
    private static EmptinessCheck Check(string name, Func<List<string>, int> look)
    {
        List<string> left = [];
        int examined = 0;
        try
        {
            examined = look(left);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // Whatever went wrong, this was not looked at to its end, and unknown is not empty.
            left.Add($"could not be looked at: {e.Message}");
        }
        bool passed = left.Count == 0;
        if (left.Count > Shown)
            left = [.. left.Take(Shown), $"and {left.Count - Shown} more"];
        return new EmptinessCheck(name, passed, examined, left);
    }
}
