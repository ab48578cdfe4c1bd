namespace Evacuator.Common.Fleet;

/// <summary>
/// Who is in the fleet and whose earlier certificates are void, as its authority says. Travels signed (<see cref="SignedRoster"/>), so it does not matter
/// who brings it; of two the one with the higher number holds.
/// </summary>
public sealed record FleetRoster
{
    /// <summary>Grows with each change, and is never below the time of the change in seconds since 1970: an authority that was restored from an old copy does not fall behind.</summary>
    public required long Number { get; init; }

    public required DateTimeOffset Made { get; init; }

    /// <summary>Where the authority's service listens, host:port; empty: the authority is offline.</summary>
    public string Authority { get; init; } = "";

    public required IReadOnlyList<Peer> Nodes { get; init; }

    public IReadOnlyList<Revocation> Revoked { get; init; } = [];

    /// <summary>Certificates of the authorities that the nodes trust, PEM each, newest first; empty in a fleet whose authority was never replaced: the one that has signed.</summary>
    public IReadOnlyList<string> Authorities { get; init; } = [];

    /// <summary>Since when the newest of two authorities issues certificates; null: the older does, because not all nodes trust the newest so far.</summary>
    public DateTimeOffset? NewestIssues { get; init; }

    /// <summary>Authorities that nobody trusts any more, oldest first: so that a node can say why its certificate is void, and old statements can be judged.</summary>
    public IReadOnlyList<RetiredAuthority> Retired { get; init; } = [];

    /// <summary>The same with the next number.</summary>
    public FleetRoster Next(DateTimeOffset now) => this with { Number = Math.Max(Number + 1, now.ToUnixTimeSeconds()), Made = now };

    /// <summary>
    /// All certificates that this node has now become void; whether it stays in the fleet is another matter. Certificates are backdated, so those issued from now on begin
    /// at <see cref="Revocation.Before"/> at the earliest.
    /// </summary>
    public FleetRoster WithRevoked(string node, DateTimeOffset now)
    {
        DateTimeOffset before = DateTimeOffset.FromUnixTimeSeconds((now - FleetAuthority.Backdating).ToUnixTimeSeconds() + 1);
        // Revoked and issued anew within one second: what was issued in between began at the earlier limit.
        if (Find(node) is { } earlier && earlier.Before >= before)
            before = earlier.Before + TimeSpan.FromSeconds(1);
        return this with { Revoked = [.. Revoked.Where(revoked => revoked.Node != node), new Revocation(node, before, now)] };
    }

    public Revocation? Find(string node) => Revoked.FirstOrDefault(revoked => revoked.Node == node);
}

/// <summary>Certificates of a node that began before a time are void.</summary>
/// <param name="Before">compared with a certificate's NotBefore</param>
/// <param name="At">when it was revoked</param>
public sealed record Revocation(string Node, DateTimeOffset Before, DateTimeOffset At);

/// <summary>What this authority has issued is void.</summary>
/// <param name="Certificate">its own, PEM</param>
/// <param name="Fingerprint">SHA-256 of it, hex</param>
/// <param name="At">when it was retired</param>
public sealed record RetiredAuthority(string Certificate, string Fingerprint, DateTimeOffset At);
