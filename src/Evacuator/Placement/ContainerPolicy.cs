using System.Globalization;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;

namespace Evacuator.Placement;

/// <summary>What a container's annotations ask for. A value that cannot be understood counts as absent, and is named.</summary>
internal sealed record ContainerPolicy
{
    public const int DefaultPriority = 50;

    /// <summary>evacuator.policy=stay: never touched.</summary>
    public bool Stay { get; private init; }

    /// <summary>Why <see cref="Stay"/>, in words, the mistake if that was one; empty otherwise.</summary>
    public string WhyStay { get; private init; } = "";

    /// <summary>evacuator.policy=cold or stop: it may be stopped here and started there. Without it nothing is ever stopped.</summary>
    public bool MayStop { get; private init; }

    /// <summary>evacuator.policy=stop: it is not moved live at all.</summary>
    public bool OnlyStop { get; private init; }

    /// <summary>evacuator.priority, 0..100; higher leaves first.</summary>
    public int Priority { get; private init; } = DefaultPriority;

    /// <summary>evacuator.freeze-budget; null: the node's default.</summary>
    public TimeSpan? FreezeBudget { get; private init; }

    /// <summary>evacuator.post-copy=yes: it may be resumed before all of its memory is there. The agents act upon it; here it is only checked.</summary>
    public bool MayPostCopy { get; private init; }

    /// <summary>evacuator.spread: never two of the same name in one place; null: none.</summary>
    public string? Spread { get; private init; }

    /// <summary>evacuator.spread-over: how large such a place is.</summary>
    public SpreadOver SpreadOver { get; private init; } = SpreadOver.Node;

    /// <summary>evacuator.group: members of the same name go to the same peer, or none goes; null: none.</summary>
    public string? Group { get; private init; }

    /// <summary>evacuator.order: within its group, lower ones leave first.</summary>
    public int Order { get; private init; }

    /// <summary>evacuator.zone: it may only be in these; empty: anywhere.</summary>
    public IReadOnlyList<string> Zones { get; private init; } = [];

    /// <summary>evacuator.parts: what of the hardware it depends on, by names, places or serial numbers as "evacuator signals" shows them; empty: not told.</summary>
    public IReadOnlyList<string> Parts { get; private init; } = [];

    /// <summary>Annotations that could not be understood, in words.</summary>
    public IReadOnlyList<string> Mistakes { get; private init; } = [];

    /// <summary>Whether it depends on this part: one of its names is the part's, its place's, or its serial number.</summary>
    public bool Uses(Journal.Fault failing)
    {
        string[] names = [.. failing.Part.Split(',', StringSplitOptions.TrimEntries).Append(failing.Location ?? "").Where(name => name.Length > 0)];
        return Parts.Any(part => names.Any(name => name.Equals(part, StringComparison.OrdinalIgnoreCase) || name.Equals($"serial {part}", StringComparison.OrdinalIgnoreCase)));
    }

    public static ContainerPolicy Of(ContainerReport container)
    {
        List<string> mistakes = [.. container.Annotations.Keys.Where(key => key.StartsWith(Annotations.Prefix, StringComparison.Ordinal) && !Annotations.All.Contains(key)).Order(StringComparer.Ordinal)
            .Select(key => $"{key} is no annotation of Evacuator's and changes nothing: {string.Join(", ", Annotations.All)} are")];
        if (Get(Annotations.LeastSpeed) is { } speed && !(int.TryParse(speed.TrimEnd('%'), NumberStyles.None, CultureInfo.InvariantCulture, out int percent) && percent is >= 5 and <= 100))
            mistakes.Add($"{Annotations.LeastSpeed}={speed} is not a number from 5 to 100: it is not slowed down");
        string? policy = Get(Annotations.Policy);
        string whyStay = policy == "stay" ? $"its annotation {Annotations.Policy}=stay forbids to move it" : "";
        if (policy is not (null or "live" or "cold" or "stop" or "stay"))
        {
            // Not understood must not mean "move it": the owner wanted something special.
            whyStay = $"{Annotations.Policy}={policy} is none of live, cold, stop, stay: it is left alone";
            mistakes.Add(whyStay);
            policy = "stay";
        }

        TimeSpan? budget = null;
        if (Get(Annotations.FreezeBudget) is { } budgetText)
        {
            if (Duration.TryParse(budgetText, out TimeSpan parsed) && parsed > TimeSpan.Zero && parsed < TimeSpan.FromHours(1))
                budget = parsed;
            else
                mistakes.Add($"{Annotations.FreezeBudget}={budgetText} is not a duration such as 300ms or 2s: [move] freeze-budget holds");
        }

        string? postCopy = Get(Annotations.PostCopy);
        if (postCopy is not (null or "yes" or "true" or "no" or "false"))
            mistakes.Add($"{Annotations.PostCopy}={postCopy} is none of yes, no: taken for no");

        SpreadOver over = SpreadOver.Node;
        if (Get(Annotations.SpreadOver) is { } place && !(Enum.TryParse(place, ignoreCase: true, out over) && Enum.IsDefined(over) && !char.IsAsciiDigit(place[0])))
        {
            mistakes.Add($"{Annotations.SpreadOver}={place} is none of node, rack, zone: taken for the widest, zone");
            over = SpreadOver.Zone;
        }

        if (Get(Annotations.SpreadOver) is { } without && Get(Annotations.Spread) is null)
            mistakes.Add($"{Annotations.SpreadOver}={without} changes nothing without {Annotations.Spread}, the name of the group whose members are kept apart");

        return new ContainerPolicy
        {
            Stay = policy == "stay",
            WhyStay = whyStay,
            MayStop = policy is "cold" or "stop",
            OnlyStop = policy == "stop",
            Priority = Number(Annotations.Priority, 100, DefaultPriority),
            FreezeBudget = budget,
            MayPostCopy = postCopy is "yes" or "true",
            Spread = Get(Annotations.Spread),
            SpreadOver = over,
            Group = Get(Annotations.Group),
            Order = Number(Annotations.Order, 9999, 0),
            Zones = Get(Annotations.Zone)?.Split((char[])[' ', ','], StringSplitOptions.RemoveEmptyEntries) ?? [],
            Parts = Get(Annotations.Parts)?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [],
            Mistakes = mistakes,
        };

        string? Get(string key) => container.Annotations.TryGetValue(key, out string? value) && value.Trim() is { Length: > 0 } text ? text : null;

        int Number(string key, int most, int otherwise)
        {
            if (Get(key) is not { } text)
                return otherwise;
            if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number <= most)
                return number;
            mistakes.Add($"{key}={text} is not a number from 0 to {most}: taken for {otherwise}");
            return otherwise;
        }
    }
}

/// <summary>What members of a spread group may not share.</summary>
internal enum SpreadOver
{
    Node,
    Rack,
    Zone,
}
