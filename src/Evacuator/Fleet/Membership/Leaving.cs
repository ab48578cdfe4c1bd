using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Homecoming;
using Evacuator.Journal;

namespace Evacuator.Fleet.Membership;

/// <summary>Whether this node may leave the fleet: not while a container of another is here, or anything is under way that needs the fleet.</summary>
internal sealed class Leaving(EvacuationService evacuations, HomecomingService homecomings, Admission admission, AgentClient agent, GuestBook guests, JournalStore journal)
{
    private const string Reason = "this node leaves the fleet";

    /// <summary>Closes the node first, so that nothing arrives between the look and the leaving; opens it again if it has to stay.</summary>
    /// <returns>every reason against it; empty: the node is closed and may leave</returns>
    public async Task<IReadOnlyList<string>> PrepareAsync(CancellationToken token)
    {
        bool wasOpen = admission.Closed is null;
        try
        {
            if (wasOpen)
                await admission.CloseAsync(Reason, token).ConfigureAwait(false);
            IReadOnlyList<string> reasons = await WhyNotAsync(token).ConfigureAwait(false);
            if (reasons.Count > 0 && wasOpen)
                await admission.ReopenAsync("it stays in the fleet", token).ConfigureAwait(false);
            return reasons;
        }
        catch (AgentException e)
        {
            return [$"it cannot be told what is on this host: {e.Message}"];
        }
    }

    private async Task<IReadOnlyList<string>> WhyNotAsync(CancellationToken token)
    {
        List<string> reasons = [];
        if (evacuations.LastOwn() is { } last && !last.State.IsEnd())
            reasons.Add("an evacuation of this node is under way");
        if (homecomings.Last() is { } homecoming && !homecoming.Phase.IsEnd())
            reasons.Add("containers are on their way home to this node");
        foreach (MoveReport move in (await agent.GetMovesAsync(token).ConfigureAwait(false)).Where(move => !move.Ended))
            reasons.Add($"{move.Container} is on its way to {move.Destination}");
        foreach (InboundReport inbound in (await agent.GetInboundAsync(token).ConfigureAwait(false)).Where(inbound => inbound.Phase is not (DestinationPhase.Running or DestinationPhase.Failed)))
            reasons.Add($"{inbound.Container} is on its way here from {inbound.Source}");
        foreach (PresentGuest guest in await guests.PresentAsync(token).ConfigureAwait(false))
            reasons.Add($"{guest.Container.Name} belongs to {guest.Home}: \"evacuator return\" there, or \"evacuator start\" here");
        foreach (WitnessState watch in journal.Witnesses().Where(watch => watch.Phase == WitnessPhase.Watching))
            reasons.Add($"this node watches the power-off of {watch.Node}");
        return reasons;
    }
}
