using System.Globalization;

namespace Evacuator.NodeAgent.Memory.Convergence;

/// <summary>
/// After every round: freeze, go on, help, or give up. A function of numbers alone.
/// <list type="number">
/// <item>Freeze as soon as the prediction fits the budget, and never otherwise.</item>
/// <item>Give up at the deadline and at the round limit; give up at once if the budget would not even hold an empty residual twice in a row (a burst of new processes may pass).</item>
/// <item>Go on while a round finds clearly less than the one before: it converges by itself.</item>
/// <item>Else slow the writers down by half, as far as allowed; one round shows whether that helped, since each round is as long as the one before left it to do.</item>
/// <item>At the lowest throttle and no better: it writes faster than the wire takes.</item>
/// </list>
/// It ends: every call either freezes, gives up, or follows a round, of which there is a limit.
/// </summary>
internal static class ConvergencePolicy
{
    /// <summary>A round that finds less than this part of the one before makes progress.</summary>
    private const double Progress = 0.9;

    /// <summary>Rounds without progress before helping: dirty rates are uneven, one bad round says little.</summary>
    private const int Patience = 2;

    private const double ThrottleStep = 0.5;

    public static Decision Next(RoundHistory history, Measurements measured, ConvergenceBudget budget)
    {
        if (history.Rounds.Count == 0)
            return new Decision(DecisionKind.AnotherRound, TimeSpan.MaxValue, 1, GiveUpReason.None, "nothing is copied yet");
        RoundStatistics last = history.Rounds[^1].Round;
        double throttle = history.Rounds[^1].Throttle;
        FreezeShape shape = FreezeShape.From(last, ExpectedResidual(history), measured.BytesPerSecond) with { LazyDump = measured.LazyDump };
        TimeSpan predicted = measured.Model.Predict(shape);
        TimeSpan floor = measured.Model.Predict(shape with { ResidualBytes = 0 });

        // 1. The first round copies everything: what it found says nothing of what is written meanwhile.
        if (history.Rounds.Count > 1 && predicted <= budget.Freeze)
            return Decide(DecisionKind.FreezeNow, throttle, $"{Mib(shape.ResidualBytes)} MiB left");

        // 2. Limits.
        if (history.Elapsed >= budget.Deadline)
            return GiveUp(GiveUpReason.Deadline, $"not within {budget.Deadline.TotalSeconds:0} s");
        if (history.Rounds.Count >= budget.MaximumRounds)
            return GiveUp(GiveUpReason.RoundLimit, $"not within {budget.MaximumRounds} rounds");
        if (floor > budget.Freeze && history.Rounds.Count > 1)
        {
            RoundStatistics before = history.Rounds[^2].Round;
            if (measured.Model.Predict(FreezeShape.From(before, 0, measured.BytesPerSecond)) > budget.Freeze)
                return GiveUp(GiveUpReason.FixedCostOverBudget,
                    $"{last.Processes} processes, {last.Threads} threads, {last.Mappings} mappings, {Mib(last.UntrackedBytes)} MiB that cannot travel ahead (tmpfs, changed copies of files) and {Mib(last.SharedBytes)} MiB of shared memory take {floor.TotalMilliseconds:0} ms by themselves");
        }

        // 3. Converging by itself.
        int stuck = RoundsWithoutProgress(history);
        if (stuck < Patience)
            return Decide(DecisionKind.AnotherRound, throttle, $"{Mib(shape.ResidualBytes)} MiB left of {Mib(measured.Model.AllowedResidual(shape, budget.Freeze))} allowed");

        // 4. Help, 5. or not.
        double slower = Math.Max(throttle * ThrottleStep, budget.LowestThrottle);
        return slower < throttle
            ? Decide(DecisionKind.HelpConverge, slower, $"no progress for {stuck} rounds: writers at {slower * 100:0} %")
            : GiveUp(GiveUpReason.WritesFasterThanWire, $"{Mib(shape.ResidualBytes)} MiB are written while as much is sent at {measured.BytesPerSecond / 1e6:0} MB/s");

        Decision Decide(DecisionKind kind, double speed, FormattableString why) =>
            new(kind, predicted, speed, GiveUpReason.None, Text(predicted, budget, why));

        Decision GiveUp(GiveUpReason reason, FormattableString why) =>
            new(DecisionKind.GiveUp, predicted, throttle, reason, Text(predicted, budget, why));
    }

    /// <summary>
    /// What will be dirty at the freeze. A round of length t found what was written in the time before it; the freeze comes one round later, so the larger of the last two is expected
    /// (writers come in bursts), the very first round, which copied everything, left out.
    /// </summary>
    private static ulong ExpectedResidual(RoundHistory history)
    {
        ulong last = history.Rounds[^1].Round.DirtyBytes;
        return history.Rounds.Count <= 2 ? last : Math.Max(last, Math.Min(history.Rounds[^2].Round.DirtyBytes, last * 2));
    }

    /// <summary>Rounds at the end of the history, since the throttle last changed, that found nearly as much as the best before them.</summary>
    private static int RoundsWithoutProgress(RoundHistory history)
    {
        int stuck = 0;
        double best = double.MaxValue;
        double throttle = history.Rounds[0].Throttle;
        // The first round copies everything and is no measure for the others.
        foreach (RoundResult result in history.Rounds.Skip(1))
        {
            if (result.Throttle != throttle)
            {
                throttle = result.Throttle;
                stuck = 0;
                // Slower writers have to do better than the faster ones did, so the best stays.
            }
            if (result.Round.DirtyBytes < best * Progress)
            {
                best = result.Round.DirtyBytes;
                stuck = 0;
            }
            else
                stuck++;
        }
        return stuck;
    }

    private static string Text(TimeSpan predicted, ConvergenceBudget budget, FormattableString why) =>
        string.Create(CultureInfo.InvariantCulture, $"predicted freeze {predicted.TotalMilliseconds:0} ms of {budget.Freeze.TotalMilliseconds:0} ms: {FormattableString.Invariant(why)}");

    private static ulong Mib(ulong bytes) => bytes >> 20;
}
