namespace Evacuator.Health;

/// <summary>How a peer stands, to a node that wants to empty itself.</summary>
internal enum PeerClaim
{
    /// <summary>It takes containers.</summary>
    Open = 0,

    /// <summary>It wants to empty itself as well, and asks the fleet just now.</summary>
    Intends = 1,

    /// <summary>It is being emptied, or closed, or cannot take anything.</summary>
    Out = 2,

    /// <summary>It does not answer: it may be off, or cut off with its containers.</summary>
    Silent = 3,
}

/// <param name="Name">of the peer</param>
internal sealed record PeerClaimOf(string Name, PeerClaim Claim);

internal enum ShareOutcome
{
    Granted = 0,

    /// <summary>A peer with a later name asks at the same time: what becomes of it has to be waited for.</summary>
    Wait = 1,

    Refused = 2,
}

/// <param name="Why">for people; empty when granted</param>
internal sealed record ShareAnswer(ShareOutcome Outcome, string Why);

/// <summary>
/// The circuit breaker: how many nodes may be out when one empties itself. Pure.
/// </summary>
/// <remarks>
/// There is no lock in a static fleet, so nodes that predict failure at once agree by names. Each first shows that it intends to, then asks everyone. Of two that see each other,
/// the later name counts the earlier one as out, and the earlier one waits until the later has decided. Whoever showed its intention last therefore sees all others,
/// and no more than the share are ever granted; nobody waits for an earlier name, so there is no circle.
/// </remarks>
internal static class FleetShare
{
    /// <summary>How many nodes may be out: the share, rounded down, but at least one unless the share is none.</summary>
    public static int Allowed(int nodes, int percent) => percent == 0 ? 0 : Math.Max(1, nodes * percent / 100);

    public static ShareAnswer Decide(string self, IReadOnlyList<PeerClaimOf> peers, int percent)
    {
        int allowed = Allowed(peers.Count + 1, percent);
        List<PeerClaimOf> counted = [.. peers.Where(peer => peer.Claim is PeerClaim.Out or PeerClaim.Silent
            || peer.Claim == PeerClaim.Intends && string.CompareOrdinal(peer.Name, self) < 0)];
        if (counted.Count + 1 > allowed)
            return new ShareAnswer(ShareOutcome.Refused, counted.Count == 0
                ? "[signals] fleet-share is 0: no node of this fleet empties itself"
                : $"{counted.Count} of {peers.Count + 1} nodes {(counted.Count == 1 ? "is" : "are")} out already ({string.Join(", ", counted.Select(Describe))}), and [signals] fleet-share = {percent} lets no more than {allowed} be out at once");
        string[] undecided = [.. peers.Where(peer => peer.Claim == PeerClaim.Intends && string.CompareOrdinal(peer.Name, self) > 0).Select(peer => peer.Name)];
        return undecided.Length > 0
            ? new ShareAnswer(ShareOutcome.Wait, $"{string.Join(", ", undecided)} would empty {(undecided.Length == 1 ? "itself" : "themselves")} as well")
            : new ShareAnswer(ShareOutcome.Granted, "");
    }

    private static string Describe(PeerClaimOf peer) => peer.Claim switch
    {
        PeerClaim.Silent => $"{peer.Name} does not answer",
        PeerClaim.Intends => $"{peer.Name} empties itself",
        _ => $"{peer.Name} is closed",
    };
}
