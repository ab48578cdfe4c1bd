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
