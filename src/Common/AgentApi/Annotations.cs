namespace Evacuator.Common.AgentApi;

/// <summary>What the owner of a container may ask for, in the annotations of its config.json: all of them, for the brain that decides and the agent that acts.</summary>
public static class Annotations
{
    /// <summary>What begins like this and is none of <see cref="All"/> is a mistake.</summary>
    public const string Prefix = "evacuator.";

    /// <summary>live, cold, stop or stay.</summary>
    public const string Policy = Prefix + "policy";

    /// <summary>How long it may take to end when it is stopped; a duration.</summary>
    public const string StopTimeout = Prefix + "stop-timeout";

    /// <summary>From 0 to 100: the higher leave first.</summary>
    public const string Priority = Prefix + "priority";

    /// <summary>Parts of the host that it uses.</summary>
    public const string Parts = Prefix + "parts";

    /// <summary>The longest that it may stand still; a duration.</summary>
    public const string FreezeBudget = Prefix + "freeze-budget";

    /// <summary>The least speed, in percent, that it may be slowed down to for its move.</summary>
    public const string LeastSpeed = Prefix + "least-speed";

    /// <summary>"yes" permits to resume it before all of its memory is there.</summary>
    public const string PostCopy = Prefix + "post-copy";

    /// <summary>Those of one name are kept apart.</summary>
    public const string Spread = Prefix + "spread";

    /// <summary>How far: node, rack or zone.</summary>
    public const string SpreadOver = Prefix + "spread-over";

    /// <summary>Those of one name go to one node.</summary>
    public const string Group = Prefix + "group";

    /// <summary>Its place in its group.</summary>
    public const string Order = Prefix + "order";

    /// <summary>Zones that it may go to.</summary>
    public const string Zone = Prefix + "zone";

    /// <summary>Directories that every node has: not copied.</summary>
    public const string SharedPaths = Prefix + "shared-paths";

    /// <summary>All of them.</summary>
    public static IReadOnlyList<string> All { get; } =
        [Policy, StopTimeout, Priority, Parts, FreezeBudget, LeastSpeed, PostCopy, Spread, SpreadOver, Group, Order, Zone, SharedPaths];
}
