using System.Net;
using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Fleet;
using Evacuator.Journal;

namespace Evacuator.Homecoming;

/// <summary>
/// Brings containers home: asks the nodes that have them, one request a container, several at once, in the order of the plan.
/// <code>
/// 1 Planning    ask all peers what they have of this node; plan; journal the plan
/// 2 Moving      each step when those before it are done: journal its request id, ask the source with it, watch until the source says how it ended
/// 3 end         what came has to run here, as the own agent says
/// </code>
/// </summary>
internal sealed class HomecomingRun(RunServices services, HomecomingLedger ledger, HomecomingPlans plans, DepartureService departures, CancellationToken cancelRequested)
{
    public async Task RunAsync(CancellationToken stop)
    {
        if (ledger.State.Phase == HomecomingPhase.Planning)
            await PlanAsync(stop).ConfigureAwait(false);
        await MoveAllAsync(stop).ConfigureAwait(false);
        ledger.TryApply(new HomecomingInput.AllEnded());
    }

    // 1
    private async Task PlanAsync(CancellationToken stop)
    {
        HomecomingState state = ledger.State;
        try
        {
            HomecomingPlan plan = await plans.MakeAsync(state.Only, state.Skip, stop).ConfigureAwait(false);
            ledger.TryApply(new HomecomingInput.Planned(plan));
        }
        catch (AgentException e)
        {
            ledger.TryApply(new HomecomingInput.Broke($"no plan could be made: {e.Message}"));
        }
    }

    // 2
    private async Task MoveAllAsync(CancellationToken stop)
    {
        Dictionary<int, Task> running = [];
        while (!ledger.State.Phase.IsEnd())
        {
            foreach ((int number, Task task) in running.Where(pair => pair.Value.IsCompleted).ToList())
            {
                running.Remove(number);
                await task.ConfigureAwait(false);
            }

            foreach (HomecomingStep step in ledger.State.Steps.Where(step => !step.Phase.IsEnd() && !running.ContainsKey(step.Plan.Number)))
            {
                if (step.Phase == HomecomingStepPhase.Waiting && WhyNever(step) is { } never)
                    ledger.TryApply(new HomecomingInput.StepEnds(step.Plan.Number, HomecomingStepPhase.Skipped, null, never));
                else if (running.Count < Math.Max(1, services.Options.Move.Parallel) && MayBegin(step))
                    running[step.Plan.Number] = StepAsync(step, stop);
            }

            if (running.Count == 0 && ledger.State.Steps.All(step => step.Phase.IsEnd()))
                return;
            if (running.Count > 0)
                await Task.WhenAny(running.Values).ConfigureAwait(false);
        }

        await Task.WhenAll(running.Values).ConfigureAwait(false);
    }

    private bool MayBegin(HomecomingStep step) =>
        step.Phase == HomecomingStepPhase.Moving || step.Plan.After.All(number => PhaseOf(number) == HomecomingStepPhase.Done);

    private string? WhyNever(HomecomingStep step)
    {
        if (cancelRequested.IsCancellationRequested)
            return "the homecoming was cancelled before it began to move";
        foreach (int number in step.Plan.After)
        {
            HomecomingStep before = ledger.State.Steps.First(other => other.Plan.Number == number);
            if (before.Phase.IsEnd() && before.Phase != HomecomingStepPhase.Done)
                return $"{before.Plan.Container.Name} had to move first and did not";
        }

        return null;
    }

    private HomecomingStepPhase PhaseOf(int number) => ledger.State.Steps.First(step => step.Plan.Number == number).Phase;

    private async Task StepAsync(HomecomingStep step, CancellationToken stop)
    {
        int number = step.Plan.Number;
        Guid id = step.RequestId;
        if (step.Phase == HomecomingStepPhase.Waiting)
        {
            id = Guid.NewGuid();
            if (!ledger.TryApply(new HomecomingInput.StepBegins(number, id)))
            {
                ledger.TryApply(new HomecomingInput.StepEnds(number, HomecomingStepPhase.Skipped, null, "the homecoming was cancelled before it began to move"));
                return;
            }
        }

        HomecomingInput.StepEnds end = step.Plan.Kind == HomecomingStepKind.SendHome
            ? await InviteAsync(step.Plan, id, stop).ConfigureAwait(false)
            : await FetchAsync(step.Plan, id, stop).ConfigureAwait(false);
        ledger.TryApply(end);
    }

    /// <summary>Asks the source to send it, with the same id until it has answered, and watches.</summary>
    private async Task<HomecomingInput.StepEnds> FetchAsync(PlannedStep plan, Guid id, CancellationToken stop)
    {
        DepartureRequest request = new(id, ledger.State.Id, plan.Container.Name);
        long heard = services.Time.GetTimestamp();
        bool known = false;
        bool cancelTold = false;
        while (true)
        {
            try
            {
                DepartureReport? report = null;
                if (known)
                    report = await FindAsync(plan, id, stop).ConfigureAwait(false);
                if (report is null && cancelRequested.IsCancellationRequested)
                    report = await CancelAsync(plan, id, stop).ConfigureAwait(false);
                if (report is null)
                {
                    if (cancelRequested.IsCancellationRequested)
                        return Ends(HomecomingStepPhase.Skipped, null, "the homecoming was cancelled before it began to move");
                    DepartureAnswer answer = await StartAsync(plan, request, stop).ConfigureAwait(false);
                    if (answer.Report is null)
                        return Ends(HomecomingStepPhase.Failed, null, answer.Reason);
                    report = answer.Report;
                }

                known = true;
                heard = services.Time.GetTimestamp();
                if (report.Ended)
                    return await JudgeAsync(plan, report.Move, stop).ConfigureAwait(false);
                ledger.TryApply(new HomecomingInput.StepTold(plan.Number, report.Move, report.Move.Waiting?.For ?? ""));
                if (cancelRequested.IsCancellationRequested && !cancelTold)
                {
                    cancelTold = true;
                    await CancelAsync(plan, id, stop).ConfigureAwait(false);
                }
            }
            catch (Exception e) when (e is PeerException { Status: null or >= HttpStatusCode.InternalServerError } or AgentException { IsAbsent: true })
            {
                ledger.TryApply(new HomecomingInput.StepTold(plan.Number, null, $"waits for {plan.From}: {e.Message}"));
                if (services.Time.GetElapsedTime(heard) > services.Timings.SourcePatience)
                    return Ends(HomecomingStepPhase.Unknown, null, $"{plan.From} has not answered for {services.Timings.SourcePatience.TotalMinutes:0} min: {e.Message}. Ask it with \"evacuator status\" there");
            }
            catch (Exception e) when (e is PeerException or AgentException)
            {
                return Ends(HomecomingStepPhase.Failed, null, e.Message);
            }

            await Task.Delay(services.Timings.MovePoll, services.Time, stop).ConfigureAwait(false);
        }

        HomecomingInput.StepEnds Ends(HomecomingStepPhase phase, ContainerMove? move, string detail) => new(plan.Number, phase, move, detail);
    }

    // 3
    private async Task<HomecomingInput.StepEnds> JudgeAsync(PlannedStep plan, ContainerMove move, CancellationToken stop)
    {
        if (move.State is MovePhase.Unknown)
            return new HomecomingInput.StepEnds(plan.Number, HomecomingStepPhase.Unknown, move, $"{move.Detail}");
        if (move.State != MovePhase.Moved)
            return new HomecomingInput.StepEnds(plan.Number, HomecomingStepPhase.Failed, move, move.Detail.Length > 0 ? move.Detail : $"{plan.From} says {Words.Of(move.State)}");
        if (plan.Kind == HomecomingStepKind.BringHome)
        {
            IReadOnlyList<ContainerReport> here = await AgentPatience.AskAsync(
                services.Agent.GetContainersAsync, _ => { }, "the homecoming is completed", services.Timings.Retry, services.Time, stop).ConfigureAwait(false);
            if (!here.Any(container => container.Name == plan.Container.Name))
                return new HomecomingInput.StepEnds(plan.Number, HomecomingStepPhase.Unknown, move, $"{plan.From} says that it moved here, but it is not here: look with \"runc list\" on both");
        }

        return new HomecomingInput.StepEnds(plan.Number, HomecomingStepPhase.Done, move, "");
    }

    /// <summary>Tells the container's own home that it can fetch it now. What becomes of that is its affair.</summary>
    private async Task<HomecomingInput.StepEnds> InviteAsync(PlannedStep plan, Guid id, CancellationToken stop)
    {
        if (services.Peers.Find(plan.To) is not { } peer)
            return new HomecomingInput.StepEnds(plan.Number, HomecomingStepPhase.Failed, null, $"{plan.To} is not in the peers file");
        long since = services.Time.GetTimestamp();
        while (true)
        {
            string problem;
            try
            {
                await peer.InviteHomeAsync(new HomecomingInvitation(id, [plan.Container.Name]), stop).ConfigureAwait(false);
                return new HomecomingInput.StepEnds(plan.Number, HomecomingStepPhase.Done, null, $"{plan.To} fetches it from {plan.From}");
            }
            catch (PeerException e)
            {
                problem = e.Message;
            }

            // It may be bringing others home at this moment; two nodes that wait for each other for long would help nobody.
            if (cancelRequested.IsCancellationRequested || services.Time.GetElapsedTime(since) > services.Timings.InvitationPatience)
                return new HomecomingInput.StepEnds(plan.Number, HomecomingStepPhase.Failed, null, $"it waits at {plan.From}: {problem}. On {plan.To}: evacuator return --only {plan.Container.Name}");
            await Task.Delay(services.Timings.Retry, services.Time, stop).ConfigureAwait(false);
        }
    }

    private bool IsOwn(PlannedStep plan) => plan.From == services.Options.Node.Name;

    private PeerClient Source(PlannedStep plan) => services.Peers.Find(plan.From)
        ?? throw new PeerException($"{plan.From} is no longer in the peers file", BlockerCode.NoPeer, HttpStatusCode.NotFound);

    private Task<DepartureAnswer> StartAsync(PlannedStep plan, DepartureRequest request, CancellationToken stop) => IsOwn(plan)
        ? departures.StartAsync(services.Options.Node.Name, request, plan.To, stop)
        : Source(plan).RequestDepartureAsync(request, stop);

    private async Task<DepartureReport?> FindAsync(PlannedStep plan, Guid id, CancellationToken stop) => IsOwn(plan)
        ? departures.Find(services.Options.Node.Name, id)
        : await Source(plan).GetDepartureAsync(id, stop).ConfigureAwait(false);

    private async Task<DepartureReport?> CancelAsync(PlannedStep plan, Guid id, CancellationToken stop) => IsOwn(plan)
        ? departures.Cancel(services.Options.Node.Name, id)
        : await Source(plan).CancelDepartureAsync(id, stop).ConfigureAwait(false);
}
