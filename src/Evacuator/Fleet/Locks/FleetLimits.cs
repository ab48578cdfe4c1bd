using System.Text.Json.Serialization;
using Evacuator.Common.Configuration;

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
    /// <summary>How the settings put <see cref="MaxEmptied"/>.</summary>
    public string MaxEmptiedSetting { get; init; } = "[fleet] max-emptied";

    /// <param name="nodes">in the fleet, of which a limit may be a share</param>
    public static FleetLimits Of(EvacuatorOptions options, int nodes) =>
        new(options.Fleet.MaxEmptied.Of(nodes), options.Fleet.MaxEmptiedPerZone, options.Fleet.MinHealthyPercent, options.Signals.FleetSharePercent)
        {
            MaxEmptiedSetting = options.Fleet.MaxEmptied.IsPercent ? $"[fleet] max-emptied = {options.Fleet.MaxEmptied} of {nodes} nodes" : "[fleet] max-emptied",
        };

    /// <summary>Nothing has to be asked for an evacuation that a person wants.</summary>
    [JsonIgnore]
    public bool AreNone => MaxEmptied == 0 && MaxEmptiedPerZone == 0 && MinHealthyPercent == 0;

    /// <summary>Null when the node may begin; else why not yet, in words.</summary>
    /// <remarks>Those that go before it and could begin now count as if they had: it does not overtake them. Those that could not (their zone is full) do not hold it up.</remarks>
    /// <param name="claims">the store knows no transaction: whoever asks may begin any moment, so all that ask count, whoever goes first</param>
    public string? WhyNot(FleetAsk mine, FleetPicture picture, bool claims = false)
    {
        FleetReckoning reckoning = new(this, picture);
        foreach (FleetSlot slot in picture.Slots.Where(slot => slot.Node != mine.Node))
            reckoning.Take(slot.Node, slot.Zone, isSlot: true);
        IEnumerable<FleetAsk> others = picture.Asks.Where(ask => ask.Node != mine.Node);
        if (claims)
        {
            foreach (FleetAsk ask in others)
                reckoning.Take(ask.Node, ask.Zone, isSlot: false);
            return reckoning.WhyNot(mine);
        }

        if (!reckoning.Fits(mine))
            return reckoning.WhyNot(mine);
        foreach (FleetAsk ask in others.Where(ask => ask.GoesBefore(mine)).OrderByDescending(ask => ask.Urgency).ThenBy(ask => ask.Since).ThenBy(ask => ask.Node, StringComparer.Ordinal))
        {
            if (!reckoning.Fits(ask))
                continue;
            reckoning.Take(ask.Node, ask.Zone, isSlot: false);
            if (!reckoning.Fits(mine))
                return reckoning.WhyNot(mine);
        }

        return null;
    }

    /// <summary>That all places are taken, in the words of <see cref="WhyNot"/>.</summary>
    /// <param name="first">some of those that have one, in the order of their names</param>
    /// <param name="all">how many have one</param>
    public string NoPlace(IEnumerable<string> first, long all) => NoPlaceIn([.. first.Select(FleetReckoning.OfSlot)], all);

    /// <param name="first">the same in words</param>
    internal string NoPlaceIn(IReadOnlyList<string> first, long all) => $"{FleetReckoning.Few(first, all)}, and at most {MaxEmptied} may be at once ({MaxEmptiedSetting})";
}
