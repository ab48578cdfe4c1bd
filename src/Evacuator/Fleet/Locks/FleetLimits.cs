using Evacuator.Common.Configuration;
using Evacuator.Health;
using Evacuator.Placement;

namespace Evacuator.Fleet.Locks;

/// <summary>
/// Whether the fleet can spare a node: the one decision behind the lock and the share, whatever the store. Pure. It is as good as its picture: whoever acts on it has to see to it
/// that the slots in the picture are still all there are.
/// </summary>
/// <param name="MaxEmptied">slots at once; 0: any number</param>
/// <param name="MaxEmptiedPerZone">the same in each zone that is told; 0: any number</param>
/// <param name="MinHealthyPercent">of the fleet's memory, on open nodes without a slot, while the asking node is out; 0: none</param>
/// <param name="SharePercent">of the nodes that may be out, for whatever reason, when one empties itself; says nothing of evacuations that somebody asked for</param>
internal sealed record FleetLimits(int MaxEmptied, int MaxEmptiedPerZone, int MinHealthyPercent, int SharePercent)
{
    public static FleetLimits Of(EvacuatorOptions options) =>
        new(options.Fleet.MaxEmptied, options.Fleet.MaxEmptiedPerZone, options.Fleet.MinHealthyPercent, options.Signals.FleetSharePercent);

    /// <summary>Nothing has to be asked for an evacuation that a person wants.</summary>
    public bool AreNone => MaxEmptied == 0 && MaxEmptiedPerZone == 0 && MinHealthyPercent == 0;

    /// <summary>Null when the node may begin; else why not yet, in words.</summary>
    /// <remarks>Those that go before it and could begin now count as if they had: it does not overtake them. Those that could not (their zone is full) do not hold it up.</remarks>
    /// <param name="claims">the store knows no transaction: whoever asks may begin any moment, so all that ask count, whoever goes first</param>
    public string? WhyNot(FleetAsk mine, FleetPicture picture, bool claims = false)
    {
        List<Taken> taken = [.. picture.Slots.Where(slot => slot.Node != mine.Node).Select(slot => new Taken(slot.Node, slot.Zone, IsSlot: true))];
        if (claims)
        {
            taken.AddRange(picture.Asks.Where(ask => ask.Node != mine.Node && taken.All(slot => slot.Node != ask.Node)).Select(ask => new Taken(ask.Node, ask.Zone, IsSlot: false)));
            return Refuse(mine, taken, picture);
        }

        if (Refuse(mine, taken, picture) is { } because)
            return because;
        foreach (FleetAsk ask in picture.Asks.Where(ask => ask.Node != mine.Node && ask.GoesBefore(mine) && taken.All(slot => slot.Node != ask.Node))
            .OrderByDescending(ask => ask.Urgency).ThenBy(ask => ask.Since).ThenBy(ask => ask.Node, StringComparer.Ordinal))
        {
            if (Refuse(ask, taken, picture) is not null)
                continue;
            taken.Add(new Taken(ask.Node, ask.Zone, IsSlot: false));
            if (Refuse(mine, taken, picture) is { } reason)
                return reason;
        }

        return null;
    }

    private string? Refuse(FleetAsk ask, List<Taken> taken, FleetPicture picture)
    {
        if (MaxEmptied > 0 && taken.Count >= MaxEmptied)
            return $"{Names(taken)}, and at most {MaxEmptied} may be at once ([fleet] max-emptied)";
        if (MaxEmptiedPerZone > 0 && ask.Zone.Length > 0 && taken.Where(slot => slot.Zone == ask.Zone).ToList() is var inZone && inZone.Count >= MaxEmptiedPerZone)
            return $"{Names(inZone)}, and at most {MaxEmptiedPerZone} of the zone {ask.Zone} may be at once ([fleet] max-emptied-per-zone)";
        if (MinHealthyPercent > 0 && WhyTooLittle(ask, taken, picture) is { } little)
            return little;
        return ask.Automatic ? WhyNoShare(ask, taken, picture) : null;
    }

    private string? WhyTooLittle(FleetAsk ask, List<Taken> taken, FleetPicture picture)
    {
        List<FleetNode> known = [.. picture.Nodes.Where(node => node.Memory > 0)];
        if (known.Count == 0)
            return "no node's memory is known so far ([fleet] min-healthy)";
        // Whoever was never heard of is taken for an average node, and is not healthy.
        double mean = known.Average(node => (double)node.Memory);
        double all = picture.Nodes.Sum(node => node.Memory > 0 ? node.Memory : mean);
        HashSet<string> outside = [ask.Node, .. taken.Select(slot => slot.Node)];
        double left = picture.Nodes.Where(node => node.Condition == NodeCondition.Open && node.Memory > 0 && !outside.Contains(node.Name)).Sum(node => (double)node.Memory);
        // A thousandth of a percent below is the rounding of a sum, not a lack.
        if (left * 100 >= all * MinHealthyPercent - all * 0.001)
            return null;
        List<string> away = [.. picture.Nodes.Where(node => node.Condition != NodeCondition.Open && !outside.Contains(node.Name)).Select(node => Describe(node)), .. taken.Select(slot => slot.Text)];
        return $"without {ask.Node} {Bytes.Text((long)left)} of {Bytes.Text((long)all)} of the fleet's memory would be on open nodes, and {MinHealthyPercent} % have to be ([fleet] min-healthy)"
            + (away.Count > 0 ? $"; {Few(away)}" : "");
    }

    private string? WhyNoShare(FleetAsk ask, List<Taken> taken, FleetPicture picture)
    {
        int allowed = FleetShare.Allowed(picture.Nodes.Count, SharePercent);
        HashSet<string> slots = [.. taken.Select(slot => slot.Node)];
        List<string> away =
        [
            .. picture.Nodes.Where(node => node.Name != ask.Node && node.Condition != NodeCondition.Open && !slots.Contains(node.Name)).Select(node => Describe(node)),
            .. taken.Select(slot => slot.Text),
        ];
        return away.Count + 1 > allowed
            ? away.Count == 0
                ? "[signals] fleet-share is 0: no node of this fleet empties itself"
                : $"{away.Count} of {picture.Nodes.Count} nodes {(away.Count == 1 ? "is" : "are")} out already ({Few(away)}), and [signals] fleet-share = {SharePercent} lets no more than {allowed} be out at once"
            : null;
    }

    private static string Describe(FleetNode node) => node.Condition == NodeCondition.Silent ? $"{node.Name} does not answer" : $"{node.Name} is closed";

    private static string Names(List<Taken> taken) => Few([.. taken.OrderBy(slot => slot.Node, StringComparer.Ordinal).Select(slot => slot.Text)]);

    private static string Few(List<string> texts) => texts.Count <= 4 ? string.Join(", ", texts) : $"{string.Join(", ", texts.Take(3))} and {texts.Count - 3} more";

    private sealed record Taken(string Node, string Zone, bool IsSlot)
    {
        public string Text => IsSlot ? $"{Node} is being emptied" : $"{Node} asks as well";
    }
}
