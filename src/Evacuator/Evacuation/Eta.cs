using Evacuator.Common.AgentApi;
using Evacuator.Journal;

namespace Evacuator.Evacuation;

/// <summary>
/// How long the moves of an evacuation will still take, from how long its own moves have taken: no figure before there is something to tell it from. A pure function.
/// </summary>
/// <remarks>
/// A move costs a constant (asking, reserving, freezing, removing) and its bytes. Both are taken from what has been seen: the bytes' speed from all that was sent, the
/// constant from finished moves; how both change on the way, from the last of them. What is left is then put into as many lanes as move at once, in the order of departure, as the run itself does it.
/// </remarks>
internal static class Eta
{
    /// <summary>Before this much has happened, any figure would be a guess.</summary>
    private static readonly TimeSpan Least = TimeSpan.FromSeconds(1);

    /// <summary>
    /// How much larger than all that was seen what is left may be. Files go first and are small: from the pace of the first of them, memory seems to take hours.
    /// </summary>
    private const double Reach = 16;

    /// <param name="parallel">moves at once</param>
    /// <returns>null: cannot be told yet, or nothing is left to move</returns>
    public static TimeSpan? OfMoves(IReadOnlyList<MoveState> moves, int parallel, DateTimeOffset now)
    {
        List<MoveState> open = [.. moves.Where(move => !move.Phase.IsEnd()).OrderByDescending(move => move.Phase).ThenBy(move => move.Order)];
        List<(double Bytes, double Seconds)> finished =
        [
            // A clock that was set in between says nothing of a move's pace.
            .. moves.Where(move => move is { Phase: MovePhase.Moved, Started: not null, Ended: not null } && move.Ended > move.Started).OrderBy(move => move.Ended)
                .Select(move => (Bytes: (double)Math.Max(Size(move), move.Last?.BytesSent ?? 0), (move.Ended!.Value - move.Started!.Value).TotalSeconds)),
        ];
        List<(double Bytes, double Seconds)> running =
        [
            .. open.Where(move => move is { Phase: MovePhase.Moving, Started: not null, Last.BytesSent: > 0 } && now > move.Started)
                .Select(move => (Bytes: (double)move.Last!.BytesSent, (now - move.Started!.Value).TotalSeconds)),
        ];
        if (open.Count == 0 || finished.Count == 0 && running.All(move => move.Seconds < Least.TotalSeconds))
            return null;
        if (open.Max(Size) > Reach * finished.Concat(running).Max(move => move.Bytes))
            return null;
        (double constant, double rate) = Fit(finished.Count >= 2 ? finished : [.. finished, .. running]);

        double pace = PaceOf(finished, constant, rate, Math.Max(1, parallel));
        (constant, rate) = (constant * pace, rate / pace);

        double[] lanes = new double[Math.Max(1, parallel)];
        foreach (MoveState move in open)
        {
            double whole = constant + Math.Max(Size(move), move.Last?.BytesSent ?? 0) / rate;
            double done = move.Started is { } started && move.Phase != MovePhase.Planned ? (now - started).TotalSeconds : 0;
            int lane = Array.IndexOf(lanes, lanes.Min());
            // One that has taken longer than thought needs at least as long again as the constant: it is not "just done" for ever.
            lanes[lane] += Math.Max(whole - done, Math.Min(constant, whole) / 2);
        }

        return TimeSpan.FromSeconds(Math.Round(lanes.Max(), 1));
    }

    /// <summary>
    /// The constant and the speed that explain best what was seen. The large leave first, and from moves of one size nobody can tell the constant from the bytes, however
    /// much they waver: until sizes differ clearly, a second of each move is taken for the constant and the rest for its bytes. Then least squares of relative errors.
    /// </summary>
    private static (double Constant, double Rate) Fit(List<(double Bytes, double Seconds)> seen)
    {
        double meanBytes = seen.Average(move => move.Bytes), meanSeconds = seen.Average(move => move.Seconds);
        double constant = Math.Min(1, meanSeconds / 2);
        double slope = (meanSeconds - constant) / Math.Max(meanBytes, 1);
        if (seen.Count >= 4 && seen.Max(move => move.Bytes) >= 4 * Math.Max(1, seen.Min(move => move.Bytes)))
        {
            double weights = seen.Sum(Weight);
            double bytes = seen.Sum(move => Weight(move) * move.Bytes) / weights, seconds = seen.Sum(move => Weight(move) * move.Seconds) / weights;
            double spread = seen.Sum(move => Weight(move) * (move.Bytes - bytes) * (move.Bytes - bytes));
            double fitted = seen.Sum(move => Weight(move) * (move.Bytes - bytes) * (move.Seconds - seconds)) / spread;
            // Neither can be negative; what says so is noise.
            if (fitted > 0 && seconds - fitted * bytes >= 0)
                (constant, slope) = (seconds - fitted * bytes, fitted);
        }

        return (constant, slope > 0 ? 1 / slope : double.PositiveInfinity);

        static double Weight((double Bytes, double Seconds) move) => 1 / Math.Max(move.Seconds * move.Seconds, 1e-6);
    }

    /// <summary>
    /// How much longer than that moves take now. The pace changes on the way: the first moves find nothing prepared, and hosts and links have other work, too. A move counts
    /// half for each <paramref name="parallel"/> that have ended since.
    /// </summary>
    /// <param name="finished">in the order in which they ended</param>
    private static double PaceOf(List<(double Bytes, double Seconds)> finished, double constant, double rate, int parallel)
    {
        double took = 0, thought = 0;
        for (int i = 0; i < finished.Count; i++)
        {
            double weight = Math.Pow(0.5, (finished.Count - 1.0 - i) / parallel);
            took += weight * finished[i].Seconds;
            thought += weight * (constant + finished[i].Bytes / rate);
        }

        return thought > 0 ? took / thought : 1;
    }

    private static long Size(MoveState move) => (move.Mode == MoveMode.Live ? move.Container.MemoryBytes : 0) + move.Container.DiskBytes;
}
