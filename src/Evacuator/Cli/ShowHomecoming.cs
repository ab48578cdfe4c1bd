using System.Globalization;
using Evacuator.Evacuation;
using Evacuator.Homecoming;
using Evacuator.Placement;

namespace Evacuator.Cli;

/// <summary>A homecoming for people.</summary>
internal static class ShowHomecoming
{
    public static void Plan(HomecomingPlan plan, TextWriter output)
    {
        output.WriteLine(plan.Steps.Count == 0 && plan.Complete
            ? $"PLAN (nothing is done): {(plan.AtHome.Count > 0 ? $"at home already: {string.Join(", ", plan.AtHome)}" : "no container of this node is elsewhere")}"
            : $"PLAN (nothing is done): {plan.Coming} {(plan.Coming == 1 ? "comes" : "come")} home, {plan.Staying.Count} {(plan.Staying.Count == 1 ? "stays" : "stay")} away");
        if (plan.Steps.Count > 0)
        {
            output.WriteLine();
            TextTable table = new("STEP", "CONTAINER", "MEMORY", "FROM", "TO", "AFTER", "");
            foreach (PlannedStep step in plan.Steps)
            {
                table.Add(step.Number.ToString(CultureInfo.InvariantCulture), step.Container.Name, Bytes.Text(step.Container.MemoryBytes), step.From, step.To,
                    step.After.Count == 0 ? "-" : string.Join(' ', step.After), step.Why);
            }

            table.WriteTo(output, "  ");
        }

        Staying(plan.Staying, plan.NotAsked, output);
    }

    public static void State(HomecomingState state, TextWriter output)
    {
        output.WriteLine($"homecoming {state.Id:D} to {state.Node}");
        output.WriteLine($"  {Summary(state)}");
        output.WriteLine($"  asked by {state.RequestedBy}{(state.Only.Count > 0 ? $", only {string.Join(", ", state.Only)}" : "")}{(state.Skip.Count > 0 ? $", without {string.Join(", ", state.Skip)}" : "")}");
        output.WriteLine($"  from {Show.Time(state.Started)}{(state.Ended is { } ended ? $" to {Show.Time(ended)}, {Show.Seconds(Math.Max(0, (ended - state.Started).TotalSeconds))}" : "")}");
        if (state.Steps.Count > 0)
        {
            output.WriteLine();
            TextTable table = new("STEP", "CONTAINER", "FROM", "TO", "STATE", "FROZEN", "");
            foreach (HomecomingStep step in state.Steps)
            {
                table.Add(step.Plan.Number.ToString(CultureInfo.InvariantCulture), step.Plan.Container.Name, step.Plan.From, step.Plan.To, Stand(step),
                    step.Move?.FreezeMs is { } ms ? string.Create(CultureInfo.InvariantCulture, $"{ms:0} ms") : "-", step.Detail);
            }

            table.WriteTo(output, "  ");
            output.WriteLine();
        }

        Staying(state.Staying, state.NotAsked, output);
    }

    /// <summary>How it stands or ended, in one line; the reasons stand once, beside each container.</summary>
    public static string Summary(HomecomingState state)
    {
        HomecomingStep[] coming = [.. state.Steps.Where(step => step.Plan.Kind == HomecomingStepKind.BringHome)];
        int home = coming.Count(step => step.Phase == HomecomingStepPhase.Done);
        int away = coming.Length - home + state.Staying.Count(staying => staying.At.Length > 0);
        bool broke = state.Phase.IsEnd() && (state.Steps.Any(step => !step.Phase.IsEnd()) || (coming.Length == 0 && state.Staying.Count == 0));
        string count = broke
            ? state.Problem.Length > 0 ? state.Problem : state.Phase == HomecomingPhase.Done ? "no container of this node was elsewhere" : ""
            : $"{home} of {home + away} containers came home";
        return $"{Words.Of(state.Phase).ToUpperInvariant()}{(state.CancelledBy is { } by ? $" by {by}" : "")}{(count.Length > 0 ? $": {count}" : "")}";
    }

    public static string Line(HomecomingStep step) =>
        $"{step.Plan.Container.Name}: {step.Plan.From} → {step.Plan.To}: {Stand(step)}{(step.Detail.Length > 0 ? $": {step.Detail}" : "")}";

    private static string Stand(HomecomingStep step) => step is { Phase: HomecomingStepPhase.Moving, Move: { } move } ? Show.State(move) : Words.Of(step.Phase);

    private static void Staying(IReadOnlyList<StayingAway> staying, IReadOnlyList<ExcludedPeer> notAsked, TextWriter output)
    {
        foreach (StayingAway away in staying)
            output.WriteLine($"  {(away.At.Length > 0 ? $"stays on {away.At}" : "not found")}: {away.Container}: {string.Join("; ", away.Blockers.Select(blocker => $"{blocker.Text} [{Words.Of(blocker.Code)}]"))}");
        foreach (ExcludedPeer peer in notAsked)
            output.WriteLine($"  not asked: {peer.Name}: {peer.Reason} [{Words.Of(peer.Code)}]");
    }
}
