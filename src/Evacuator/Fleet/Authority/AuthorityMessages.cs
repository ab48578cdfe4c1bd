namespace Evacuator.Fleet.Authority;

/// <summary>
/// The interface of evacuator-authority.service: HTTP with JSON over TLS 1.3, server certificate with the role "authority". Refusals carry an
/// <see cref="Common.AgentApi.ErrorReply"/>.
/// </summary>
/// <remarks>
/// <code>
/// without a certificate
/// GET    /v1/authority    Introduction: to be believed only if its fingerprint is the token's
/// POST   /v1/join         JoinRequest → 200 JoinReply; 403 with the reason; 429 after too many wrong tokens from one address
/// with a certificate of the fleet that is not revoked
/// POST   /v1/renew        RenewRequest → 200 RenewReply: a certificate for the caller itself, in the caller's role
/// POST   /v1/leave        → 200 LeaveReply: the caller's node is out, role agent only (root on that node)
/// GET    /v1/fleet        the signed list (fleet.json); also for a node that is out of it, so that it learns it
/// </code>
/// A body is at most <see cref="MaxBody"/> bytes.
/// </remarks>
internal static class AuthorityRoutes
{
    public const int MaxBody = 64 << 10;
    public const string Introduction = "/v1/authority";
    public const string Join = "/v1/join";
    public const string Renew = "/v1/renew";
    public const string Leave = "/v1/leave";
    public const string Roster = "/v1/fleet";
}

/// <param name="Certificate">the authority's, PEM</param>
/// <param name="Time">its clock</param>
internal sealed record Introduction(string Certificate, DateTimeOffset Time);

/// <param name="Token">id of the token, hex</param>
/// <param name="Secret">its secret, hex</param>
/// <param name="Address">host name or address that the others reach the node by</param>
/// <param name="Brain">certificate request of its brain, PKCS#10 in PEM</param>
/// <param name="Agent">the same of its agent</param>
internal sealed record JoinRequest(string Token, string Secret, string Node, string Address, string Brain, string Agent);

/// <param name="Brain">certificate, PEM</param>
/// <param name="Agent">certificate, PEM</param>
/// <param name="Roster">the signed list with the new node</param>
internal sealed record JoinReply(string Brain, string Agent, string Roster);

/// <param name="Request">PKCS#10 in PEM</param>
internal sealed record RenewRequest(string Request);

internal sealed record RenewReply(string Certificate, string Roster);

/// <param name="Roster">the signed list without the node</param>
internal sealed record LeaveReply(string Roster);
