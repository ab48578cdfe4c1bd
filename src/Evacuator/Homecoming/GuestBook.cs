using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Journal;

namespace Evacuator.Homecoming;

/// <summary>
/// Which containers here belong to another node. The home travels with each reservation, so that it is remembered over any number of moves; it is written when
/// a container is announced and counts once the agent says that the container runs.
/// </summary>
internal sealed class GuestBook(JournalStore journal, AgentClient agent, EvacuatorOptions options, TimeProvider time)
{
    /// <summary>Room has been reserved for a container.</summary>
    public void Announced(string container, string home, string from, Guid moveId)
    {
        bool isOurs = home == options.Node.Name;
        if (isOurs && journal.Guest(container) is null or { Left: true })
            return;
        journal.Write(new Guest { Container = container, Home = home, From = from, MoveId = moveId, Announced = time.GetUtcNow(), Left = isOurs });
    }

    /// <summary>A container has moved away.</summary>
    public void Left(string container)
    {
        if (journal.Guest(container) is { Left: false } guest)
            journal.Write(guest with { Left = true });
    }

    /// <summary>Null: it belongs here. While the agent does not answer, what was announced counts as arrived.</summary>
    public async Task<string?> HomeOfAsync(string container, CancellationToken token)
    {
        if (journal.Guest(container) is not { Left: false } guest)
            return null;
        if (guest.Arrived)
            return guest.Home;
        try
        {
            return Settle(guest, await agent.GetInboundAsync(token).ConfigureAwait(false))?.Home;
        }
        catch (AgentException)
        {
            return guest.Home;
        }
    }

    /// <summary>Containers here that belong elsewhere.</summary>
    /// <exception cref="AgentException">the agent does not answer</exception>
    public async Task<IReadOnlyList<PresentGuest>> PresentAsync(CancellationToken token)
    {
        List<Guest> noted = [.. journal.Guests().Where(guest => !guest.Left)];
        if (noted.Count == 0)
            return [];
        IReadOnlyList<ContainerReport> containers = await agent.GetContainersAsync(token).ConfigureAwait(false);
        IReadOnlyList<InboundReport> inbound = noted.All(guest => guest.Arrived) ? [] : await agent.GetInboundAsync(token).ConfigureAwait(false);
        List<PresentGuest> present = [];
        foreach (Guest guest in noted)
        {
            if ((guest.Arrived ? guest : Settle(guest, inbound)) is { } arrived && containers.FirstOrDefault(container => container.Name == guest.Container) is { } container)
                present.Add(new PresentGuest(container, arrived.Home, arrived.From, arrived.Announced));
        }

        return present;
    }

    /// <summary>The guest if it has arrived; null if it has not, or not yet.</summary>
    private Guest? Settle(Guest guest, IReadOnlyList<InboundReport> inbound)
    {
        switch (inbound.FirstOrDefault(report => report.MoveId == guest.MoveId)?.Phase)
        {
            case DestinationPhase.Running:
                guest = guest with { Arrived = true };
                journal.Write(guest);
                return guest;
            case null or DestinationPhase.Failed:
                journal.Write(guest with { Left = true });
                return null;
            default:
                return null;
        }
    }
}

/// <summary>A container that runs here and belongs elsewhere.</summary>
/// <param name="From">the node that sent it here</param>
/// <param name="Since">when it was announced</param>
internal sealed record PresentGuest(ContainerReport Container, string Home, string From, DateTimeOffset Since);
