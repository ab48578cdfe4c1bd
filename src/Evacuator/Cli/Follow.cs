using System.Runtime.InteropServices;
using Evacuator.Api;
using Evacuator.Evacuation;
using Evacuator.Journal;

namespace Evacuator.Cli;

/// <summary>Shows an evacuation while it happens: a line for each change, so that it reads well on a terminal and in a log.</summary>
internal static class Follow
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(500);

    /// <summary>Between the proof and the shutdown's first signal there may be less than a usual pause, and what is seen last decides what is said.</summary>
    private static readonly TimeSpan PollBeforePowerOff = TimeSpan.FromMilliseconds(100);

    /// <summary>For one last look when this program is told to end.</summary>
    private static readonly TimeSpan LastLook = TimeSpan.FromSeconds(1);

    /// <summary>Time without a line after which those under way are shown all the same.</summary>
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(15);

    /// <param name="enough">the exit code, if it is not to be followed to its end; asked after each look</param>
    /// <returns>an exit code that says how the evacuation ended</returns>
    public static async Task<int> RunAsync(
        BrainClient client, Guid id, VerbContext context, bool asJson, TimeProvider time, CancellationToken token, Func<EvacuationReport, int?>? enough = null)
    {
        // Linked: Ctrl-C or SIGTERM; and the end of the terminal, which a host that goes down takes away in the same moment.
        using CancellationTokenSource ending = CancellationTokenSource.CreateLinkedTokenSource(token);
        using PosixSignalRegistration hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, signal =>
        {
            signal.Cancel = true;
            ending.Cancel();
        });
        FollowLines lines = new(Quiet, time);
        EvacuationReport? before = null;
        while (true)
        {
            EvacuationReport report;
            try
            {
                report = await client.GetAsync<EvacuationReport>($"{ApiRoutes.Evacuations}/{id:D}", ending.Token).ConfigureAwait(false);
            }
            catch (CliException e) when (e.ExitCode == CliExit.Unavailable && before is not null)
            {
                return CutOff(before, context, asJson) ?? throw new CliException(e.ExitCode, $"{e.Message} The evacuation continues when the service runs again.", e);
            }
            catch (OperationCanceledException)
            {
                before = await LookOnceMoreAsync(client, id, time).ConfigureAwait(false) ?? before;
                return (before is null ? null : CutOff(before, context, asJson)) ?? Interrupted(before, id, context);
            }

            if (report.State.IsEnd())
            {
                if (asJson)
                    context.WriteJson(report);
                else
                    Show.Report(report, context.Out);
                return ExitCodeOf(report.State);
            }

            if (!asJson)
            {
                foreach (string line in lines.Of(before, report))
                    context.Out.WriteLine(line);
            }

            if (enough?.Invoke(report) is { } code)
                return code;
            before = report;
            TimeSpan pause = report is { State: EvacuationPhase.Proving or EvacuationPhase.ArrangingPowerOff, Power.Requested: true } ? PollBeforePowerOff : Poll;
            // A cancellation is said at the next turn, in one place.
            await Task.Delay(pause, time, ending.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>What is said when the connection ends with the host; null if the host was not going down as far as is known.</summary>
    internal static int? CutOff(EvacuationReport last, VerbContext context, bool asJson)
    {
        if (last is not { State: EvacuationPhase.PoweringOff, Power.Witness: { } witness })
            return null;
        try
        {
            if (asJson)
                context.WriteJson(last);
            context.Error.WriteLine(
                $"evacuator: {last.Node} is proven empty and goes down; it cannot be cancelled any more. {witness} watches its BMC: \"evacuator report {last.Id:D}\" there tells when it is off");
        }
        catch (IOException)
        {
            // The terminal has gone with the host; the exit code is what is left to say it.
        }

        return CliExit.GoingDown;
    }

    private static int Interrupted(EvacuationReport? last, Guid id, VerbContext context)
    {
        try
        {
            context.Error.WriteLine("evacuator: not waiting any more. " + last switch
            {
                { State: EvacuationPhase.ArrangingPowerOff } => $"{last.Node} is empty and about to go down: \"evacuator report {id:D}\" on its peers tells when it is off",
                { State: EvacuationPhase.Cancelling } => "It is being cancelled further; \"evacuator status\" shows it",
                _ => "The evacuation goes on: \"evacuator status\" shows it, \"evacuator cancel\" stops it",
            });
        }
        catch (IOException)
        {
        }

        return CliExit.Interrupted;
    }

    private static async Task<EvacuationReport?> LookOnceMoreAsync(BrainClient client, Guid id, TimeProvider time)
    {
        using CancellationTokenSource limit = new(LastLook, time);
        try
        {
            return await client.GetAsync<EvacuationReport>($"{ApiRoutes.Evacuations}/{id:D}", limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is CliException or OperationCanceledException)
        {
            return null;
        }
    }

    public static int ExitCodeOf(EvacuationPhase end) => end switch
    {
        EvacuationPhase.Done => CliExit.Ok,
        EvacuationPhase.Cancelled => CliExit.Cancelled,
        _ => CliExit.Failed,
    };
}
