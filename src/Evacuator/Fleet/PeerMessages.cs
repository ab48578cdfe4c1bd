using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;

namespace Evacuator.Fleet;

/// <summary>
/// The interface between brains: HTTP with JSON over mutual TLS, brain certificates of this fleet only. Every request carries the header
/// Evacuator-Protocol; see <see cref="Common.Fleet.ProtocolVersions"/>.
/// </summary>
/// <remarks>
/// <code>
/// GET    /v1/capacity                 PeerCapacity
/// POST   /v1/reservations             ReservationRequest → 200 ReservationReply (accepted or not); the same move id again → the same answer
/// GET    /v1/reservations/{moveId}    InboundReport; 404 if unknown
/// DELETE /v1/reservations/{moveId}    → 204; 409 once the move is past Ready
/// POST   /v1/witness                  WitnessRequest → 200 WitnessReply
/// GET    /v1/witness/{evacuationId}   WitnessStatus, of the calling node's own evacuation
/// DELETE /v1/witness/{evacuationId}   → 204: the node stays on after all
/// GET    /v1/guests                   GuestReport[]: containers here that belong to the caller
/// POST   /v1/departures               DepartureRequest → 200 DepartureAnswer (accepted or not); the same id again → the same departure
/// GET    /v1/departures/{id}          DepartureReport, of the caller's own request; 404 if unknown
/// DELETE /v1/departures/{id}          → 200 DepartureReport: stops where it can; 404 if unknown
/// POST   /v1/lock                     LockRequest → 200 LockReply: who else is being emptied; notes that the caller asks or is
/// DELETE /v1/lock/{evacuationId}      → 204
/// PUT    /v1/journal-copy             JournalCopy → 204: the caller's disk cannot be written, its journal is kept here
/// GET    /v1/journal-copy             JournalCopy, the caller's own; 404 if there is none
/// GET    /v1/fleet                    RosterMessage: the signed list of nodes that this node has; 404 if it has none. Since version 2, as the next
/// PUT    /v1/fleet                    RosterMessage → 204: taken if its authority signed it and it is newer; 400 if it did not
/// POST   /v1/homecomings              HomecomingInvitation → 204: this node brings these home now; 409 if it cannot
/// </code>
/// </remarks>
internal static class PeerRoutes
{
    public const string Capacity = "/v1/capacity";
    public const string Reservations = "/v1/reservations";
    public const string Witness = "/v1/witness";
    public const string Guests = "/v1/guests";
    public const string Departures = "/v1/departures";
    public const string Homecomings = "/v1/homecomings";
    public const string Lock = "/v1/lock";
    public const string JournalCopy = "/v1/journal-copy";
    public const string Fleet = "/v1/fleet";
}

/// <summary>What a node says about itself to a node that looks for room.</summary>
internal sealed record PeerCapacity
{
    public required string Node { get; init; }

    public required string Version { get; init; }

    /// <summary>Null when its own agent does not answer it.</summary>
    public HostReport? Host { get; init; }

    /// <summary>Why it takes nothing, in words; null when it does.</summary>
    public string? Closed { get; init; }

    /// <summary>It is about to empty itself by its signals, and asks the fleet just now; see <see cref="Health.FleetShare"/>.</summary>
    public bool Intends { get; init; }

    /// <summary>Groups (annotation evacuator.spread) that have a member there.</summary>
    public required IReadOnlyList<string> SpreadGroups { get; init; }

    /// <summary>Zone and rack that it stands in; empty: not told.</summary>
    public string Zone { get; init; } = "";

    public string Rack { get; init; } = "";

    /// <summary>Names of its containers.</summary>
    public IReadOnlyList<string> ContainerNames { get; init; } = [];

    /// <summary>Addresses of its containers, without prefix length.</summary>
    public IReadOnlyList<string> ContainerAddresses { get; init; } = [];

    /// <summary>What its own hardware reports, in words; null when its BMC reports nothing, or there is none.</summary>
    public string? Degraded { get; init; }

    /// <summary>When its next maintenance window begins; null when none is planned.</summary>
    public DateTimeOffset? NextWindow { get; init; }

    /// <summary>Of the signed list of nodes that it has; null when it has none.</summary>
    public long? FleetNumber { get; init; }

    /// <summary>Fingerprint of the authority that has issued its brain's certificate; null from a release that does not tell. Its agent's is in <see cref="Host"/>.</summary>
    public string? CertificateBy { get; init; }

    /// <summary>Fingerprints of the authorities that its brain trusts, newest first; null from a release that does not tell.</summary>
    public IReadOnlyList<string>? Authorities { get; init; }
}

/// <param name="Text">a signed list, as it is (<see cref="Common.Fleet.SignedRoster"/>)</param>
internal sealed record RosterMessage(string Text);

/// <param name="Home">where the container comes from at first and belongs when all is well; null from a node that does not know yet: the sender</param>
internal sealed record ReservationRequest(Guid MoveId, Guid EvacuationId, ContainerReport Container, string? Home = null);

/// <param name="Token">for the source's agent to show to the destination's; null when refused</param>
internal sealed record ReservationReply(bool Accepted, string? Token, IReadOnlyList<Blocker> Blockers);

/// <summary>Asks a peer to watch the sender's BMC until the host is off.</summary>
internal sealed record WitnessRequest
{
    public required Guid EvacuationId { get; init; }

    public required BmcAccess Bmc { get; init; }

    /// <summary>How long to look before a person is asked.</summary>
    public required int TimeoutSeconds { get; init; }

    /// <summary>After how long the power may be forced off; null: never.</summary>
    public int? ForceAfterSeconds { get; init; }

    /// <summary>The report so far, for whoever asks while the node is off.</summary>
    public required EvacuationReport Report { get; init; }
}

/// <summary>What is needed to reach a BMC and to know that it is the right one.</summary>
internal sealed record BmcAccess
{
    public required string Url { get; init; }

    public required string User { get; init; }

    public required string Password { get; init; }

    /// <summary>SHA-256 of its certificate, hex; empty if <see cref="CaPem"/> is given.</summary>
    public string Fingerprint { get; init; } = "";

    /// <summary>The authority's certificate in PEM; empty if a fingerprint is given.</summary>
    public string CaPem { get; init; } = "";

    /// <summary>Id of the host among the BMC's systems; empty if it has one.</summary>
    public string System { get; init; } = "";

    public string Uuid { get; init; } = "";

    public override string ToString() => $"{Url} as {User}";
}

/// <param name="Reason">why not; empty when accepted</param>
/// <param name="PowerState">what the witness read while accepting: proof that it can</param>
internal sealed record WitnessReply(bool Accepted, string Reason, string? PowerState);

/// <param name="Phase">watching, verified-off, not-off, withdrawn, cannot-tell</param>
/// <param name="Certificate">when verified-off: the statement, signed; null from version 1</param>
internal sealed record WitnessStatus(
    Guid EvacuationId, Journal.WitnessPhase Phase, string? LastPowerState, DateTimeOffset? LastRead, DateTimeOffset? Forced, string? Led, string Detail,
    Power.WitnessCertificate? Certificate = null);

/// <summary>A container at the node that was asked, which belongs to the node that asks.</summary>
/// <param name="Since">when it was announced there</param>
internal sealed record GuestReport(ContainerReport Container, string From, DateTimeOffset Since);

/// <summary>A node tells another that it can fetch containers of its own now.</summary>
internal sealed record HomecomingInvitation(Guid Id, IReadOnlyList<string> Containers);
