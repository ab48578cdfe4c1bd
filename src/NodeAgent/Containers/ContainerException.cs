using Evacuator.Common.AgentApi;

namespace Evacuator.NodeAgent.Containers;

/// <summary>A container could not be read or removed; the blocker says why in words for an operator.</summary>
internal sealed class ContainerException(BlockerCode code, string text, Exception? cause = null) : Exception(text, cause)
{
    public Blocker Blocker { get; } = new(code, text);
}
