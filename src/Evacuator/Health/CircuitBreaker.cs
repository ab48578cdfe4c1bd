using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Fleet;

namespace Evacuator.Health;

/// <summary>Asks the fleet whether this node may empty itself; see <see cref="FleetShare"/>.</summary>
internal sealed class CircuitBreaker(EvacuatorOptions options, PeerDirectory peers, BrainTimings timings, TimeProvider time)
{
    private volatile bool _intends;

    /// <summary>What peers are told: this node asks, or has been granted and has not begun yet.</summary>
    public bool Intends => _intends;

    /// <summary>Null when granted: call <see cref="Release"/> as soon as the evacuation has begun, or will not. Else why not; then nothing has to be released.</summary>
    public async Task<string?> AskAsync(CancellationToken token)
    {
        bool granted = false;
        long began = time.GetTimestamp();
        // Shown before anyone is asked: of two nodes that ask at once, at least one sees the other.
        _intends = true;
        try
        {
            while (true)
            {
                IReadOnlyList<PeerClaimOf> claims = await peers.AskClaimsAsync(token).ConfigureAwait(false);
                ShareAnswer answer = FleetShare.Decide(options.Node.Name, claims, options.Signals.FleetSharePercent);
                granted = answer.Outcome == ShareOutcome.Granted;
                if (granted)
                    return null;
                if (answer.Outcome == ShareOutcome.Refused || time.GetElapsedTime(began) > timings.BreakerPatience)
                    return answer.Why;
                await Task.Delay(timings.BreakerPoll, time, token).ConfigureAwait(false);
            }
        }
        finally
        {
            _intends = granted;
        }
    }

    public void Release() => _intends = false;
}
