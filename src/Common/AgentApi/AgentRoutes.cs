namespace Evacuator.Common.AgentApi;

/// <summary>
/// The agent's interface for its own brain: HTTP with JSON over a unix socket, callers checked by their kernel credentials (root or the
/// service's user). Times are ISO 8601 in UTC.
/// </summary>
/// <remarks>
/// <code>
/// GET    /v1/host                 HostReport
/// GET    /v1/containers           ContainerReport[]
/// PUT    /v1/fleet                FleetRequest          → 204: the signed list of the fleet's nodes; 409 if its authority did not sign it
/// PUT    /v1/admission            AdmissionRequest      → 204
/// POST   /v1/inbound              InboundRequest        → 200 InboundReply (accepted or not)
/// GET    /v1/inbound              InboundReport[]
/// DELETE /v1/inbound/{id}         → 204; 409 once the move is past Ready
/// POST   /v1/moves                MoveRequest           → 202 MoveReport; the same id again → 200 with the present state
/// GET    /v1/moves                MoveReport[]          those of this boot, newest last
/// GET    /v1/moves/{id}           MoveReport
/// POST   /v1/moves/{id}/abort     → 202 before release; 409 after it
/// POST   /v1/moves/{id}/gone      PeerGoneRequest       → 202: the destination is off for good, the container is this host's again; 409 while it answers
/// GET    /v1/emptiness            EmptinessReport
/// GET    /v1/emptiness/lasting    EmptinessReport       what no move can take away: looked at before anything moves
/// POST   /v1/poweroff             PowerOffRequest       → 202; 409 with EmptinessReport if anything is left
/// </code>
/// </remarks>
public static class AgentRoutes
{
    public const string SocketPath = "/run/evacuator-agent/agent.sock";
    public const string Host = "/v1/host";
    public const string Containers = "/v1/containers";
    public const string Fleet = "/v1/fleet";
    public const string Admission = "/v1/admission";
    public const string Inbound = "/v1/inbound";
    public const string Moves = "/v1/moves";
    public const string Emptiness = "/v1/emptiness";
    public const string Lasting = "/v1/emptiness/lasting";
    public const string PowerOff = "/v1/poweroff";
}

/// <param name="Roster">a signed list, as it is (<see cref="Fleet.SignedRoster"/>)</param>
public sealed record FleetRequest(string Roster);
