using Evacuator.Evacuation;
using Evacuator.Journal;
using static Evacuator.Homecoming.HomecomingInput;

namespace Evacuator.Homecoming;

/// <summary>What can happen to a homecoming.</summary>
internal abstract record HomecomingInput
{
    internal sealed record Planned(HomecomingPlan Plan) : HomecomingInput;

    /// <summary>The source is about to be asked.</summary>
    internal sealed record StepBegins(int Number, Guid RequestId) : HomecomingInput;

    /// <summary>News of a step that goes on.</summary>
    internal sealed record StepTold(int Number, ContainerMove? Move, string Detail) : HomecomingInput;

    internal sealed record StepEnds(int Number, HomecomingStepPhase End, ContainerMove? Move, string Detail) : HomecomingInput;

    /// <summary>No step is left to do.</summary>
    internal sealed record AllEnded : HomecomingInput;

    internal sealed record CancelRequested(string By) : HomecomingInput;

    internal sealed record Broke(string Problem) : HomecomingInput;
}

/// <summary>Planning → Moving → Done | Partial | Failed; from both: Cancelling → Cancelled.</summary>
internal static class HomecomingMachine
{
    /// <summary>A pure function: no clock, no I/O. <paramref name="now"/> only dates the result.</summary>
    public static StepResult<HomecomingState> Step(HomecomingState state, HomecomingInput input, DateTimeOffset now)
    {
        bool open = state.Phase is HomecomingPhase.Moving or HomecomingPhase.Cancelling;
        HomecomingState? next = input switch
        {
            Planned planned when state.Phase == HomecomingPhase.Planning => state with
            {
                Phase = HomecomingPhase.Moving,
                Steps = [.. planned.Plan.Steps.Select(step => new HomecomingStep { Plan = step, Phase = HomecomingStepPhase.Waiting })],
                Staying = planned.Plan.Staying,
                NotAsked = planned.Plan.NotAsked,
            },
            StepBegins begins when state.Phase == HomecomingPhase.Moving && Of(begins.Number)?.Phase == HomecomingStepPhase.Waiting =>
                With(begins.Number, step => step with { Phase = HomecomingStepPhase.Moving, RequestId = begins.RequestId }),
            StepTold told when open && Of(told.Number)?.Phase == HomecomingStepPhase.Moving =>
                With(told.Number, step => step with { Move = told.Move ?? step.Move, Detail = told.Detail }),
            StepEnds ends when open && Of(ends.Number) is { } step && !step.Phase.IsEnd() && ends.End.IsEnd() && (step.Phase == HomecomingStepPhase.Moving || ends.End == HomecomingStepPhase.Skipped) =>
                With(ends.Number, step => step with { Phase = ends.End, Move = ends.Move ?? step.Move, Detail = ends.Detail, Ended = now }),
            AllEnded when open && state.Steps.All(step => step.Phase.IsEnd()) => End(state),
            CancelRequested cancel when state.Phase is HomecomingPhase.Planning or HomecomingPhase.Moving => state with { Phase = HomecomingPhase.Cancelling, CancelledBy = cancel.By },
            CancelRequested when state.Phase == HomecomingPhase.Cancelling => state,
            Broke broke when !state.Phase.IsEnd() => state with { Phase = HomecomingPhase.Failed, Problem = broke.Problem },
            _ => null,
        };
        if (next is null)
            return StepResult<HomecomingState>.Refuse(state.Phase, input);
        return StepResult<HomecomingState>.To(next.Phase.IsEnd() && !state.Phase.IsEnd() ? next with { Ended = now } : next);

        HomecomingStep? Of(int number) => state.Steps.FirstOrDefault(step => step.Plan.Number == number);

        HomecomingState With(int number, Func<HomecomingStep, HomecomingStep> change) =>
            state with { Steps = [.. state.Steps.Select(step => step.Plan.Number == number ? change(step) : step)] };
    }

    private static HomecomingState End(HomecomingState state)
    {
        if (state.Phase == HomecomingPhase.Cancelling)
            return state with { Phase = HomecomingPhase.Cancelled };
        List<string> problems =
        [
            .. state.Steps.Where(step => step.Phase != HomecomingStepPhase.Done).Select(step => $"{step.Plan.Container.Name}: {step.Detail}"),
            .. state.Staying.Select(staying => $"{staying.Container} {(staying.At.Length > 0 ? $"stays on {staying.At}" : "was not found")}: {string.Join(", ", staying.Blockers.Select(blocker => blocker.Text))}"),
            .. state.NotAsked.Select(peer => $"{peer.Name} could not be asked what it has of this node: {peer.Reason}"),
        ];
        bool any = state.Steps.Any(step => step is { Plan.Kind: HomecomingStepKind.BringHome, Phase: HomecomingStepPhase.Done });
        return state with
        {
            Phase = problems.Count == 0 ? HomecomingPhase.Done : any ? HomecomingPhase.Partial : HomecomingPhase.Failed,
            Problem = string.Join("; ", problems),
        };
    }
}
