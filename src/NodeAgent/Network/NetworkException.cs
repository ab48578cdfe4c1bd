using Evacuator.Common.AgentApi;

namespace Evacuator.NodeAgent.Network;

/// <summary>A network operation failed; the message says on which interface or namespace and what the kernel answered.</summary>
internal sealed class NetworkException(string text, int errno = 0, Exception? cause = null, BlockerCode code = BlockerCode.Unreadable)
    : Exception(text, cause)
{
    /// <summary>The kernel's errno; 0 if it was not the kernel who refused.</summary>
    public int Errno { get; } = errno;

    public Blocker Blocker { get; } = new(code, text);
}
