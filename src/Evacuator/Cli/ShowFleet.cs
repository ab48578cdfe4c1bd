using Evacuator.Api;
using Evacuator.Fleet.Etcd;
using Evacuator.Fleet.Locks;
using Evacuator.Journal;
using Evacuator.Placement;

namespace Evacuator.Cli;

/// <summary>Who is out and who waits, for people.</summary>
internal static class ShowFleet
{
    private const int MostAsks = 10;

    /// <param name="watches">nodes whose power-off this node has watched</param>
    public static void Write(FleetReply reply, IReadOnlyList<WatchedNode> watches, TextWriter output)
    {
        FleetLockView view = reply.Lock;
        output.WriteLine();
        if (view.UnknownSince is { } unknown)
        {
            output.WriteLine($"!! {view.Store}: UNKNOWN since {Show.Time(unknown)}: {view.Problem}");
            output.WriteLine(view.AsOf is { } then ? $"   What follows was so at {Show.Time(then)}." : "   It has not answered since this service was started.");
        }

        output.WriteLine($"lock ({view.Store}): {Limits(reply.Limits)}");
        FleetNode[] others = [.. view.Picture.Nodes.Where(node => node.Condition != NodeCondition.Open && view.Picture.Slots.All(slot => slot.Node != node.Name)).OrderBy(node => node.Name, StringComparer.Ordinal)];
        if (view.Picture.Slots.Count == 0 && others.Length == 0)
            output.WriteLine(view.AsOf is null ? "  out: cannot tell" : "  out: none");
        foreach (FleetSlot slot in view.Picture.Slots.OrderBy(slot => slot.Since).ThenBy(slot => slot.Node, StringComparer.Ordinal))
        {
            NodeCondition? condition = view.Picture.Nodes.FirstOrDefault(node => node.Name == slot.Node)?.Condition;
            string how = condition switch
            {
                NodeCondition.Silent => "; nothing is heard of it (\"evacuator fleet unlock\" if it is lost)",
                null => "; it is not in the peers file",
                _ => "",
            };
            output.WriteLine($"  out: {slot.Node} since {Show.Time(slot.Since)}{(slot.Reason.Length > 0 ? $" ({slot.Reason}, by {slot.By})" : "")}{(slot.Forced ? ", FORCED" : "")}{how}");
        }

        foreach (FleetNode node in others)
            output.WriteLine($"  out, without a place in the lock: {node.Name}: {WhyOut(node, watches)}");
        foreach (FleetAsk ask in view.Picture.Asks.OrderByDescending(ask => ask.Urgency).ThenBy(ask => ask.Since).Take(MostAsks))
            output.WriteLine($"  waits: {ask.Node} since {Show.Time(ask.Since)}{(ask.Urgency > 0 ? ", failing hardware" : "")}");
        if (view.Picture.Asks.Count > MostAsks)
            output.WriteLine($"  and {view.Picture.Asks.Count - MostAsks} more wait");
        foreach (ReservationRecord room in reply.Reservations.OrderBy(room => room.Destination, StringComparer.Ordinal))
            output.WriteLine($"  held: {Bytes.Text(room.Memory)} at {room.Destination} for {room.Container} from {room.Source}, since {Show.Time(room.Since)}");
    }

    /// <summary>A place is taken only where limits are set, and what a node that is off has told goes with those that heard it.</summary>
    private static string WhyOut(FleetNode node, IReadOnlyList<WatchedNode> watches)
    {
        if (node.Condition != NodeCondition.Silent)
            return "it takes no containers";
        return watches.Where(watch => watch.Node == node.Name).MaxBy(watch => watch.Started) is { Phase: WitnessPhase.VerifiedOff } watch
            ? $"it was emptied and switched off, as this node saw on its BMC (\"evacuator report {watch.EvacuationId:D}\"), and has not come back"
            : "nothing is heard of it: off, cut off or lost";
    }

    private static string Limits(FleetLimits limits)
    {
        List<string> words = [];
        if (limits.MaxEmptied > 0)
            words.Add($"at most {limits.MaxEmptied} out at once ({limits.MaxEmptiedSetting})");
        if (limits.MaxEmptiedPerZone > 0)
            words.Add($"at most {limits.MaxEmptiedPerZone} of a zone");
        if (limits.MinHealthyPercent > 0)
            words.Add($"{limits.MinHealthyPercent} % of the memory stay on open nodes");
        words.Add($"a node empties itself only while at most {limits.SharePercent} % are out");
        return string.Join(", ", words);
    }
}
