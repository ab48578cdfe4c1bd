namespace Evacuator.Common.AgentApi;

/// <summary>
/// A brain tells its own agent that a container may arrive. The agent checks for real whether it could take it, reserves the room, and
/// from then on accepts exactly one move with this token. POST /v1/inbound.
/// </summary>
public sealed record InboundRequest
{
    public required Guid MoveId { get; init; }

    /// <summary>One-time secret, at least 32 random bytes in hex; the source agent has to show it.</summary>
    public required string Token { get; init; }

    /// <summary>Name of the node whose agent may use the token.</summary>
    public required string SourceNode { get; init; }

    /// <summary>The container as the source's agent reported it.</summary>
    public required ContainerReport Container { get; init; }

    /// <summary>The reservation is dropped after this many seconds without news of the move.</summary>
    public required int LeaseSeconds { get; init; }
}

/// <summary>The agent's answer: accepted with the room reserved, or every reason against it.</summary>
public sealed record InboundReply(bool Accepted, IReadOnlyList<Blocker> Blockers);
