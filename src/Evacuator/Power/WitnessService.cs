using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Threading.Channels;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Evacuation;
using Evacuator.Fleet;
using Evacuator.Journal;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Power;

/// <summary>
/// Watches the BMCs of nodes that are going down, as their witness: until two reads agree on Off, the time is over, or the node calls it off. What it
/// sees is in the journal; a restart goes on watching.
/// </summary>
internal sealed partial class WitnessService(
    JournalStore journal, WitnessSecrets secrets, IBmcs bmcs, EvacuatorOptions options, BrainTimings timings, FleetTls tls, TimeProvider time, ILogger<WitnessService> log) : BackgroundService
{
    /// <summary>A fleet is emptied a few nodes at a time; more means that something asks without end.</summary>
    private const int MaxWatches = 32;

    // Unbounded is safe: MaxWatches bounds what is put in. One reader: the loop below.
    private readonly Channel<WitnessState> _new = Channel.CreateUnbounded<WitnessState>(new UnboundedChannelOptions { SingleReader = true });
    private readonly ConcurrentDictionary<(Guid, string), Watch> _watches = new();
    private readonly Lock _accepting = new();

    /// <summary>A peer asks. Accepts only after having read the BMC: a witness that cannot see is worse than none.</summary>
    public async Task<WitnessReply> AcceptAsync(string node, WitnessRequest request, CancellationToken token)
    {
        if (journal.Witness(request.EvacuationId, node) is { Phase: WitnessPhase.Watching } present)
            return new WitnessReply(true, "", present.LastPowerState);
        if (request.Report.Node != node)
            return new WitnessReply(false, $"the report is of {request.Report.Node}, the certificate of {node}", null);

        BmcOpening opening = await bmcs.OpenAsync(request.Bmc, token).ConfigureAwait(false);
        if (opening.Bmc is not { } bmc)
            return new WitnessReply(false, $"cannot use the BMC at {request.Bmc.Url}: {opening.Problem}", null);
        PowerLook look;
        await using (bmc.ConfigureAwait(false))
            look = await bmc.ReadPowerAsync(token).ConfigureAwait(false);
        if (look.State == PowerLook.Unknown)
            return new WitnessReply(false, $"the BMC at {request.Bmc.Url} does not tell the power state: {look.Message}", null);
        if (look.State == PowerLook.Off)
            return new WitnessReply(false, $"the BMC at {request.Bmc.Url} says Off while {node} is talking: it is another machine's; correct [bmc] url or system", look.State);

        DateTimeOffset now = time.GetUtcNow();
        WitnessState state = new()
        {
            EvacuationId = request.EvacuationId,
            Node = node,
            Phase = WitnessPhase.Watching,
            BmcUrl = request.Bmc.Url,
            Started = now,
            Until = now + TimeSpan.FromSeconds(Math.Clamp(request.TimeoutSeconds, 1, 86_400)),
            ForceFrom = request.ForceAfterSeconds is { } force ? now + TimeSpan.FromSeconds(Math.Max(0, force)) : null,
            LastPowerState = look.State,
            LastRead = now,
            Detail = $"reads {look.State}",
            Report = request.Report,
        };
        lock (_accepting)
        {
            if (_watches.Count >= MaxWatches)
                return new WitnessReply(false, $"watches {MaxWatches} nodes already", null);
            // The secret first: a journaled watch without it could never end well.
            secrets.Keep(request.EvacuationId, request.Bmc);
            journal.Write(state);
            _watches[(state.EvacuationId, node)] = new Watch(state);
        }

        _new.Writer.TryWrite(state);
        LogWatching(log, node, request.Bmc.Url, state.Until);
        return new WitnessReply(true, "", look.State);
    }

    public WitnessStatus? Status(string node, Guid evacuation) => journal.Witness(evacuation, node) is { } state
        ? new WitnessStatus(state.EvacuationId, state.Phase, state.LastPowerState, state.LastRead, state.Forced, state.Led, state.Detail, state.Certificate)
        : null;

    public void Withdraw(string node, Guid evacuation)
    {
        if (!_watches.TryGetValue((evacuation, node), out Watch? watch))
            return;
        if (TryStep(watch, new WitnessInput.Withdraw()))
            LogEnd(log, node, WitnessPhase.Withdrawn, watch.State.Detail);
        watch.Stop.Cancel();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        foreach (WitnessState state in journal.Witnesses().Where(witness => witness.Phase == WitnessPhase.Watching))
        {
            if (_watches.TryAdd((state.EvacuationId, state.Node), new Watch(state)))
                _new.Writer.TryWrite(state);
        }

        List<Task> running = [];
        try
        {
            await foreach (WitnessState state in _new.Reader.ReadAllAsync(stoppingToken).ConfigureAwait(false))
            {
                running.RemoveAll(task => task.IsCompletedSuccessfully);
                if (running.Find(task => task.IsFaulted) is { } dead)
                    await dead.ConfigureAwait(false);
                running.Add(WatchAsync(_watches[(state.EvacuationId, state.Node)], stoppingToken));
            }
        }
        finally
        {
            await Task.WhenAll(running).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task WatchAsync(Watch watch, CancellationToken stop)
    {
        // Linked: the service's stop; the node's withdrawal.
        using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(stop, watch.Stop.Token);
        try
        {
            await LookUntilOffAsync(watch, linked.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (linked.IsCancellationRequested)
        {
        }

        if (!watch.State.Phase.IsEnd())
            return; // the service stops: the next start goes on, and needs the secret
        secrets.Forget(watch.State.EvacuationId);
        _watches.TryRemove((watch.State.EvacuationId, watch.State.Node), out _);
    }

    private async Task LookUntilOffAsync(Watch watch, CancellationToken token)
    {
        TimeSpan interval = options.Power.VerifyInterval;
        if (secrets.Find(watch.State.EvacuationId) is not { } access)
        {
            End(watch, new WitnessInput.Lost($"the credentials of the BMC at {watch.State.BmcUrl} went with a restart of this host. Look at the machine"));
            return;
        }

        // A clock that is set meanwhile must not end the watch, and least of all force a host off early.
        WatchTimes times = new(
            Patience.Of(watch.State.Started, watch.State.Until, time), watch.State.ForceFrom is { } from ? Patience.Of(watch.State.Started, from, time) : null);
        while (!watch.State.Phase.IsEnd())
        {
            BmcOpening opening = await bmcs.OpenAsync(access, token).ConfigureAwait(false);
            if (opening.Bmc is { } bmc)
            {
                await using (bmc.ConfigureAwait(false))
                    await LookAsync(watch, times, bmc, interval, token).ConfigureAwait(false);
            }
            else
            {
                TryStep(watch, new WitnessInput.Read(PowerLook.Unknown, opening.Problem));
            }

            if (watch.State.Phase.IsEnd())
                return;
            if (times.End.IsOver)
            {
                End(watch, new WitnessInput.Expired());
                return;
            }

            await Task.Delay(opening.Bmc is null ? timings.Retry : interval, time, token).ConfigureAwait(false);
        }
    }

    /// <summary>Looks in slices: between them the journal learns the state, and force is used when its time has come.</summary>
    private async Task LookAsync(Watch watch, WatchTimes times, IBmc bmc, TimeSpan interval, CancellationToken token)
    {
        while (!times.End.IsOver)
        {
            OffLook look = await bmc.VerifyOffAsync(interval, interval * 4, token).ConfigureAwait(false);
            if (look.IsOff)
            {
                // The node lit it before it went; a BMC may forget that with the power, and the technician looks for it now. Before the end, so that
                // whoever reads that the host is off reads what the LED shows, too.
                TryStep(watch, new WitnessInput.Led(await bmc.SetLedAsync(lit: true, token).ConfigureAwait(false)));
                End(watch, new WitnessInput.SeenOff(look.Message, Certify(watch.State, look)));
                return;
            }

            TryStep(watch, new WitnessInput.Read(look.Last, look.Message));
            if (look.Last == PowerLook.Unknown)
                return; // a new connection may help

            if (watch.State.Forced is null && times.Force is { IsOver: true } && TryStep(watch, new WitnessInput.Forcing()))
            {
                string outcome = await bmc.ForceOffAsync(token).ConfigureAwait(false);
                LogForced(log, watch.State.Node, outcome);
            }
        }
    }

    /// <summary>What was seen, signed as this node: whoever reads the report later need not take it from us. Without it what was seen is as true as before.</summary>
    private WitnessCertificate? Certify(WitnessState state, OffLook look)
    {
        try
        {
            return WitnessCertificate.Sign(
                new WitnessStatement(WitnessStatement.CurrentVersion, state.EvacuationId, state.Node, look.Last, look.Reads, state.BmcUrl, look.Fingerprint, state.Forced, options.Node.Name),
                tls.Certificate);
        }
        catch (CryptographicException e)
        {
            LogNotSigned(log, state.Node, e.Message);
            return null;
        }
    }

    private void End(Watch watch, WitnessInput input)
    {
        if (TryStep(watch, input))
            LogEnd(log, watch.State.Node, watch.State.Phase, watch.State.Detail);
    }

    /// <summary>False if the watch has ended in the meantime, as by a withdrawal.</summary>
    private bool TryStep(Watch watch, WitnessInput input)
    {
        // Held over the journal's write on purpose: two steps may never be journaled in another order than they were taken.
        lock (watch.Lock)
        {
            StepResult<WitnessState> step = WitnessMachine.Step(watch.State, input, time.GetUtcNow());
            if (!step.IsOk)
                return false;
            // A read that says nothing new is not worth an fsync every few seconds.
            if (step.Next with { LastRead = watch.State.LastRead, Detail = watch.State.Detail } != watch.State)
                journal.Write(step.Next);
            watch.State = step.Next;
            return true;
        }
    }

    private sealed class Watch(WitnessState state)
    {
        public Lock Lock { get; } = new();

        public CancellationTokenSource Stop { get; } = new();

        public WitnessState State { get; set; } = state;
    }

    /// <param name="Force">after which the power may be forced off; null: never</param>
    private sealed record WatchTimes(Patience End, Patience? Force);
}
