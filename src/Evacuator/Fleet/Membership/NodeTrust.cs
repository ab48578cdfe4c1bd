using Evacuator.Common.AgentApi;

namespace Evacuator.Fleet.Membership;

/// <summary>How a node stands to the fleet's authorities; all of them as fingerprints.</summary>
/// <param name="BrainBy">who issued its brain's certificate</param>
/// <param name="AgentBy">who issued its agent's; null while the agent does not tell</param>
/// <param name="BrainTrusts">newest first</param>
/// <param name="AgentTrusts">null while the agent does not tell</param>
/// <param name="OldConnections">moves of its agent that began before its certificate, or the other's, was renewed</param>
internal sealed record NodeTrust(string BrainBy, string? AgentBy, IReadOnlyList<string> BrainTrusts, IReadOnlyList<string>? AgentTrusts, int OldConnections)
{
    public static NodeTrust? Of(PeerCapacity? capacity) =>
        capacity is { CertificateBy: { } by, Authorities: { } trusts } ? Of(by, trusts, capacity.Host) : null;

    public static NodeTrust Of(string by, IReadOnlyList<string> trusts, HostReport? host) => new(by, host?.CertificateBy, trusts, host?.Authorities, host?.OldConnections ?? 0);

    /// <summary>Whether both services accept certificates of that authority.</summary>
    public bool Trusts(string authority) => BrainTrusts.Contains(authority) && AgentTrusts?.Contains(authority) == true;

    /// <summary>Whether both services have certificates of that authority.</summary>
    public bool Has(string authority) => BrainBy == authority && AgentBy == authority;
}
