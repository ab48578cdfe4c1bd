using System.Globalization;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;

namespace Evacuator.Placement;

/// <summary>What a container's annotations ask for. A value that cannot be understood counts as absent, and is named.</summary>
/// <param name="Stay">evacuator.policy=stay</param>
/// <param name="Priority">evacuator.priority, 0..100; higher leaves first; 50 by default</param>
/// <param name="FreezeBudget">evacuator.freeze-budget; null: the node's default</param>
/// <param name="Spread">evacuator.spread: never two of the same name on one node; null: none</param>
/// <param name="Mistakes">annotations that could not be understood, in words</param>
internal sealed record ContainerPolicy(bool Stay, int Priority, TimeSpan? FreezeBudget, string? Spread, IReadOnlyList<string> Mistakes)
{
    public const int DefaultPriority = 50;

    public static ContainerPolicy Of(ContainerReport container)
    {
        List<string> mistakes = [];
        string? policy = Get("evacuator.policy");
        if (policy is not (null or "live" or "cold" or "stop" or "stay"))
        {
            // Not understood must not mean "move it": the owner wanted something special.
            mistakes.Add($"evacuator.policy={policy} is none of live, cold, stop, stay: it is left alone");
            policy = "stay";
        }

        int priority = DefaultPriority;
        if (Get("evacuator.priority") is { } priorityText
            && !(int.TryParse(priorityText, NumberStyles.None, CultureInfo.InvariantCulture, out priority) && priority <= 100))
        {
            mistakes.Add($"evacuator.priority={priorityText} is not a number from 0 to 100");
            priority = DefaultPriority;
        }

        TimeSpan? budget = null;
        if (Get("evacuator.freeze-budget") is { } budgetText)
        {
            if (Duration.TryParse(budgetText, out TimeSpan parsed) && parsed > TimeSpan.Zero && parsed < TimeSpan.FromHours(1))
                budget = parsed;
            else
                mistakes.Add($"evacuator.freeze-budget={budgetText} is not a duration such as 300ms or 2s");
        }

        return new ContainerPolicy(policy == "stay", priority, budget, Get("evacuator.spread"), mistakes);

        string? Get(string key) => container.Annotations.TryGetValue(key, out string? value) && value.Length > 0 ? value.Trim() : null;
    }
}
