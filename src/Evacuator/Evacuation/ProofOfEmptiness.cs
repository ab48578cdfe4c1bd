using Evacuator.Common.AgentApi;
using Evacuator.Journal;

namespace Evacuator.Evacuation;

/// <summary>
/// Two looks in a row, some seconds apart, that find nothing. What a removed container leaves behind needs a moment to go away, so a look that finds
/// something is repeated for a while; what is still there then is left.
/// </summary>
internal static class ProofOfEmptiness
{
    public static async Task<EvacuationInput> TakeAsync(
        Func<Task<EmptinessReport>> look, Action<Waiting> say, BrainTimings timings, TimeProvider time, CancellationToken token)
    {
        Patience patience = new(timings.ProofPatience, time);
        EmptinessReport? first = null;
        while (true)
        {
            EmptinessReport report = await look().ConfigureAwait(false);
            if (report.Empty && first is not null)
                return new EvacuationInput.EmptyProven([first, report]);
            first = report.Empty ? report : null;
            string left = Left(report);
            if (!report.Empty && patience.IsOver)
                return new EvacuationInput.NotEmpty(report, $"not proven empty: {left}");

            say(report.Empty
                ? new Waiting("the second look that must find nothing", time.GetUtcNow(), time.GetUtcNow() + timings.ProofGap, "the node counts as empty")
                : new Waiting($"what is left to go away ({left})", time.GetUtcNow(), patience.Until, "if it is still there then, the evacuation ends as failed"));
            await Task.Delay(timings.ProofGap, time, token).ConfigureAwait(false);
        }
    }

    private static string Left(EmptinessReport report)
    {
        List<EmptinessCheck> failed = [.. report.Checks.Where(check => !check.Passed)];
        return failed.Count == 0
            ? "the agent says so without naming a check"
            : string.Join("; ", failed.Select(check => $"{check.Name}: {(check.Left.Count == 0 ? "could not be looked at" : string.Join(", ", check.Left))}"));
    }
}
