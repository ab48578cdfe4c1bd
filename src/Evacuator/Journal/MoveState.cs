using Evacuator.Common.AgentApi;

namespace Evacuator.Journal;

/// <summary>The move of one container in one evacuation, as the journal keeps it. Changed only by <see cref="MoveMachine.Step"/>.</summary>
internal sealed record MoveState
{
    public required Guid EvacuationId { get; init; }

    /// <summary>The container as the agent reported it when the plan was made; what destinations are asked with.</summary>
    public required ContainerReport Container { get; init; }

    /// <summary>Place in the order of departure, from 0.</summary>
    public required int Order { get; init; }

    public required MovePhase Phase { get; init; }

    /// <summary>Of the present attempt; a new one for each destination, so that a late answer of an old one cannot be mistaken.</summary>
    public Guid MoveId { get; init; }

    /// <summary>Where it goes; null when blocked.</summary>
    public string? Destination { get; init; }

    /// <summary>How it goes, or went: live, unless its owner permits to stop it.</summary>
    public MoveMode Mode { get; init; } = MoveMode.Live;

    /// <summary>True: there or nowhere. False: another peer will do if that one does not take it.</summary>
    public bool Bound { get; init; }

    /// <summary>Earlier tries that ended here again, oldest first: how it was tried, where to, and why it stayed.</summary>
    public IReadOnlyList<Rung> Rungs { get; init; } = [];

    /// <summary>The time for the whole was over while it was under way: it was called back.</summary>
    public bool Late { get; init; }

    /// <summary>Since when the container stands still and waits for its destination's answer; null: it does not. Absent in journals of older versions.</summary>
    public DateTimeOffset? Released { get; init; }

    /// <summary>Proof towards the destination's agent that the move was announced; kept until the move ends.</summary>
    public string? Token { get; init; }

    /// <summary>Destinations that did not take it, oldest first.</summary>
    public IReadOnlyList<Attempt> Attempts { get; init; } = [];

    /// <summary>Why it cannot or did not move.</summary>
    public IReadOnlyList<Blocker> Blockers { get; init; } = [];

    /// <summary>Why it stayed, in words; empty when all goes well.</summary>
    public string Detail { get; init; } = "";

    /// <summary>The agent's last word.</summary>
    public MoveReport? Last { get; init; }

    public DateTimeOffset? Started { get; init; }

    public DateTimeOffset? Ended { get; init; }

    public string Name => Container.Name;
}

/// <summary>A destination that did not take a container, and why.</summary>
internal sealed record Attempt(string Peer, IReadOnlyList<Blocker> Blockers);

/// <summary>A step of the ladder that did not hold.</summary>
internal sealed record Rung(MoveMode Mode, string Peer, string Detail, double? FreezeMs);
