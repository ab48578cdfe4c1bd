using Evacuator.Common.AgentApi;

namespace Evacuator.NodeAgent.Migration;

/// <summary>Known before anything was frozen: the container cannot move, or not there.</summary>
internal sealed class MoveRefusedException(IReadOnlyList<Blocker> blockers) : Exception(string.Join("; ", blockers.Select(blocker => blocker.Text)))
{
    public IReadOnlyList<Blocker> Blockers { get; } = blockers;
}
