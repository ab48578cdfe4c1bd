namespace Evacuator.NodeAgent.Memory.Convergence;

/// <summary>
/// The last rounds before a freeze of a container that writes so fast that its rounds have stopped to become shorter: what it writes during the last one travels while it stands
/// still, so it is slowed down for a moment, by as much as it may be at all. Functions of numbers alone.
/// </summary>
internal static class CalmPolicy
{
    /// <summary>A round that takes less leaves so little that the next could not do much better.</summary>
    public static readonly TimeSpan Small = TimeSpan.FromMilliseconds(15);

    /// <summary>Its clients shall notice less of it than the freeze becomes shorter.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromSeconds(1);

    private const int MaxRounds = 5;

    /// <summary>A round that takes more of the time of the one before does not help.</summary>
    private const double Progress = 0.9;

    /// <param name="last">the last round at the speed that it has</param>
    /// <param name="speed">what it may be slowed down to: 1 forbids it</param>
    public static bool Helps(TimeSpan last, double speed) => speed < 1 && last > Small;

    /// <summary>After each round at the lower speed.</summary>
    /// <param name="rounds">so far</param>
    /// <param name="before">how long the round before the last took</param>
    /// <param name="last">and the last</param>
    /// <param name="elapsed">since it was slowed down</param>
    /// <returns>whether there is to be another</returns>
    public static bool GoesOn(int rounds, TimeSpan before, TimeSpan last, TimeSpan elapsed) =>
        elapsed < Longest && rounds < MaxRounds
        // The first sends what was written at full speed.
        && (rounds < 2 || (last > Small && last < Progress * before));
}
