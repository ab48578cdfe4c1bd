namespace Evacuator.Placement;

/// <summary>Which places (nodes, racks, zones) already have a member of which spread group.</summary>
internal sealed class SpreadMap
{
    private readonly HashSet<(SpreadOver Level, string Place, string Group)> _taken = [];

    private SpreadMap(SpreadMap other) => _taken = [.. other._taken];

    public SpreadMap()
    {
    }

    public bool IsTaken(in Location location, SpreadOver level, string group) => _taken.Contains((level, location.At(level), group));

    public void Take(in Location location, string group)
    {
        _taken.Add((SpreadOver.Node, location.At(SpreadOver.Node), group));
        _taken.Add((SpreadOver.Rack, location.At(SpreadOver.Rack), group));
        _taken.Add((SpreadOver.Zone, location.At(SpreadOver.Zone), group));
    }

    public SpreadMap Copy() => new(this);
}

/// <summary>Where a node stands.</summary>
internal readonly record struct Location(string Node, string Zone, string Rack)
{
    /// <summary>
    /// A node that does not tell its rack or zone has one of its own; a rack's name need be unique in its zone only. The slash keeps such a stand-in from meeting a
    /// name: it cannot be in one.
    /// </summary>
    public string At(SpreadOver level) => level switch
    {
        SpreadOver.Rack when Rack.Length > 0 => $"{Zone}/{Rack}",
        SpreadOver.Zone when Zone.Length > 0 => Zone,
        SpreadOver.Node => Node,
        _ => $"//{Node}",
    };
}
