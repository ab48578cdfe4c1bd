using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Fleet;

namespace Evacuator.Api;

/// <summary>
/// The interface for operators and their tools: HTTP with JSON over the unix socket, for root and the group evacuator. Refusals carry an
/// <see cref="ErrorReply"/>.
/// </summary>
/// <remarks>
/// <code>
/// GET    /v1/status                       NodeStatus
/// GET    /v1/plan                         PlanReply: what an evacuation would do now; nothing is done
/// POST   /v1/evacuations                  StartRequest → 202 StartReply; the same operation id again → 200 with the same evacuation
/// GET    /v1/evacuations?limit=N          EvacuationReport[], newest first
/// GET    /v1/evacuations/{id|last}        EvacuationReport
/// POST   /v1/evacuations/current/cancel?return=true|false   → 202 EvacuationReport; 409 when there is none or it is too late
/// POST   /v1/evacuations/current/retry    RetryRequest → 202; 409 with the reason when there is nothing to retry. The container is read anew
/// POST   /v1/rehearsals?container=NAME    → RehearsalState[] of that container or of all, after it has been done; 409 with the reason when it cannot be
/// GET    /v1/rehearsals                   RehearsalState[]: the last result of each container
/// POST   /v1/moves/settle                 SettleRequest → 200 SettleReply; 409 while the destination answers or its BMC says other than Off
/// POST   /v1/reopen                       → 200 ReopenReply; 409 while an evacuation is under way
/// GET    /v1/homecomings/plan?only=A&skip=B   HomecomingPlan: who would come home now; nothing is done
/// POST   /v1/homecomings                  ReturnRequest → 202 HomecomingState; the same operation id again → 200 with the same one; 409 also for a name that no container of this node has
/// GET    /v1/homecomings?limit=N          HomecomingState[], newest first
/// GET    /v1/homecomings/{id|last}        HomecomingState
/// POST   /v1/homecomings/current/cancel   → 202 HomecomingState; 409 when there is none
/// GET    /v1/windows                      MaintenanceWindow[]
/// POST   /v1/windows                      WindowRequest → 201 MaintenanceWindow; the same one again changes nothing; 409 if another has its name
/// DELETE /v1/windows/{name}               → 204
/// GET    /v1/windows/next?count=N         Occurrence[]
/// GET    /v1/notices?limit=N              NoticeEntry[], newest first
/// POST   /v1/notices/test                 → 202 Notice
/// GET    /v1/fleet                        FleetReply: who is out, who waits, as the fleet's store has it
/// DELETE /v1/fleet/slots/{node}           → 204: the place of a node that is gone is free again; 409 with the reason
/// GET    /v1/fleet/nodes                  AskedNodes: asks all nodes now whom they trust and who issued their certificates
/// POST   /v1/fleet                        RosterMessage → 200 RosterSpread: a signed list of nodes, taken and passed on; 409 if the authority did not sign it
/// POST   /v1/fleet/leave                  → 204: the node is closed and may leave the fleet; 409 with every reason against it
/// GET    /v1/config                       ConfigReply, secrets hidden
/// GET    /v1/signals                      SignalsReport
/// GET    /v1/bmc                          BmcReport
/// PUT    /v1/bmc/led                      LedRequest → 200 LedReply
/// </code>
/// </remarks>
internal static class ApiRoutes
{
    public const string SocketPath = "/run/evacuator/evacuator.sock";
    public const string Status = "/v1/status";
    public const string Plan = "/v1/plan";
    public const string Evacuations = "/v1/evacuations";
    public const string Cancel = "/v1/evacuations/current/cancel";
    public const string Settle = "/v1/moves/settle";
    public const string Retry = "/v1/evacuations/current/retry";
    public const string Rehearsals = "/v1/rehearsals";
    public const string Reopen = "/v1/reopen";
    public const string Homecomings = "/v1/homecomings";
    public const string Windows = "/v1/windows";
    public const string Notices = "/v1/notices";
    public const string Fleet = "/v1/fleet";
    public const string Leave = "/v1/fleet/leave";
    public const string Config = "/v1/config";
    public const string Signals = "/v1/signals";
    public const string Bmc = "/v1/bmc";
    public const string Led = "/v1/bmc/led";
}

internal sealed record StartRequest
{
    /// <summary>Chosen by the caller; the same one again is the same evacuation.</summary>
    public required Guid OperationId { get; init; }

    public required string Reason { get; init; }

    public string? Ticket { get; init; }

    public bool PowerOff { get; init; }

    /// <summary>For the whole; null: it may take as long as it takes.</summary>
    public int? DeadlineSeconds { get; init; }

    /// <summary>Move what fits although not all does; null: as the settings say.</summary>
    public bool? Partial { get; init; }

    /// <summary>Null: never forced.</summary>
    public int? ForceAfterSeconds { get; init; }

    /// <summary>The fleet's lock does not hold it up.</summary>
    public bool Force { get; init; }

    /// <summary>The host goes down in any case: what fits moves, and it is over after twice the time that it should take.</summary>
    public bool OnShutdown { get; init; }
}

internal sealed record ReturnRequest
{
    /// <summary>Chosen by the caller; the same one again is the same homecoming.</summary>
    public required Guid OperationId { get; init; }

    /// <summary>Only these; empty: all.</summary>
    public IReadOnlyList<string> Only { get; init; } = [];

    /// <summary>All but these.</summary>
    public IReadOnlyList<string> Skip { get; init; } = [];
}

internal sealed record RetryRequest(string Container);

/// <param name="SecondsLeft">of a shutdown: how long it should wait for the evacuation at most; null for any other</param>
internal sealed record StartReply(Guid Id, bool Existing, string Text, double? SecondsLeft = null);

internal sealed record NodeStatus
{
    public required string Node { get; init; }

    public required string Version { get; init; }

    /// <summary>Null while the node takes containers.</summary>
    public ClosedAdmission? Closed { get; init; }

    /// <summary>Null while the agent does not answer.</summary>
    public HostReport? Host { get; init; }

    /// <summary>Why the agent does not answer; empty when it does.</summary>
    public required string AgentProblem { get; init; }

    public DateTimeOffset AgentSince { get; init; }

    /// <summary>What a move needs and this host lacks.</summary>
    public required IReadOnlyList<Requirement> Missing { get; init; }

    public required IReadOnlyList<ContainerStatus> Containers { get; init; }

    /// <summary>What no move can take away, in words: with it this host would not be found empty. Empty also while the agent does not answer.</summary>
    public required IReadOnlyList<string> Obstacles { get; init; }

    /// <summary>What a closed node waits for before it reopens by itself; null: it is open, or only "evacuator reopen" opens it.</summary>
    public Waiting? Reopens { get; init; }

    /// <summary>Containers here that belong to other nodes.</summary>
    public IReadOnlyList<GuestStatus> Guests { get; init; } = [];

    /// <summary>Room held here for containers on their way.</summary>
    public IReadOnlyList<HeldRoom> Reservations { get; init; } = [];

    /// <summary>The homecoming that is under way, or the last one; null if there was none.</summary>
    public Homecoming.HomecomingState? Homecoming { get; init; }

    /// <summary>The evacuation that is under way; null if there is none.</summary>
    public EvacuationReport? Evacuation { get; init; }

    /// <summary>The last one that ended; null if there was none.</summary>
    public EvacuationReport? LastEvacuation { get; init; }

    public required IReadOnlyList<PeerStanding> Peers { get; init; }

    /// <summary>How this node itself stands in the fleet; null from a service of an older version.</summary>
    public Fleet.Membership.FleetStanding? Fleet { get; init; }

    public required BmcReport Bmc { get; init; }

    /// <summary>What the signals of the hardware mean; null from a service of an older version.</summary>
    public HealthSummary? Health { get; init; }

    /// <summary>Since when the locator LED is lit, as far as this node knows; null: it is not, or was not lit from here.</summary>
    public DateTimeOffset? LedLitSince { get; init; }

    /// <summary>Nodes whose power-off this node watches or has watched.</summary>
    public required IReadOnlyList<WatchedNode> Watches { get; init; }

    /// <summary>Things that a person has to know, such as a journal that is only in memory.</summary>
    public required IReadOnlyList<string> Notices { get; init; }
}

/// <summary>A container now, with what keeps it from moving.</summary>
internal sealed record ContainerStatus(
    string Name, string State, long MemoryBytes, int Processes, IReadOnlyList<string> Addresses, IReadOnlyList<Blocker> Blockers);

/// <summary>Room held for a container on its way here.</summary>
/// <param name="Since">the last news of it; without any for two minutes (ten, once it is complete) the room is free again</param>
internal sealed record HeldRoom(string Container, string From, long MemoryBytes, DestinationPhase Phase, DateTimeOffset Since);

/// <param name="Home">the node it belongs to</param>
/// <param name="From">the node that sent it here</param>
internal sealed record GuestStatus(string Name, string Home, string From, DateTimeOffset Since);

internal sealed record WatchedNode(string Node, Guid EvacuationId, Journal.WitnessPhase Phase, string Detail, DateTimeOffset Started, DateTimeOffset Until);

/// <summary>What is known of the own BMC.</summary>
/// <param name="Url">empty: there is none</param>
/// <param name="State">none, ok, cannot-tell or not-asked</param>
/// <param name="Detail">for a person</param>
/// <param name="Since">of this state</param>
/// <param name="PowerState">as read last</param>
/// <param name="Signals">what has failed or predicts it and no rule ignores, in words, each with what it means; the gravest first</param>
internal sealed record BmcReport(string Url, string State, string Detail, DateTimeOffset? Since, string? PowerState, IReadOnlyList<string> Signals);

/// <summary>The verdict in short; "evacuator signals" has the rest.</summary>
/// <param name="Since">of this verdict</param>
/// <param name="Does">what this node does about it</param>
/// <param name="AsksPerson">why it does not empty itself although it should be emptied; null when that is not so</param>
internal sealed record HealthSummary(Health.Verdict Verdict, string Why, DateTimeOffset Since, string Does, string? AsksPerson);

/// <param name="Led">what became of a locator LED that was lit from here; null if there was none</param>
internal sealed record ReopenReply(string? Led);

/// <summary>A person declares that the destination of a released container is off for good.</summary>
internal sealed record SettleRequest
{
    public required string Container { get; init; }

    /// <summary>The destination.</summary>
    public required string Gone { get; init; }

    /// <summary>Address of its management controller, which then has to say Off; null: the caller's word has to do.</summary>
    public string? BmcUrl { get; init; }

    /// <summary>SHA-256 of its certificate; null: the authority in [bmc] ca-file has to have signed it.</summary>
    public string? BmcFingerprint { get; init; }

    /// <summary>Account on it; null: this host's own.</summary>
    public string? BmcUser { get; init; }

    public string? BmcPassword { get; init; }

    /// <summary>The caller takes it upon himself that the host is off.</summary>
    public bool Unverified { get; init; }

    /// <summary>Only say whether it could be settled, as far as that host itself tells; nothing is done.</summary>
    public bool LookOnly { get; init; }
}

/// <param name="RunsHere">whether the container runs here now; false: it is lost, or not settled so far</param>
/// <param name="Text">what became of it</param>
internal sealed record SettleReply(bool RunsHere, string Text);

internal sealed record LedRequest(bool On);

internal sealed record LedReply(string Outcome);

/// <param name="Obstacles">what no move can take away, in words: with it this host would not be found empty</param>
internal sealed record PlanReply(Placement.Plan Plan, string Summary, IReadOnlyList<string> Obstacles);

internal sealed record ConfigReply(IReadOnlyList<Common.Configuration.ConfigurationValue> Values);
