using Evacuator.Common.AgentApi;

namespace Evacuator.NodeAgent.Host;

/// <summary>Shows from the kernel's own state that no container is left on this host. What cannot be looked at counts as left.</summary>
internal sealed class EmptinessProof(EmptinessOptions options, TimeProvider time)
{
    /// <param name="further">checks of others that belong to the proof, e.g. moves under way</param>
    public EmptinessReport Prove(params IReadOnlyList<EmptinessCheck> further) => throw new NotSupportedException($"{options} {time}");
}
