using Evacuator.Api;
using Evacuator.Homecoming;

namespace Evacuator.Cli;

/// <summary>Shows a homecoming while it happens: a line for each change, and at the end all of it.</summary>
internal static class FollowHomecoming
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(500);

    /// <returns>an exit code that says how it ended</returns>
    public static async Task<int> RunAsync(BrainClient client, HomecomingState state, VerbContext context, bool asJson, TimeProvider time, CancellationToken token)
    {
        Dictionary<int, string> shown = [];
        try
        {
            while (!state.Phase.IsEnd())
            {
                foreach (HomecomingStep step in state.Steps)
                {
                    string line = ShowHomecoming.Line(step);
                    if (!asJson && step.Phase != HomecomingStepPhase.Waiting && shown.GetValueOrDefault(step.Plan.Number) != line)
                        context.Out.WriteLine($"{time.GetUtcNow().UtcDateTime:HH:mm:ss}  {line}");
                    shown[step.Plan.Number] = line;
                }

                await Task.Delay(Poll, time, token).ConfigureAwait(false);
                state = await client.GetAsync<HomecomingState>($"{ApiRoutes.Homecomings}/{state.Id:D}", token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            context.Error.WriteLine("evacuator: not waiting any more. The homecoming goes on: \"evacuator status\" shows it, \"evacuator return --cancel\" stops it");
            return CliExit.Interrupted;
        }

        if (asJson)
            context.WriteJson(state);
        else
            ShowHomecoming.State(state, context.Out);
        return ExitCodeOf(state.Phase);
    }

    public static int ExitCodeOf(HomecomingPhase end) => end switch
    {
        HomecomingPhase.Done => CliExit.Ok,
        HomecomingPhase.Cancelled => CliExit.Cancelled,
        _ => CliExit.Failed,
    };
}
