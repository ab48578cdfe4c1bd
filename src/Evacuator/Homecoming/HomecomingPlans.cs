using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Fleet;
using Evacuator.Placement;

namespace Evacuator.Homecoming;

/// <summary>Asks the own agent and all peers, and plans.</summary>
internal sealed class HomecomingPlans(RunServices services)
{
    /// <param name="only">names; empty: all</param>
    /// <exception cref="AgentException">the own agent does not answer</exception>
    public async Task<HomecomingPlan> MakeAsync(IReadOnlyList<string> only, IReadOnlyList<string> skip, CancellationToken token)
    {
        // 1. Here.
        string home = services.Options.Node.Name;
        HostReport host = await services.Agent.GetHostAsync(token).ConfigureAwait(false);
        IReadOnlyList<ContainerReport> here = await services.Agent.GetContainersAsync(token).ConfigureAwait(false);
        IReadOnlyList<PresentGuest> guests = await services.Guests.PresentAsync(token).ConfigureAwait(false);
        PeerView self = new()
        {
            Name = home,
            Host = host,
            SpreadGroups = [.. here.Select(container => ContainerPolicy.Of(container).Spread).OfType<string>().Distinct()],
            Excluded = services.Admission.Closed is { } closed
                ? new ExcludedPeer(home, BlockerCode.AdmissionClosed, $"it takes no containers since {closed.Since:u} ({closed.Reason}): \"evacuator reopen\" first")
                : null,
        };

        // 2. The others: what room they have, and what they have of ours.
        IReadOnlyList<PeerView> peers = await services.Peers.SurveyAsync(token).ConfigureAwait(false);
        AwayView[] away = await Task.WhenAll(services.Peers.Names.Order(StringComparer.Ordinal).Select(name => AskAsync(name, token))).ConfigureAwait(false);

        // 3. Who comes.
        return HomecomingPlanner.Make(new HomecomingSituation
        {
            Home = home,
            Nodes = [self, .. peers],
            Here = here,
            Guests = guests,
            Away = [.. away.SelectMany(view => view.Containers)],
            Only = only,
            Skip = skip,
            NotAsked = [.. away.Select(view => view.NotAsked).OfType<ExcludedPeer>()],
        }, await services.PlacementAsync(token).ConfigureAwait(false));
    }

    /// <summary>Why names that were given cannot be meant: a slip of the pen must not look like "nothing to do", nor bring home what was to stay. Null: all are known, or cannot be looked up.</summary>
    /// <exception cref="AgentException">the own agent does not answer</exception>
    public async Task<string?> WhyNotAsync(IReadOnlyList<string> only, IReadOnlyList<string> skip, CancellationToken token)
    {
        if (only.Count + skip.Count == 0)
            return null;
        HomecomingPlan plan = await MakeAsync(only, skip, token).ConfigureAwait(false);
        if (plan.Unknown.Count == 0)
            return null;
        string[] away = [.. (await MakeAsync([], [], token).ConfigureAwait(false)).Away()];
        return $"no container of {services.Options.Node.Name} is called {string.Join(" or ", plan.Unknown)}: "
            + (away.Length == 0 ? "none is away" : $"away {(away.Length == 1 ? "is" : "are")} {string.Join(", ", away)}");
    }

    private async Task<AwayView> AskAsync(string name, CancellationToken token)
    {
        try
        {
            if (services.Peers.Find(name) is not { } peer)
                return new AwayView([], null); // it left the fleet just now
            IReadOnlyList<GuestReport> guests = await peer.GetGuestsAsync(token).ConfigureAwait(false);
            return new AwayView([.. guests.Select(guest => new AwayContainer(name, guest.Container))], null);
        }
        catch (PeerException e)
        {
            return new AwayView([], new ExcludedPeer(name, e.Code, e.Message));
        }
    }

    private sealed record AwayView(IReadOnlyList<AwayContainer> Containers, ExcludedPeer? NotAsked);
}
