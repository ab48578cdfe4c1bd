using System.Text.Json.Serialization;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Placement;

namespace Evacuator.Homecoming;

/// <summary>Where a homecoming stands. Numbers are in the journal and are never reused.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<HomecomingPhase>))]
internal enum HomecomingPhase
{
    None = 0,

    /// <summary>The peers are asked what they have of this node.</summary>
    Planning = 1,

    /// <summary>Containers are on their way.</summary>
    Moving = 2,

    /// <summary>End: everything that was wanted runs here.</summary>
    Done = 3,

    /// <summary>End: some came home; the others run where they were, for the reasons given.</summary>
    Partial = 4,

    /// <summary>End: none came home.</summary>
    Failed = 5,

    /// <summary>No new step begins; those before their release are undone.</summary>
    Cancelling = 6,

    /// <summary>End: stopped by a person, or because this node is to be emptied again.</summary>
    Cancelled = 7,
}

/// <summary>Where one step stands. Numbers are in the journal and are never reused.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<HomecomingStepPhase>))]
internal enum HomecomingStepPhase
{
    None = 0,
    Waiting = 1,

    /// <summary>Asked for; the source may have been told.</summary>
    Moving = 2,

    /// <summary>End: done, as the source said and, for what comes home, as this node's own agent sees.</summary>
    Done = 3,

    /// <summary>End: it runs where it was.</summary>
    Failed = 4,

    /// <summary>End: never begun, because of another step or a cancellation.</summary>
    Skipped = 5,

    /// <summary>End: nobody can say how it ended. A person has to look.</summary>
    Unknown = 6,
}

/// <summary>One bringing home of this node's containers, as the journal keeps it. Changed only by <see cref="HomecomingMachine.Step"/>.</summary>
internal sealed record HomecomingState
{
    /// <summary>Chosen by whoever asked; the same one again is the same homecoming.</summary>
    public required Guid Id { get; init; }

    public required string Node { get; init; }

    public required string RequestedBy { get; init; }

    /// <summary>Only these; empty: all.</summary>
    public IReadOnlyList<string> Only { get; init; } = [];

    /// <summary>All but these.</summary>
    public IReadOnlyList<string> Skip { get; init; } = [];

    public required HomecomingPhase Phase { get; init; }

    public required DateTimeOffset Started { get; init; }

    public DateTimeOffset? Ended { get; init; }

    public IReadOnlyList<HomecomingStep> Steps { get; init; } = [];

    public IReadOnlyList<StayingAway> Staying { get; init; } = [];

    public IReadOnlyList<ExcludedPeer> NotAsked { get; init; } = [];

    public string? CancelledBy { get; init; }

    /// <summary>Why it ended short, in words; empty otherwise.</summary>
    public string Problem { get; init; } = "";
}

internal sealed record HomecomingStep
{
    public required PlannedStep Plan { get; init; }

    public required HomecomingStepPhase Phase { get; init; }

    /// <summary>Id of the request to the source; journaled before it is sent, so that it is asked once however often.</summary>
    public Guid RequestId { get; init; }

    /// <summary>The source's last word.</summary>
    public ContainerMove? Move { get; init; }

    /// <summary>Why it did not end well, or what it waits for.</summary>
    public string Detail { get; init; } = "";

    public DateTimeOffset? Ended { get; init; }
}

internal static class HomecomingPhases
{
    public static bool IsEnd(this HomecomingPhase phase) => phase is HomecomingPhase.Done or HomecomingPhase.Partial or HomecomingPhase.Failed or HomecomingPhase.Cancelled;

    public static bool IsEnd(this HomecomingStepPhase phase) => phase is not (HomecomingStepPhase.None or HomecomingStepPhase.Waiting or HomecomingStepPhase.Moving);
}
