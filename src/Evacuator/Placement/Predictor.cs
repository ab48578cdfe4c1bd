using System.Globalization;
using Evacuator.Common.AgentApi;

namespace Evacuator.Placement;

/// <summary>A move or a rehearsal as it was.</summary>
/// <param name="BytesSent">of files and memory; 0 for a rehearsal, which sends nothing</param>
/// <param name="Seconds">from its beginning to its end</param>
/// <param name="Rounds">0 if it was not told</param>
/// <param name="FreezeMs">null for one that was stopped</param>
internal sealed record Experience(string Container, long MemoryBytes, long BytesSent, double Seconds, int Rounds, double? FreezeMs, DateTimeOffset At, bool Rehearsed);

/// <summary>
/// Says beforehand what a move will cost, from what moves of this node did cost. Nothing is made up: without experience there is no figure, and each figure says what it
/// comes from. A function of its arguments alone.
/// </summary>
internal static class Predictor
{
    /// <summary>A container that has grown or shrunk by more than this since then is another one.</summary>
    private const double SameSize = 2;

    public static Prediction? Predict(ContainerReport container, MoveMode mode, IReadOnlyList<Experience> past)
    {
        List<Experience> moves = [.. past.Where(experience => experience is { Rehearsed: false, BytesSent: > 0, Seconds: > 0 })];
        double? rate = moves.Count > 0 ? moves.Sum(move => move.BytesSent) / moves.Sum(move => move.Seconds) : null;
        double? seconds = rate is > 0 ? Math.Round((container.MemoryBytes + container.DiskBytes) / rate.Value, 1) : null;
        if (mode != MoveMode.Live)
            return seconds is null ? null : new Prediction(null, seconds, null, RateBasis(moves));

        if (past.Where(experience => experience.Container == container.Name && experience.FreezeMs is not null && IsAlike(experience, container))
            // A rehearsal has not seen the restore at the peer: it says less than a move, however old that is.
            .OrderBy(experience => experience.Rehearsed).ThenByDescending(experience => experience.At).FirstOrDefault() is { } own)
        {
            string basis = $"{(own.Rehearsed ? "its rehearsal (without the restore at the peer)" : "its last move")} of {own.At.UtcDateTime.ToString("yyyy-MM-dd HH:mm'Z'", CultureInfo.InvariantCulture)}";
            return new Prediction(own.Rounds > 0 ? own.Rounds : null, own is { Rehearsed: false, Seconds: > 0 } ? Math.Round(own.Seconds, 1) : seconds, own.FreezeMs, basis);
        }

        List<double> freezes = [.. moves.Where(move => move.FreezeMs is not null).Select(move => move.FreezeMs!.Value).Order()];
        if (freezes.Count == 0)
            return seconds is null ? null : new Prediction(null, seconds, null, RateBasis(moves));
        List<int> rounds = [.. moves.Where(move => move.Rounds > 0).Select(move => move.Rounds).Order()];
        return new Prediction(rounds.Count > 0 ? rounds[rounds.Count / 2] : null, seconds, freezes[freezes.Count / 2],
            $"the median of {freezes.Count} other {(freezes.Count == 1 ? "move" : "moves")} from this node (\"evacuator rehearse\" measures this container)");
    }

    private static string RateBasis(List<Experience> moves) => $"the speed of the last {moves.Count} {(moves.Count == 1 ? "move" : "moves")} from this node";

    private static bool IsAlike(Experience experience, ContainerReport container) =>
        Math.Max(experience.MemoryBytes, 1) <= Math.Max(container.MemoryBytes, 1) * SameSize && Math.Max(container.MemoryBytes, 1) <= Math.Max(experience.MemoryBytes, 1) * SameSize;
}
