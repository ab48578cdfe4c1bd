using System.Globalization;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Fleet;
using Evacuator.Journal;
using Microsoft.Extensions.Logging;

namespace Evacuator.Power;

/// <param name="Witness">the peer that watches now; null if none could</param>
/// <param name="Refusals">peers that would or could not, with the reason</param>
internal sealed record WitnessSearch(string? Witness, IReadOnlyList<string> Refusals);

/// <param name="Verification">what it saw; null if it has not seen the host off</param>
/// <param name="Problem">why not, in words</param>
/// <param name="MayChange">whether asking again later can help</param>
internal sealed record WitnessAnswer(PowerVerification? Verification, string Problem, bool MayChange);

/// <summary>The emptied node's part of going off: a host cannot see itself off, so a peer has to watch its BMC before it goes.</summary>
internal sealed partial class PowerHandover(
    EvacuatorOptions options, OwnBmc own, IBmcs bmcs, PeerDirectory peers, JournalStore journal, TimeProvider time, ILogger<PowerHandover> log)
{
    private const string LedFact = "led-lit";

    /// <summary>Since when the locator LED is lit as far as this node knows, over reboots; null: it is not, or was not lit from here.</summary>
    public DateTimeOffset? LedLitSince => journal.Fact(LedFact) is { } text ? DateTimeOffset.Parse(text, CultureInfo.InvariantCulture) : null;

    /// <summary>Why this node cannot be powered off with proof; null if it can be tried.</summary>
    public string? WhyNot()
    {
        _ = own.Access(out string problem);
        if (problem.Length > 0)
            return $"{problem}. Without a BMC nobody can see this host off; start without --power-off and shut it down yourself";
        return peers.Names.Count == 0 ? "there is no peer that could watch this host's BMC" : null;
    }

    /// <summary>Asks those that received containers first, then the others: the first that can read the BMC is the witness.</summary>
    public async Task<WitnessSearch> FindWitnessAsync(IReadOnlyList<string> receivers, EvacuationState state, EvacuationReport report, CancellationToken token)
    {
        if (own.Access(out string problem) is not { } access)
            return new WitnessSearch(null, [problem]);
        WitnessRequest request = new()
        {
            EvacuationId = state.Id,
            Bmc = access,
            TimeoutSeconds = (int)Math.Ceiling(Math.Max(options.Power.VerifyTimeout.TotalSeconds, state.Trigger.ForceAfter is { } force ? force.TotalSeconds + 120 : 0)),
            ForceAfterSeconds = state.Trigger.ForceAfter is { } after ? (int)Math.Ceiling(after.TotalSeconds) : null,
            Report = report,
        };
        List<string> refusals = [];
        foreach (string name in receivers.Concat(peers.Names.Except(receivers).Order(StringComparer.Ordinal)))
        {
            if (peers.Find(name) is not { } peer)
                continue;
            try
            {
                WitnessReply reply = await peer.AskToWitnessAsync(request, token).ConfigureAwait(false);
                if (reply.Accepted)
                    return new WitnessSearch(name, refusals);
                refusals.Add($"{name}: {reply.Reason}");
            }
            catch (PeerException e)
            {
                refusals.Add(e.Message);
                // It may watch although its answer was lost.
                await WithdrawAsync(name, state.Id, token).ConfigureAwait(false);
            }
        }

        return new WitnessSearch(null, refusals.Count > 0 ? refusals : ["there is no peer to ask"]);
    }

    /// <summary>The host stays on after all. A witness that cannot be told finds it on and asks a person; that is reported, not hidden.</summary>
    public async Task WithdrawAsync(string witness, Guid evacuation, CancellationToken token)
    {
        if (peers.Find(witness) is not { } peer)
            return;
        try
        {
            await peer.WithdrawWitnessAsync(evacuation, token).ConfigureAwait(false);
        }
        catch (PeerException e)
        {
            LogNotWithdrawn(log, witness, e.Message);
        }
    }

    public async Task<WitnessAnswer> HearAsync(string witness, Guid evacuation, CancellationToken token)
    {
        if (peers.Find(witness) is not { } peer)
            return new WitnessAnswer(null, $"the witness {witness} is no longer in the peers file", MayChange: false);
        try
        {
            if (await peer.GetWitnessAsync(evacuation, token).ConfigureAwait(false) is not { } status)
                return new WitnessAnswer(null, $"{witness} knows nothing of it", MayChange: false);
            if (status.Led == "on")
                RememberLed(lit: true); // it lit it again when the host was off
            return status.Phase switch
            {
                WitnessPhase.VerifiedOff => new WitnessAnswer(
                    new PowerVerification(status.LastPowerState ?? PowerLook.Off, witness, status.LastRead ?? default, status.Forced is not null, status.Certificate), "", false),
                WitnessPhase.Watching => new WitnessAnswer(null, $"{witness} has not seen it off so far: {status.Detail}", MayChange: true),
                _ => new WitnessAnswer(null, $"{witness}: {Words.Of(status.Phase)}: {status.Detail}", MayChange: false),
            };
        }
        catch (PeerException e)
        {
            return new WitnessAnswer(null, e.Message, MayChange: true);
        }
    }

    /// <summary>What became of the LED, in words: it helps the technician, and nothing depends on it.</summary>
    public Task<string> LightLedAsync(CancellationToken token) => SetLedAsync(lit: true, token);

    public Task<string> DarkenLedAsync(CancellationToken token) => SetLedAsync(lit: false, token);

    private async Task<string> SetLedAsync(bool lit, CancellationToken token)
    {
        if (own.Access(out string problem) is not { } access)
            return problem;
        BmcOpening opening = await bmcs.OpenAsync(access, token).ConfigureAwait(false);
        if (opening.Bmc is not { } bmc)
            return $"not switched: {opening.Problem}";
        await using (bmc.ConfigureAwait(false))
        {
            string outcome = await bmc.SetLedAsync(lit, token).ConfigureAwait(false);
            if (!outcome.StartsWith("not switched", StringComparison.Ordinal))
                RememberLed(lit);
            return outcome;
        }
    }

    private void RememberLed(bool lit)
    {
        if (!lit)
            journal.SetFact(LedFact, null);
        else if (LedLitSince is null)
            journal.SetFact(LedFact, time.GetUtcNow().ToString("O", CultureInfo.InvariantCulture));
    }

    [LoggerMessage(EventId = 240, Level = LogLevel.Warning, Message = "The witness {Witness} could not be told that this host stays on: {Reason}")]
    private static partial void LogNotWithdrawn(ILogger logger, string witness, string reason);
}
