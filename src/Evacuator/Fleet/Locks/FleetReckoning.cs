using Evacuator.Health;
using Evacuator.Placement;

namespace Evacuator.Fleet.Locks;

/// <summary>
/// The sums behind <see cref="FleetLimits"/>, while places are given away one after the other. Whether one more fits is a few comparisons, since it is asked for each of a thousand
/// that wait; words are made for the one that is told.
/// </summary>
internal sealed class FleetReckoning
{
    private const int MostNames = 3;

    private readonly FleetLimits _limits;
    private readonly FleetPicture _picture;
    private readonly Dictionary<string, FleetNode> _nodes;
    private readonly Dictionary<string, Taken> _taken = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _zones = new(StringComparer.Ordinal);
    private readonly bool _anyMemoryKnown;
    private readonly double _allMemory;
    private double _openMemory;
    private int _awayWithoutPlace;

    public FleetReckoning(FleetLimits limits, FleetPicture picture)
    {
        (_limits, _picture) = (limits, picture);
        _nodes = new Dictionary<string, FleetNode>(picture.Nodes.Count, StringComparer.Ordinal);
        double known = 0;
        int unknown = 0;
        foreach (FleetNode node in picture.Nodes)
        {
            _nodes[node.Name] = node;
            known += node.Memory;
            unknown += node.Memory > 0 ? 0 : 1;
            if (node.Condition == NodeCondition.Open)
                _openMemory += node.Memory;
            else
                _awayWithoutPlace++;
        }

        _anyMemoryKnown = unknown < picture.Nodes.Count;
        // Whoever was never heard of is taken for an average node, and is not healthy.
        _allMemory = _anyMemoryKnown ? known + known / (picture.Nodes.Count - unknown) * unknown : 0;
    }

    /// <summary>One place is gone. A node has one.</summary>
    public void Take(string node, string zone, bool isSlot)
    {
        if (!_taken.TryAdd(node, new Taken(node, zone, isSlot)))
            return;
        if (zone.Length > 0)
            _zones[zone] = _zones.GetValueOrDefault(zone) + 1;
        if (_nodes.GetValueOrDefault(node) is { } known)
        {
            if (known.Condition == NodeCondition.Open)
                _openMemory -= known.Memory;
            else
                _awayWithoutPlace--;
        }
    }

    /// <summary>Whether that node may begin now; one that has its place already needs none.</summary>
    public bool Fits(FleetAsk ask) => !_taken.ContainsKey(ask.Node) && HasPlace && HasPlaceInZone(ask) && LeavesEnough(ask) && (!ask.Automatic || HasShare(ask));

    /// <summary>Null if it may.</summary>
    public string? WhyNot(FleetAsk ask) =>
        !HasPlace ? _limits.NoPlaceIn([.. All.Take(MostNames + 1).Select(Text)], _taken.Count)
        : !HasPlaceInZone(ask) ? WhyNotInZone(ask)
        : !LeavesEnough(ask) ? WhyTooLittle(ask)
        : ask.Automatic && !HasShare(ask) ? WhyNoShare(ask)
        : null;

    public static string OfSlot(string node) => $"{node} is being emptied";

    /// <param name="all">how many there are, of which the first are given</param>
    public static string Few(IReadOnlyList<string> texts, long all) =>
        all <= MostNames + 1 && texts.Count == all ? string.Join(", ", texts) : $"{string.Join(", ", texts.Take(MostNames))} and {all - Math.Min(MostNames, texts.Count)} more";

    private IEnumerable<Taken> All => _taken.Values.OrderBy(taken => taken.Node, StringComparer.Ordinal);

    private bool HasPlace => _limits.MaxEmptied == 0 || _taken.Count < _limits.MaxEmptied;

    private bool HasPlaceInZone(FleetAsk ask) => _limits.MaxEmptiedPerZone == 0 || ask.Zone.Length == 0 || _zones.GetValueOrDefault(ask.Zone) < _limits.MaxEmptiedPerZone;

    // A thousandth of a percent below is the rounding of a sum, not a lack.
    private bool LeavesEnough(FleetAsk ask) => _limits.MinHealthyPercent == 0 || _anyMemoryKnown && OpenWithout(ask) * 100 >= _allMemory * _limits.MinHealthyPercent - _allMemory * 0.001;

    private bool HasShare(FleetAsk ask) => AwayWithout(ask) + 1 <= Allowed;

    private int Allowed => FleetShare.Allowed(_picture.Nodes.Count, _limits.SharePercent);

    private double OpenWithout(FleetAsk ask) =>
        _openMemory - (_nodes.GetValueOrDefault(ask.Node) is { Condition: NodeCondition.Open } node && !_taken.ContainsKey(ask.Node) ? node.Memory : 0);

    private int AwayWithout(FleetAsk ask) =>
        _taken.Count + _awayWithoutPlace - (_nodes.GetValueOrDefault(ask.Node) is { Condition: not NodeCondition.Open } && !_taken.ContainsKey(ask.Node) ? 1 : 0);

    private string WhyNotInZone(FleetAsk ask)
    {
        string[] inZone = [.. All.Where(taken => taken.Zone == ask.Zone).Select(Text)];
        return $"{Few(inZone, inZone.Length)}, and at most {_limits.MaxEmptiedPerZone} of the zone {ask.Zone} may be at once ([fleet] max-emptied-per-zone)";
    }

    private string WhyTooLittle(FleetAsk ask)
    {
        if (!_anyMemoryKnown)
            return "no node's memory is known so far ([fleet] min-healthy)";
        string[] away = Away(ask);
        return $"without {ask.Node} {Bytes.Text((long)OpenWithout(ask))} of {Bytes.Text((long)_allMemory)} of the fleet's memory would be on open nodes, and {_limits.MinHealthyPercent} % have to be ([fleet] min-healthy)"
            + (away.Length > 0 ? $"; {Few(away, away.Length)}" : "");
    }

    private string WhyNoShare(FleetAsk ask)
    {
        string[] away = Away(ask);
        return away.Length == 0
            ? "[signals] fleet-share is 0: no node of this fleet empties itself"
            : $"{away.Length} of {_picture.Nodes.Count} nodes {(away.Length == 1 ? "is" : "are")} out already ({Few(away, away.Length)}), and [signals] fleet-share = {_limits.SharePercent} lets no more than {Allowed} be out at once";
    }

    /// <summary>All that are out for whatever reason, those without a place first.</summary>
    private string[] Away(FleetAsk ask) =>
    [
        .. _picture.Nodes.Where(node => node.Name != ask.Node && node.Condition != NodeCondition.Open && !_taken.ContainsKey(node.Name)).Select(Describe),
        .. All.Select(Text),
    ];

    private static string Describe(FleetNode node) => node.Condition == NodeCondition.Silent ? $"{node.Name} does not answer" : $"{node.Name} is closed";

    private static string Text(Taken taken) => taken.IsSlot ? OfSlot(taken.Node) : $"{taken.Node} asks as well";

    private sealed record Taken(string Node, string Zone, bool IsSlot);
}
