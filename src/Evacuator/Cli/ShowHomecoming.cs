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
        output.WriteLine($"homecoming {state.Id:D} to {state.Node}, asked by {state.RequestedBy}");
        output.WriteLine($"  {Words.Of(state.Phase).ToUpperInvariant()}{(state.CancelledBy is { } by ? $" by {by}" : "")}{(state.Problem.Length > 0 ? $": {state.Problem}" : "")}");
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
        }

        Staying(state.Staying, state.NotAsked, output);
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
