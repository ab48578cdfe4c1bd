using System.Text.Json.Serialization;
using Evacuator.Common.AgentApi;
using Evacuator.Placement;

namespace Evacuator.Homecoming;

/// <summary>What a step of a homecoming does. Numbers are in the journal and are never reused.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<HomecomingStepKind>))]
internal enum HomecomingStepKind
{
    None = 0,

    /// <summary>A container that belongs elsewhere leaves this node, to its own home if that has room.</summary>
    MakeRoom = 1,

    /// <summary>A container of this node comes back.</summary>
    BringHome = 2,

    /// <summary>A container that had to wait at a third node is fetched by its own home, which has room now.</summary>
    SendHome = 3,
}

/// <summary>One move of the plan.</summary>
/// <param name="Number">from 1, in the order of the plan</param>
/// <param name="After">steps that have to be done first</param>
/// <param name="Why">in words, for people</param>
internal sealed record PlannedStep(int Number, HomecomingStepKind Kind, ContainerReport Container, string From, string To, IReadOnlyList<int> After, string Why);

/// <summary>A container that does not come home, and why.</summary>
/// <param name="At">where it is; empty if no node that was asked has it</param>
internal sealed record StayingAway(string Container, string At, IReadOnlyList<Blocker> Blockers);

/// <summary>Who comes home, in which order, and what has to make room for it: data, nothing has been done.</summary>
internal sealed record HomecomingPlan
{
    public required IReadOnlyList<PlannedStep> Steps { get; init; }

    public required IReadOnlyList<StayingAway> Staying { get; init; }

    /// <summary>Of those that were asked for by name, the ones that are at home already.</summary>
    public IReadOnlyList<string> AtHome { get; init; } = [];

    /// <summary>Of the names that were given, for or against, those that no container has; empty as long as a peer that could not be asked might have one.</summary>
    public IReadOnlyList<string> Unknown { get; init; } = [];

    /// <summary>Peers that could not be asked: what they have of this node is not known.</summary>
    public required IReadOnlyList<ExcludedPeer> NotAsked { get; init; }

    public int Coming => Steps.Count(step => step.Kind == HomecomingStepKind.BringHome);

    /// <summary>Everything of this node that is elsewhere, with where it is: "web (node2)".</summary>
    public IEnumerable<string> Away() =>
        Steps.Where(step => step.Kind == HomecomingStepKind.BringHome).Select(step => $"{step.Container.Name} ({step.From})")
            .Concat(Staying.Where(staying => staying.At.Length > 0).Select(staying => $"{staying.Container} ({staying.At})")).Order(StringComparer.Ordinal);

    /// <summary>Everything that is away and wanted comes home, and nobody was out of reach.</summary>
    public bool Complete => Staying.Count == 0 && NotAsked.Count == 0;
}

/// <summary>Where a container of this node is now.</summary>
internal sealed record AwayContainer(string At, ContainerReport Container);

/// <summary>What the planner knows.</summary>
internal sealed record HomecomingSituation
{
    public required string Home { get; init; }

    /// <summary>All nodes, this one included.</summary>
    public required IReadOnlyList<PeerView> Nodes { get; init; }

    /// <summary>Everything that runs on this node.</summary>
    public required IReadOnlyList<ContainerReport> Here { get; init; }

    /// <summary>Of those, the ones that belong elsewhere.</summary>
    public required IReadOnlyList<PresentGuest> Guests { get; init; }

    public required IReadOnlyList<AwayContainer> Away { get; init; }

    /// <summary>Names: nobody else comes; empty: all.</summary>
    public IReadOnlyList<string> Only { get; init; } = [];

    /// <summary>Names: all but these.</summary>
    public IReadOnlyList<string> Skip { get; init; } = [];

    public required IReadOnlyList<ExcludedPeer> NotAsked { get; init; }
}
