using System.Globalization;
using Evacuator.Agent;
using Evacuator.Api;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Fleet;
using Evacuator.Power;
using Microsoft.Extensions.Logging;

namespace Evacuator.Evacuation;

/// <summary>
/// Settles a container that was released to a host which will never answer. Never by itself: a person says so, nothing of that host may answer, and its BMC, where it
/// is named, has to say Off in two reads.
/// </summary>
internal sealed partial class GonePeer(
    AgentClient agent, PeerDirectory peers, EvacuationService evacuations, EvacuatorOptions options, OwnBmc own, IBmcs bmcs, BrainTimings timings, TimeProvider time,
    ILogger<GonePeer> log)
{
    /// <summary>Thawing takes milliseconds; telling the destination that is gone takes the agent's patience.</summary>
    private static readonly TimeSpan EndTime = TimeSpan.FromSeconds(40);

    public async Task<SettleResult> SettleAsync(SettleRequest request, string by, CancellationToken token)
    {
        try
        {
            // 1. It waits for that host and no other.
            List<MoveReport> open = [.. (await agent.GetMovesAsync(token).ConfigureAwait(false)).Where(move => !move.Ended)];
            if (open.LastOrDefault(move => move.Container == request.Container) is not { } move)
                return SettleResult.Refuse($"no move of {request.Container} is under way from this host{Others(open)}");
            if (move.Destination != request.Gone)
                return SettleResult.Refuse($"{request.Container} is on its way to {move.Destination}, not to {request.Gone}");
            if (move.Phase is not (SourcePhase.Released or SourcePhase.Serving or SourcePhase.Freezing))
                return SettleResult.Refuse($"{request.Container} is {Words.Of(move.Phase)}: it does not wait for {request.Gone}; \"evacuator cancel\" undoes what can be undone");

            // 2. Nothing of it answers.
            if (peers.Find(request.Gone) is { } peer && await AnswersAsync(peer, token).ConfigureAwait(false))
                return SettleResult.Refuse($"{request.Gone} is not gone, its evacuator answers: see to evacuator-agent there, whose answer settles it");

            if (request.LookOnly)
                return new SettleResult(new SettleReply(RunsHere: false, $"{request.Container} waits for {request.Gone}, and nothing of that host answers"), "");

            // 3. It is off, if its BMC was named.
            string ground = "without a look at its BMC";
            if (request.BmcUrl is { } url)
            {
                if (await WhyNotOffAsync(url, request, token).ConfigureAwait(false) is { } doubt)
                    return SettleResult.Refuse(doubt);
                ground = $"its BMC at {url} said Off twice";
            }

            // 4. The agent asks that host's agent once more, and then takes the container back.
            await agent.DeclareGoneAsync(move.MoveId, $"by {by}, {ground}", token).ConfigureAwait(false);
            LogDeclared(log, request.Gone, request.Container, by, ground);
            MoveReport end = await WaitForEndAsync(move, token).ConfigureAwait(false);
            bool runsHere = end.Phase == SourcePhase.Stayed && await RunsHereAsync(request.Container, token).ConfigureAwait(false);
            string text = end.Ended ? end.Detail : $"not settled so far: {request.Container} is {Words.Of(end.Phase)} ({end.Detail}); \"evacuator status\" shows it";
            evacuations.Note(move.EvacuationId, $"{request.Container}: {text}");
            return new SettleResult(new SettleReply(runsHere, text), "");
        }
        catch (AgentException e)
        {
            return SettleResult.Refuse(e.Message);
        }
    }

    private static string Others(List<MoveReport> open) =>
        open.Count == 0 ? "" : $"; under way: {string.Join(", ", open.Select(move => $"{move.Container} to {move.Destination} ({Words.Of(move.Phase)})"))}";

    private static async Task<bool> AnswersAsync(PeerClient peer, CancellationToken token)
    {
        try
        {
            _ = await peer.GetCapacityAsync(token).ConfigureAwait(false);
            return true;
        }
        catch (PeerException e)
        {
            return e.Status is not null;
        }
    }

    /// <summary>Null when two reads said Off.</summary>
    private async Task<string?> WhyNotOffAsync(string url, SettleRequest request, CancellationToken token)
    {
        const string OtherWay = "look at the machine, and use --unverified if it is certainly off";
        BmcAccess? ours = own.Access(out string problem);
        if ((request.BmcUser ?? ours?.User, request.BmcPassword ?? ours?.Password) is not ({ } user, { } password))
            return $"the BMC at {url} cannot be asked without an account ({problem}): {OtherWay}";
        BmcAccess theirs = new()
        {
            Url = url, User = user, Password = password, Fingerprint = request.BmcFingerprint ?? "", CaPem = request.BmcFingerprint is null ? ours?.CaPem ?? "" : "",
        };
        BmcOpening opening = await bmcs.OpenAsync(theirs, token).ConfigureAwait(false);
        if (opening.Bmc is not { } bmc)
            return $"the BMC at {url} cannot be asked: {opening.Problem}: {OtherWay}";
        await using (bmc.ConfigureAwait(false))
        {
            TimeSpan interval = options.Power.VerifyInterval;
            OffLook look = await bmc.VerifyOffAsync(interval, interval * 4, token).ConfigureAwait(false);
            if (look.IsOff)
                return null;
            return look.Last == PowerLook.Unknown
                ? $"the BMC at {url} does not tell the power state: {look.Message}: {OtherWay}"
                : string.Create(CultureInfo.InvariantCulture, $"the BMC at {url} says {look.Last}: a host that is gone is off. Switch it off first; nothing was done");
        }
    }

    private async Task<MoveReport> WaitForEndAsync(MoveReport move, CancellationToken token)
    {
        Patience patience = new(EndTime, time);
        MoveReport last = move;
        while (!last.Ended && !patience.IsOver)
        {
            await Task.Delay(timings.MovePoll, time, token).ConfigureAwait(false);
            last = await agent.GetMoveAsync(move.MoveId, token).ConfigureAwait(false) ?? last;
        }

        return last;
    }

    private async Task<bool> RunsHereAsync(string container, CancellationToken token) =>
        (await agent.GetContainersAsync(token).ConfigureAwait(false)).Any(report => report.Name == container && report.State == "running");

    [LoggerMessage(EventId = 264, Level = LogLevel.Warning, Message = "{Peer} was declared gone for good, for the container {Container}, by {User}: {Ground}")]
    private static partial void LogDeclared(ILogger logger, string peer, string container, string user, string ground);
}

/// <param name="Reply">null when refused; then nothing was changed</param>
internal sealed record SettleResult(SettleReply? Reply, string Refusal)
{
    public static SettleResult Refuse(string why) => new(null, why);
}
