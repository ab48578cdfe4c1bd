using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Fleet;
using Evacuator.Health;
using Evacuator.Homecoming;
using Evacuator.Hosting;
using Evacuator.Journal;
using Evacuator.Placement;
using Evacuator.Power;

namespace Evacuator.Api;

/// <summary>Puts together what "evacuator status" and "evacuator plan" show.</summary>
internal sealed class StatusBuilder(
    EvacuatorOptions options, NodeWatch watch, AgentClient agent, PeerDirectory peers, Admission admission, EvacuationService evacuations, BmcHealth bmc, PowerHandover power, JournalStore journal, RunServices services,
    GuestBook guests, SoakWatch soak, HomecomingService homecomings, Notices.NoticeService told, Fleet.Membership.FleetMembership fleet)
{
    public async Task<NodeStatus> StatusAsync(CancellationToken token)
    {
        AgentView view = await watch.LookAsync(token).ConfigureAwait(false);
        IReadOnlyList<ContainerReport> containers = [];
        IReadOnlyList<PresentGuest> present = [];
        IReadOnlyList<HeldRoom> held = [];
        List<string> notices = [.. journal.Notices, .. told.Problems(), .. fleet.Notices()];
        IReadOnlyList<string> obstacles = view.Host is null ? [] : await agent.GetObstaclesAsync(token).ConfigureAwait(false);
        if (view.Host is not null)
        {
            try
            {
                containers = await agent.GetContainersAsync(token).ConfigureAwait(false);
                present = await guests.PresentAsync(token).ConfigureAwait(false);
                held = [.. (await agent.GetInboundAsync(token).ConfigureAwait(false))
                    .Where(inbound => inbound.Phase is DestinationPhase.Announced or DestinationPhase.Receiving or DestinationPhase.Ready or DestinationPhase.Resuming)
                    .Select(inbound => new HeldRoom(inbound.Container, inbound.Source, inbound.MemoryBytes, inbound.Phase, inbound.Updated))];
            }
            catch (AgentException e)
            {
                notices.Add($"the containers cannot be listed: {e.Message}");
            }
        }

        SignalsReport signals = bmc.Signals;
        if (signals.AsksPerson is { } asks)
            notices.Add($"the hardware says that this node has to be emptied ({signals.Why}), and a person has to decide: {asks}. \"evacuator start --reason …\" empties it");
        if (services.Lock.Problem is { } problem)
            notices.Add($"the fleet's store: {problem}");
        notices.AddRange(services.Register.Duplicates);
        EvacuationReport? last = evacuations.LastOwn();
        bool active = last is not null && !last.State.IsEnd();
        return new NodeStatus
        {
            Node = options.Node.Name,
            Version = ProgramVersion.Text,
            Closed = admission.Closed,
            Host = view.Host,
            AgentProblem = view.Problem,
            AgentSince = view.Since,
            Missing = [.. view.Host?.Requirements.Where(requirement => !requirement.Met) ?? []],
            Containers = [.. containers.OrderBy(container => container.Name, StringComparer.Ordinal).Select(Describe)],
            Reopens = soak.Waiting,
            Guests = [.. present.Select(guest => new GuestStatus(guest.Container.Name, guest.Home, guest.From, guest.Since))],
            Reservations = held,
            Homecoming = homecomings.Last(),
            Obstacles = obstacles,
            Evacuation = active ? last : null,
            LastEvacuation = active ? null : last,
            Peers = peers.Standings,
            Fleet = fleet.Standing,
            Bmc = bmc.Report,
            Health = new HealthSummary(signals.Verdict, signals.Why, signals.Since, signals.Does, signals.AsksPerson),
            LedLitSince = power.LedLitSince,
            Watches = [.. journal.Witnesses(20).Select(state => new WatchedNode(state.Node, state.EvacuationId, state.Phase, state.Detail, state.Started, state.Until))],
            Notices = notices,
        };
    }

    /// <exception cref="AgentException">the containers cannot be listed</exception>
    public async Task<PlanReply> PlanAsync(CancellationToken token)
    {
        IReadOnlyList<ContainerReport> containers = await agent.GetContainersAsync(token).ConfigureAwait(false);
        IReadOnlyList<PeerView> views = await peers.SurveyAsync(token).ConfigureAwait(false);
        FleetClaims claims = await services.Register.LookAsync([.. containers.Select(container => container.Name)], token).ConfigureAwait(false);
        Plan plan = Planner.Make(claims.Mark(containers), claims.Reduce(views), await services.PlacementAsync(token).ConfigureAwait(false));
        IReadOnlyList<Experience> past = ExperienceReader.Read(journal, containers.Select(container => container.Name));
        plan = plan with
        {
            Containers = [.. plan.Containers.Select(planned => planned.Destination is null ? planned : planned with { Prediction = Predictor.Predict(planned.Container, planned.Mode, past) })],
        };
        int going = plan.Containers.Count(container => container.Destination is not null);
        string summary = (plan.Containers.Count, plan.Complete) switch
        {
            (0, _) => $"{options.Node.Name} has no container: nothing would move",
            (_, true) => $"all {going} containers would move",
            _ when plan.Missing is not null && !options.Evacuation.Partial => $"{going} of {plan.Containers.Count} containers would have a place: the evacuation would be refused whole (--partial moves those)",
            _ => $"{going} of {plan.Containers.Count} containers would move, the others keep running here and {options.Node.Name} would not become empty",
        };
        IReadOnlyList<string> obstacles = await agent.GetObstaclesAsync(token).ConfigureAwait(false);
        if (obstacles.Count > 0)
            summary += $"; {options.Node.Name} WOULD NOT BE FOUND EMPTY afterwards, and would stay on";
        return new PlanReply(plan, summary, obstacles);
    }

    /// <summary>Running containers only have reasons against a move; what stops them all is shown once, as a missing requirement.</summary>
    private static ContainerStatus Describe(ContainerReport container)
    {
        ContainerPolicy policy = ContainerPolicy.Of(container);
        List<Blocker> blockers = [.. container.Blockers];
        if (policy.Stay)
            blockers.Add(new Blocker(BlockerCode.PolicyStay, policy.WhyStay));
        return new ContainerStatus(container.Name, container.State, container.MemoryBytes, container.Processes, container.Addresses, blockers);
    }
}
