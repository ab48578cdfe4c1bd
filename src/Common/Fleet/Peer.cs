namespace Evacuator.Common.Fleet;

/// <summary>Another node of the fleet, as the peers file names it.</summary>
/// <param name="Name">its name, which is also in its certificates</param>
/// <param name="Address">host name or address under which its services listen</param>
public sealed record Peer(string Name, string Address);
